"""What every message of ours begins with: MSH, PID and PV1 (HL7 2.5.1 §2.15.9, §3.4.2, §3.4.3); pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from xraydesk.links.hl7.reader import Segment, Separators, written
from xraydesk.links.hl7.times import write_time
from xraydesk.siteplan.link_plan import OutlinkPlan

VERSION = "2.5.1"


@dataclass(frozen=True)
class PatientTold:
    """A patient as messages of ours name them. Identifiers are value, issuer and type."""

    identifiers: tuple[tuple[str, str, str], ...]
    family: str
    given: str
    middle: str = ""
    birth_date: date | None = None
    sex: str = ""
    patient_class: str = ""
    ward: str = ""
    bed: str = ""
    visit_number: str = ""


@dataclass(frozen=True)
class OrderTold:
    """An exam as messages of ours name it: the placer's number with its issuer, ours, and what is done."""

    placer: str
    placer_authority: str
    filler: str
    accession: str
    code: str
    text: str
    system: str
    priority: str = "R"
    provider_number: str = ""
    provider_name: str = ""

    @property
    def placer_field(self) -> list[object]:
        """ORC-2, OBR-2: an entity identifier."""
        return [self.placer, self.placer_authority] if self.placer_authority else [self.placer]

    @property
    def procedure_field(self) -> list[object]:
        """OBR-4: code, words, system."""
        return [self.code, self.text, self.system]

    @property
    def provider_field(self) -> object:
        """ORC-12, OBR-16: number and name; empty where nobody is named."""
        named = [self.provider_number, *name_parts(self.provider_name)]
        return named if any(named) else ""


def name_parts(name: str) -> tuple[str, ...]:
    """A name that is kept as DICOM writes it, as the parts that HL7 wants after a number (XCN): family, given, middle, suffix, prefix."""
    family, given, middle, prefix, suffix = (*name.split("^", 4), "", "", "", "", "")[:5]
    return family, given, middle, suffix, prefix


def header(kind: Sequence[str], *, number: str, to: OutlinkPlan, at: datetime) -> str:
    """MSH. `kind` is code, event and structure (`("SIU", "S12", "SIU_S12")`); the text is UTF-8, and says so."""
    # Written as another segment first: of MSH the separators themselves are fields.
    rest = written(
        "HDR",
        [
            to.sending_application,
            to.sending_facility,
            to.receiving_application,
            to.receiving_facility,
            write_time(at),
            "",
            list(kind),
            number,
            "P",
            VERSION,
            *[""] * 5,
            "UNICODE UTF-8",
        ],
    )
    separators = Separators()
    return (
        "MSH"
        + separators.field
        + separators.declared()
        + separators.field
        + rest.text().split(separators.field, 1)[1]
    )


def patient_segments(patient: PatientTold) -> list[Segment]:
    """PID and PV1."""
    numbers = tuple([value, "", "", issuer, kind] for value, issuer, kind in patient.identifiers)
    born = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    name: list[object] = [patient.family, patient.given, patient.middle]
    place: object = [patient.ward, "", patient.bed] if patient.ward else ""
    pv1: list[object] = ["1", patient.patient_class or "U", place, *[""] * 15, patient.visit_number]
    return [
        written("PID", ["1", "", numbers, "", name, "", born, patient.sex]),
        written("PV1", pv1),
    ]


def message(
    kind: Sequence[str], segments: Sequence[Segment], *, number: str, to: OutlinkPlan, at: datetime
) -> bytes:
    """A whole message, as it goes into its frame."""
    lines = [header(kind, number=number, to=to, at=at), *(segment.text() for segment in segments)]
    return ("\r".join(lines) + "\r").encode()
