"""A department as its site file describes it: frozen dataclasses, no database.

`xraydesk.siteplan.reading` makes one from a TOML file or from the JSON kept with the site.
Times of day are wall times of the site's zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from xraydesk.lib.networks import lies_in

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Hours = Mapping[str, tuple[tuple[time, time], ...]]
"""Weekday to open intervals; an end of 00:00 means midnight at the end of that day."""


class BookingWay(StrEnum):
    """How patients of a class are booked when their order is accepted."""

    NEXT_FREE = "next-free"
    """At the requested time, or else the next free place."""
    ON_ARRIVAL = "on-arrival"
    """When the patient is here; a requested time is kept all the same."""
    REQUESTED = "requested"
    """Only at a time that the order asks for; without one, a person is asked."""
    ASK = "ask"
    """Always by a person."""


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
class IssuerPlan:
    """Who gives out patients' numbers: `name` as HL7 and this file say it (CX-4), `system` the URI that FHIR has for it."""

    name: str
    system: str


class Sends(StrEnum):
    """What the desk can tell another system of."""

    APPOINTMENTS = "appointments"
    """SIU^S12 to S26: booked, moved, changed, cancelled, no-show."""
    STATUS = "status"
    """ORM^O01 SC: begun (IP) and ended (CM), with filler and accession."""
    CHARGES = "charges"
    """DFT^P03."""
    RESULTS = "results"
    """ORU^R01: a copy of each report."""
    DOCUMENTS = "documents"
    """MDM^T02, T08: each report as a document to be filed."""
    PATIENTS = "patients"
    """ADT^A08, A40, A37, A45: who has another name or number, of those who have exams here."""


@dataclass(frozen=True)
class OutlinkPlan:
    """A system that the desk sends HL7 v2 to, over MLLP or into a folder. Applications and facilities stand in MSH-3 to MSH-6."""

    name: str
    host: str
    port: int
    sends: tuple[Sends, ...]
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    tls: bool = False
    insecure: bool = False
    """True where it may lie beyond loopback and be spoken to in clear."""
    folder: str = ""
    """Where each message is put as a file of its own, in place of a host and port."""
    certificate: str = ""
    """File with the certificate that the desk shows there (PEM); with `key`."""
    key: str = ""
    authority: str = ""
    """File with the certificates that are trusted there; empty for those that this machine trusts."""

    @property
    def where(self) -> str:
        """Where it is reached, as people read it."""
        return self.folder or f"{self.host}:{self.port}"


class Pulls(StrEnum):
    """What the desk can fetch from an EHR by FHIR; the value is the type."""

    REQUESTS = "ServiceRequest"
    PATIENTS = "Patient"
    COVERAGES = "Coverage"


class Pushes(StrEnum):
    """What the desk can write into an EHR by FHIR."""

    APPOINTMENTS = "appointments"
    """Appointment: the place of an exam, as it stands."""
    STUDIES = "studies"
    """ImagingStudy: that there are images, and of what; none of them are sent."""
    REPORTS = "reports"
    """DiagnosticReport."""
    COMMUNICATIONS = "communications"
    """Communication: a result that must be told, and who was."""


@dataclass(frozen=True)
class EhrPlan:
    """An EHR that the desk asks and writes to by FHIR R4. Without a `client_id` it signs in nowhere."""

    name: str
    base: str
    """The address of its FHIR server; nothing beyond it is asked."""
    pulls: Mapping[str, str] = field(default_factory=dict)
    """What is fetched, each with what narrows the search (`category=imaging`); empty for all."""
    sends: tuple[Pushes, ...] = ()
    client_id: str = ""
    key: str = ""
    """File with the private key that the desk signs its requests with (JWK)."""
    token: str = ""
    """Where tokens are had; empty for the place that the server names."""
    authority: str = ""
    """File with the certificates that are trusted there; empty for those that this machine trusts."""
    networks: tuple[str, ...] = ()
    """Networks within, such as 10.0.0.0/8, that it may lie in; beyond them only public addresses are connected to."""
    insecure: bool = False
    """True where it may lie beyond this machine and be spoken to in clear."""
    secret: str = ""
    """File with the word that it shows when it calls the desk because something changed; empty where it never calls."""

    @property
    def where(self) -> str:
        """Where it is reached, as people read it."""
        return self.base

    @property
    def tls(self) -> bool:
        """True where it is spoken to with TLS."""
        return self.base.startswith("https:")


@dataclass(frozen=True)
class SubscriberPlan:
    """A program that may ask to be called at an address that is not public: its token or app, and where that may lie."""

    name: str
    networks: tuple[str, ...] = ()
    authority: str = ""
    """File with the certificates that are trusted there; empty for those that this machine trusts."""
    insecure: bool = False
    """True where it may be called in clear."""


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
    """True where it is asked for earlier studies (C-FIND)."""
    moves_to: str = ""
    """The destination that it is to send them to (C-MOVE); empty where they are read where they are."""
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


class LinkField(StrEnum):
    """What a rule can take from another place of a sender's messages."""

    ACCESSION = "accession"
    STUDY_INSTANCE_UID = "study_instance_uid"
    PLACER = "placer"
    FILLER = "filler"
    PROCEDURE_CODE = "procedure_code"
    PROCEDURE_TEXT = "procedure_text"
    PROCEDURE_SYSTEM = "procedure_system"
    LATERALITY = "laterality"
    PRIORITY = "priority"
    REQUESTED_AT = "requested_at"
    REASON = "reason"
    CLINICAL_INFORMATION = "clinical_information"
    TRANSPORT = "transport"
    PATIENT_ID = "patient_id"
    PHONE = "phone"
    VISIT_NUMBER = "visit_number"
    ACCOUNT = "account"
    PATIENT_CLASS = "patient_class"
    WARD = "ward"


@dataclass(frozen=True)
class FieldRule:
    """Where a sender puts something: the first of `places` (`OBR-27.6`) that is filled, in the order of the file."""

    name: LinkField
    places: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    """The sender's own words, each with the one that is meant; others are taken as they are."""

    def __str__(self) -> str:
        words = "".join(f", {said} is {meant}" for said, meant in self.values.items())
        return f"{self.name} from {' or '.join(self.places)}{words}"


@dataclass(frozen=True)
class LinkPlan:
    """A partner that sends here. `kind` is `orders` (orders, patients, results), `results` (results alone), or `dicom`
    (a machine that may speak DICOM in clear: its AE title stands as `sending_application`).
    """

    name: str
    kind: str
    sending_application: str
    sending_facility: str
    receiving_application: str = ""
    receiving_facility: str = ""
    charset: str = "utf-8"
    """Used where a message names none and is not valid UTF-8."""
    timezone: str = ""
    """Used for times without an offset; empty for the site's."""
    identifier_authority: str = ""
    """Issuer of patient numbers that name none; empty for the site's."""
    application_replies: bool = False
    """True where the sender wants ORR, ORG or ORI in place of a plain ACK."""
    insecure: bool = False
    """True where this link may use an address beyond loopback without TLS."""
    peers: tuple[str, ...] = ()
    """Addresses and networks that may use it in clear."""
    fields: tuple[FieldRule, ...] = ()
    """What is taken from other places than the usual ones."""

    def takes_in_clear(self, address: str) -> bool:
        """True where the site file lets an address use this link without TLS."""
        return self.insecure and any(lies_in(address, peer) for peer in self.peers)


class GivesWayTo(StrEnum):
    """Exams for which others may give way without a person."""

    STAT = "stat"
    URGENT = "urgent"


@dataclass(frozen=True)
class AutopilotPlan:
    """Within which limits the desk lets others give way by itself. It does nothing of it unless `on`."""

    on: bool = False
    priorities: tuple[GivesWayTo, ...] = (GivesWayTo.STAT,)
    moved_minutes_max: int = 30
    """No outpatient is moved by more."""
    near_minutes: int = 60
    """Nobody is moved whose time is nearer."""
    moves_max: int = 3
    """So many exams give way to one at most."""
    hours: Hours = field(default_factory=dict)
    """When it acts, by weekday; always where empty."""


class LabelDoubt(StrEnum):
    """What can speak against an image's label; the value is its name in a site file."""

    NO_EXAM = "no exam"
    TWO_EXAMS = "numbers of two exams"
    OTHER_ACCESSION = "another accession number"
    CANCELLED = "cancelled exam"
    NOT_ON_WORKLIST = "not on the worklist"
    NO_NUMBER = "no patient number"
    OTHER_NUMBER = "another patient number"
    OTHER_ISSUER = "number of another issuer"
    OTHER_NAME = "another name"
    OTHER_FAMILY_NAME = "another family name"
    NEAR_NAME = "name spelt otherwise"
    OTHER_BIRTH_DATE = "another birth date"
    NOTHING_ELSE = "nothing beside the number"
    OTHER_SEX = "another sex"
    OTHER_SIDE = "another side"
    OTHER_SIDE_MARKED = "another side in words"
    SIDES_DISAGREE = "two sides"
    OTHER_PART = "another part"
    NEAR_PART = "a neighbouring part"
    OTHER_PART_MARKED = "another part in words"
    OTHER_VIEW = "a view not asked for"
    VIEW_OF_OTHER_PART = "a view of another part"
    BEFORE_ARRIVAL = "before arrival"
    OUTSIDE_ITS_STEP = "outside its time"
    OTHER_ROOM = "another room"
    OTHER_EXAM_OPEN = "another exam open"
    BOTH_EXAMS_OPEN = "two exams open"
    OTHER_WAITED = "another patient waited"
    BOTH_DUE = "two patients due"
    OTHER_PART_SEEN = "another part in the picture"


LABEL_WEIGHTS: Mapping[LabelDoubt, int] = {
    LabelDoubt.NO_EXAM: 100,
    LabelDoubt.TWO_EXAMS: 100,
    LabelDoubt.OTHER_ACCESSION: 100,
    LabelDoubt.CANCELLED: 100,
    LabelDoubt.NOT_ON_WORKLIST: 40,
    LabelDoubt.NO_NUMBER: 100,
    LabelDoubt.OTHER_NUMBER: 100,
    LabelDoubt.OTHER_ISSUER: 100,
    LabelDoubt.OTHER_NAME: 100,
    LabelDoubt.OTHER_FAMILY_NAME: 60,
    LabelDoubt.NEAR_NAME: 40,
    LabelDoubt.OTHER_BIRTH_DATE: 100,
    LabelDoubt.NOTHING_ELSE: 100,
    LabelDoubt.OTHER_SEX: 100,
    LabelDoubt.OTHER_SIDE: 100,
    LabelDoubt.OTHER_SIDE_MARKED: 100,
    LabelDoubt.SIDES_DISAGREE: 100,
    LabelDoubt.OTHER_PART: 100,
    LabelDoubt.NEAR_PART: 30,
    LabelDoubt.OTHER_PART_MARKED: 100,
    LabelDoubt.OTHER_VIEW: 30,
    LabelDoubt.VIEW_OF_OTHER_PART: 70,
    LabelDoubt.BEFORE_ARRIVAL: 60,
    LabelDoubt.OUTSIDE_ITS_STEP: 50,
    LabelDoubt.OTHER_ROOM: 50,
    LabelDoubt.OTHER_EXAM_OPEN: 100,
    LabelDoubt.BOTH_EXAMS_OPEN: 40,
    LabelDoubt.OTHER_WAITED: 100,
    LabelDoubt.BOTH_DUE: 40,
    LabelDoubt.OTHER_PART_SEEN: 60,
}
"""How much each speaks against a label. An image is held where the sum reaches the site's limit, 100 unless it says otherwise."""

ALWAYS_HELD = frozenset(
    {
        LabelDoubt.NO_EXAM,
        LabelDoubt.TWO_EXAMS,
        LabelDoubt.OTHER_ACCESSION,
        LabelDoubt.CANCELLED,
        LabelDoubt.NO_NUMBER,
        LabelDoubt.OTHER_NUMBER,
        LabelDoubt.OTHER_ISSUER,
        LabelDoubt.OTHER_NAME,
        LabelDoubt.OTHER_BIRTH_DATE,
        LabelDoubt.NOTHING_ELSE,
        LabelDoubt.OTHER_SEX,
    }
)
"""What no site file can make light of: whose image it is takes two identifiers (Joint Commission NPSG.01.01.01)."""


@dataclass(frozen=True)
class Policies:
    """How the department decides. Minutes unless said otherwise."""

    booking: Mapping[str, BookingWay] = field(default_factory=dict)
    """HL7 patient class (I, O, E…) to the way it is booked; `*` for all others."""
    duplicate_window_hours: int = 24
    accept_unknown_procedure: bool = False
    stat_due_minutes: int = 60
    urgent_due_minutes: int = 240
    pregnancy_age_min_years: int = 12
    pregnancy_age_max_years: int = 55
    item_minutes: Mapping[str, int] = field(default_factory=dict)
    """Kind of item to minutes until harm, where the site's clock is not the usual one."""
    step_open_hours: int = 4
    """After so many hours without an end, a begun step is put before a person."""
    booking_days_ahead: int = 14
    """How many days ahead a free place is looked for."""
    hold_minutes: int = 10
    """A place that somebody chose is held so long while they make up their mind."""
    languages: tuple[str, ...] = ()
    """What the department speaks itself, as patients' records write it; empty: nobody is asked for an interpreter."""
    cleaning_minutes: int = 0
    fetch_classes: tuple[str, ...] = ("I",)
    """HL7 patient classes whose patients a porter fetches and takes back, unless the exam goes to them."""
    fetch_early_minutes: int = 5
    """So long before the exam a fetched patient is to be here."""
    phrases: Mapping[str, int] = field(default_factory=dict)
    """Words in a report that ask for a call, each with its category (1 minutes, 2 hours, 3 days); a person confirms."""
    tell_minutes: tuple[int, int, int] = (60, 720, 10_080)
    """By category: a finding is read back by somebody within so long."""
    next_person_minutes: tuple[int, int, int] = (15, 120, 1440)
    """By category: who has not answered after so long is passed over for the next person."""
    stat_read_minutes: int = 10
    """Who reads has so long to open the images of a STAT before whoever covers is called."""
    charge_needs_report: bool = True
    autopilot: AutopilotPlan = field(default_factory=AutopilotPlan)
    label_limit: int = 100
    """An image is held back where what speaks against its label weighs as much as this, or more."""
    label_weights: Mapping[str, int] = field(default_factory=dict)
    """What each doubt weighs where the site weighs it otherwise (`LABEL_WEIGHTS`)."""
    look_at_pictures: bool = False
    """Whether pictures themselves are looked at, once enough was learnt here; never holds an image by itself."""
    message_days: int = 0
    """Messages are kept for so long; 0 for ever."""


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
    policies: Policies = Policies()
