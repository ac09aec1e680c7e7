"""What a message or a form says of a patient; frozen, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Identifier:
    """One number of a patient with its issuer (HL7 CX: value, CX-4 namespace, CX-5 type)."""

    value: str
    authority: str = ""
    type: str = ""


@dataclass(frozen=True)
class Name:
    """A person's name in parts (HL7 XPN, DICOM PN)."""

    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""

    def dicom(self) -> str:
        """The name as DICOM writes it, trailing carets left out: `Family^Given^Middle^Prefix^Suffix`."""
        parts = [self.family, self.given, self.middle, self.prefix, self.suffix]
        clean = [p.replace("^", " ").replace("=", " ").replace("\\", " ").strip() for p in parts]
        return "^".join(clean).rstrip("^")

    def spoken(self) -> str:
        """The name as lists show it: `Family, Given Middle`; "no name yet" where it is missing."""
        given = " ".join(p for p in (self.given, self.middle) if p)
        return ", ".join(p for p in (self.family, given) if p) or "no name yet"


@dataclass(frozen=True)
class Allergy:
    """One entry of AL1 or a form: kind (`allergy`, `risk`, `precaution`) and words."""

    kind: str
    text: str


@dataclass(frozen=True)
class VisitDetails:
    """Where the patient is and as what (PV1). `patient_class` is HL7 table 0004: I, O, E, P, R, B."""

    number: str = ""
    account: str = ""
    """The account that it is charged to (PID-18); several stays may share one."""
    patient_class: str = ""
    ward: str = ""
    bed: str = ""
    admitted_at: datetime | None = None
    discharged_at: datetime | None = None


@dataclass(frozen=True)
class Demographics:
    """Everything a message says of one patient. Empty means "not said"; what is to be deleted stands in `emptied`."""

    identifiers: tuple[Identifier, ...]
    name: Name = Name()
    birth_date: date | None = None
    sex: str = ""
    phone: str = ""
    address: str = ""
    language: str = ""
    pregnancy: str = ""
    isolation: str = ""
    deceased: bool | None = None
    """None where nothing is said of it."""
    alerts: tuple[Allergy, ...] = ()
    visit: VisitDetails = field(default_factory=VisitDetails)
    emptied: frozenset[str] = frozenset()
    """Of `phone`, `address` and `language` those that the sender deletes: nobody is to use them any more."""
