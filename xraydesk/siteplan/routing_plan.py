"""Where images go, by which rules, and who is on call for them, as the site file says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.siteplan.hours import Hours


@dataclass(frozen=True)
class DestinationPlan:
    """Where images go."""

    name: str
    ae_title: str
    host: str
    port: int
    sends: tuple[str, ...] = ()
    """Modalities that go there; empty for all."""
    outside: bool = False
    """True where it belongs to another house: it is spoken to with TLS, and gets only what a rule sends it."""
    finds: bool = False
    """True where it is asked for earlier studies: by DICOMweb where `web` says where, else by C-FIND."""
    moves_to: str = ""
    """The destination that they are to be at (C-MOVE, or fetched by the desk and sent on); empty where they are read where they are."""
    commits: bool = False
    """True where it is asked to promise that it keeps what it was sent (storage commitment)."""
    commits_within_minutes: int = 60
    """Where it has said nothing after so long, it is asked again."""
    announces: bool = False
    """True where it tells the desk itself when images can be read there (Instance Availability Notification)."""
    notices: bool = False
    """True where it is told when images can be read at another destination."""
    history: bool = False
    """True where the requisition goes there as well, as a document in the study."""
    research: str = ""
    """The project that it is for: it gets images that tell nobody whose they are, and only what a rule sends it."""
    shift_dates: bool = False
    """For research: dates are moved by so many days for each patient, in place of being taken away."""
    associations: int = 1
    """So many at once at most; each sends the images of another exam."""
    kilobytes_per_second_max: int = 0
    """No more than so much goes there in the mean, in 1,000 bytes; 0 where nothing limits it."""
    tls: bool = False
    certificate: str = ""
    """File with the certificate that the desk shows there (PEM); with `key`."""
    key: str = ""
    authority: str = ""
    """File with the certificates that are trusted there; empty for those that this machine trusts."""
    web: str = ""
    """The address of its DICOMweb services; without `ae_title` it is asked there alone, and gets no images."""
    web_token: str = ""
    """File with the token that the desk shows there (Bearer)."""
    web_password: str = ""
    """File with `name:password` that the desk signs in with there (Basic)."""
    networks: tuple[str, ...] = ()
    """Networks within, such as 10.0.0.0/8, that `web` may lie in; beyond them only public addresses are connected to."""
    insecure: bool = False
    """True where `web` may lie beyond this machine and be asked in clear."""

    @property
    def takes_images(self) -> bool:
        """True where images can be sent there (C-STORE)."""
        return bool(self.ae_title)


class RoutedPriority(StrEnum):
    """How urgent an exam is, as rules of routing say it."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True)
class RoutePlan:
    """A rule about where images go: what it sends to (`to`), or keeps from (`not_to`), the destinations it names.

    It is for an exam where every condition that is written holds; in one condition any of its words will do.
    """

    rule: str
    """What people call it; screens give it as the reason."""
    to: tuple[str, ...] = ()
    not_to: tuple[str, ...] = ()
    """Destinations that get nothing of it, whatever other rules say."""
    procedures: tuple[str, ...] = ()
    """Codes of procedures."""
    locations: tuple[str, ...] = ()
    """Codes of locations: where it was done."""
    priorities: tuple[RoutedPriority, ...] = ()
    classes: tuple[str, ...] = ()
    """HL7 patient classes (PV1-2)."""
    modalities: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    """Codes of those on call who read at that time."""
    hours: Hours = field(default_factory=dict)
    """When the exam was begun, by weekday; always where empty."""


class OnCallRole(StrEnum):
    """What somebody on call is for."""

    READER = "reader"
    """Reads the images; the first of the file who is on reads, the next one covers."""
    TEAM = "team"
    """Is told as well."""


@dataclass(frozen=True)
class OnCallPlan:
    """Somebody on call: when, for what, and how they are reached."""

    code: str
    name: str
    hours: Hours
    role: OnCallRole = OnCallRole.READER
    phone: str = ""
    pager: str = ""
    locations: tuple[str, ...] = ()
    """Codes of the locations that they are on call for; empty for all."""
