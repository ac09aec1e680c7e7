"""What every message of ours begins with: MSH, PID and PV1 (HL7 2.5.1 §2.15.9, §3.4.2, §3.4.3); pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from xraydesk.links.hl7.reader import Segment, Separators, written
from xraydesk.links.hl7.times import write_time
from xraydesk.siteplan.link_plan import OutlinkPlan, Version

DESK = ["", "X-ray desk"]
"""The desk as a person (XCN) where a message must name one: who arranged it, whom to ask."""


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
    def timing_field(self) -> list[object]:
        """ORC-7, without which a reader of 2.3 takes no ORC: once, and how urgent."""
        return ["1", *[""] * 4, self.priority]

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
            list(kind[:2] if to.version is Version.V2_3 else kind),  # MSH-9.3 came with 2.3.1
            number,
            "P",
            to.version,
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
    """A whole message, as it goes into its frame; fields that its reader's version does not have are left out."""
    lines = [header(kind, number=number, to=to, at=at), *(_known(s, to.version).text() for s in segments)]
    return ("\r".join(lines) + "\r").encode()


FIELDS_MAX = {("SCH", Version.V2_3): 25, ("SCH", Version.V2_3_1): 25}
"""How many fields a segment of ours has in an old version, where it has more later (SCH-26 and SCH-27: 2.4 §10.6.1)."""


def _known(segment: Segment, version: Version) -> Segment:
    return replace(segment, fields=segment.fields[: FIELDS_MAX.get((segment.name, version))])
