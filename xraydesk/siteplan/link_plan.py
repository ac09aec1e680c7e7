"""Whom the desk speaks with, as the site file says it: who sends here, who is told, which EHR is asked by FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.lib.networks import lies_in


@dataclass(frozen=True)
class IssuerPlan:
    """Who gives out patients' numbers: `name` as HL7 and this file say it (CX-4), `system` the URI that FHIR has for it."""

    name: str
    system: str


class Version(StrEnum):
    """The version of HL7 v2 in which a system is spoken to (MSH-12, table 0104)."""

    V2_3 = "2.3"
    V2_3_1 = "2.3.1"
    V2_4 = "2.4"
    V2_5 = "2.5"
    V2_5_1 = "2.5.1"


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
    """A system that the desk sends HL7 v2 to, over MLLP, or into a folder, here or by SFTP. Applications and facilities stand in MSH-3 to MSH-6."""

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
    """Where each message is put as a file of its own: here in place of a host and port, with a `user` at the host."""
    certificate: str = ""
    """File with the certificate that the desk shows there (PEM); with `key`."""
    key: str = ""
    authority: str = ""
    """File with the certificates that are trusted there; empty for those that this machine trusts."""
    user: str = ""
    """Whom the desk signs in as at a host that takes files by SFTP; with `key`, or `password`. Empty for any other way."""
    password: str = ""
    """File with that user's password."""
    version: Version = Version.V2_5_1
    host_keys: tuple[str, ...] = ()
    """What the host shows that it is the right one: fingerprints (`SHA256:…`), any of which is good."""

    @property
    def where(self) -> str:
        """Where it is reached, as people read it."""
        if self.user:
            return f"sftp://{self.host}:{self.port}/{self.folder.lstrip('/')}"
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
    only_its_orders: bool = False
    """True where it is told of the exams that it ordered, and of nobody else's."""

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


class OrderControl(StrEnum):
    """What a sender wants done with an order (HL7 ORC-1, read together with ORC-5); a link may say what its own pairs mean."""

    NEW = "new"
    CHANGE = "change"
    CANCEL = "cancel"
    DISCONTINUE = "discontinue"
    COMPLETED_ELSEWHERE = "completed elsewhere"
    HOLD = "hold"
    RELEASE = "release"
    NEWS = "news"
    """How far the sender sees the order; nothing is asked."""


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
    controls: Mapping[str, OrderControl] = field(default_factory=dict)
    """What the sender means by ORC-1, alone (`SC`) or with an ORC-5 (`SC CM`), in capitals."""

    def takes_in_clear(self, address: str) -> bool:
        """True where the site file lets an address use this link without TLS."""
        return self.insecure and any(lies_in(address, peer) for peer in self.peers)
