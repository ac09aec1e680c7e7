"""A department as its site file describes it: frozen dataclasses, no database.

`xraydesk.siteplan.reading` makes one from a TOML file or from the JSON kept with the site.
Times of day are wall times of the site's zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xraydesk.siteplan.charsets import CharacterSet
from xraydesk.siteplan.hours import Hours
from xraydesk.siteplan.link_plan import EhrPlan, IssuerPlan, LinkPlan, OutlinkPlan, SubscriberPlan
from xraydesk.siteplan.policies import Policies
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, RoutePlan


@dataclass(frozen=True)
class LocationPlan:
    """A building or floor."""

    code: str
    name: str


@dataclass(frozen=True)
class ClosurePlan:
    """A stretch during which a room cannot be used, in naive wall time."""

    start: datetime
    end: datetime
    reason: str


class KeptFor(StrEnum):
    """Whom a part of a room's time is kept for."""

    STAT = "stat"
    URGENT = "urgent"
    EMERGENCY = "emergency"
    INPATIENT = "inpatient"


@dataclass(frozen=True)
class KeptPlan:
    """A part of a room's week that is kept for some, and given to anybody as the hour nears.

    So many minutes before its hour a place is released; 0 keeps it to the end.
    """

    whom: tuple[KeptFor, ...]
    hours: Hours
    release_minutes: int = 0


@dataclass(frozen=True)
class RoomPlan:
    """A room, or a portable unit (kind `portable`)."""

    code: str
    name: str
    location: str
    kind: str
    hours: Hours
    closures: tuple[ClosurePlan, ...] = ()
    abilities: tuple[str, ...] = ()
    seats: int = 1
    published: Hours = field(default_factory=dict)
    """When outpatients are booked ahead here; empty for whenever it is open."""
    slot_minutes: int = 15
    """Published places begin so far apart."""
    kept: tuple[KeptPlan, ...] = ()


@dataclass(frozen=True)
class ModalityPlan:
    """A machine in a room."""

    ae_title: str
    room: str
    modality: str
    station_name: str = ""
    host: str = ""
    port: int | None = None
    charsets: tuple[CharacterSet, ...] = ()
    """What it can show; empty where it can show whatever it asks in."""


@dataclass(frozen=True)
class ProcedurePlan:
    """An exam that the department offers."""

    code: str
    text: str
    minutes: int
    room_kinds: tuple[str, ...]
    system: str = "L"
    body_part: str = ""
    laterality: tuple[str, ...] = ()
    """Sides that may be asked for: `L`, `R`, `B`; empty where the part has no side."""
    views: tuple[str, ...] = ()
    modality: str = "DX"
    skills: tuple[str, ...] = ()
    preparation: str = ""
    preparation_minutes: int = 0
    """So long before the exam its patient is to be here, to be made ready."""
    escort: bool = False
    """True where somebody of the house stays with the patient."""
    after: tuple[str, ...] = ()
    """Codes of procedures that come first where a patient has several in one visit."""
    pregnancy_check: bool = False
    sex: str = ""
    age_min_years: int | None = None
    age_max_years: int | None = None
    charge_code: str = ""


@dataclass(frozen=True)
class TechnologistPlan:
    """A technologist."""

    code: str
    name: str
    skills: tuple[str, ...]
    shifts: Hours


@dataclass(frozen=True)
class PorterPlan:
    """A porter."""

    code: str
    name: str
    shifts: Hours


class CompanionKind(StrEnum):
    """What somebody does who goes along with a patient."""

    INTERPRETER = "interpreter"
    ESCORT = "escort"


@dataclass(frozen=True)
class CompanionPlan:
    """Somebody who goes along with a patient: an interpreter, or an escort who stays with them."""

    code: str
    name: str
    kind: CompanionKind
    shifts: Hours
    languages: tuple[str, ...] = ()
    """What an interpreter speaks, as patients' records write it (PID-15)."""


@dataclass(frozen=True)
class WardPlan:
    """Where patients lie: whom to call, how far it is in minutes one way."""

    code: str
    name: str
    phone: str = ""
    travel_minutes: int = 5
    emergency: bool = False
    team: str = ""
    """Who looks after its patients, as a person asks for them ("Medicine, on call"); empty where nobody is named."""
    team_phone: str = ""


@dataclass(frozen=True)
class ProviderPlan:
    """Somebody who orders exams (ORC-12, OBR-16), where to reach them, and who covers for them."""

    number: str
    name: str
    phone: str = ""
    covered_by: str = ""
    """Number of the provider who is called when this one does not answer."""


@dataclass(frozen=True)
class SitePlan:
    """A whole department."""

    code: str
    name: str
    timezone: str
    assigning_authority: str
    ae_title: str
    locations: tuple[LocationPlan, ...]
    rooms: tuple[RoomPlan, ...]
    modalities: tuple[ModalityPlan, ...]
    procedures: tuple[ProcedurePlan, ...]
    technologists: tuple[TechnologistPlan, ...] = ()
    porters: tuple[PorterPlan, ...] = ()
    companions: tuple[CompanionPlan, ...] = ()
    wards: tuple[WardPlan, ...] = ()
    destinations: tuple[DestinationPlan, ...] = ()
    routes: tuple[RoutePlan, ...] = ()
    on_call: tuple[OnCallPlan, ...] = ()
    links: tuple[LinkPlan, ...] = ()
    outlinks: tuple[OutlinkPlan, ...] = ()
    ehrs: tuple[EhrPlan, ...] = ()
    providers: tuple[ProviderPlan, ...] = ()
    issuers: tuple[IssuerPlan, ...] = ()
    subscribers: tuple[SubscriberPlan, ...] = ()
    policies: Policies = field(default_factory=Policies)
