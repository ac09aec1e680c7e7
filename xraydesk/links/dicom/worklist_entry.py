"""One exam as a modality's worklist shows it: plain values in, data elements out (PS3.3 C.4.10 to C.4.13). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from xraydesk.imaging.states import StepState
from xraydesk.links.dicom.elements import Element, fitted
from xraydesk.links.dicom.worklist_codec import STEPS, TIMEZONE_OFFSET, Supported
from xraydesk.orders.states import Priority


class StepStatus(StrEnum):
    """Scheduled Procedure Step Status (PS3.3 C.4.10); the last three are ours and sent only when asked for."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELED = "CANCELED"


LISTED = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED})
"""What a worklist shows where the query does not ask for a status."""


def step_status(
    *, is_cancelled: bool, is_booked: bool, has_arrived: bool, step: StepState | None
) -> StepStatus | None:
    """The status of a scheduled step; None where the exam is neither booked nor was ever done.

    `step` is the deciding performed step. A discontinued exam that is still booked is to be
    done again, and so is scheduled.
    """
    if step is StepState.IN_PROGRESS:
        return StepStatus.STARTED
    if step is StepState.COMPLETED:
        return StepStatus.COMPLETED
    if is_cancelled:
        return StepStatus.CANCELED
    if is_booked:
        return StepStatus.ARRIVED if has_arrived else StepStatus.SCHEDULED
    return StepStatus.DISCONTINUED if step is StepState.DISCONTINUED else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One exam for a worklist. `start` and `end` are aware, in the zone that the answer is written in."""

    accession: str
    study_instance_uid: str
    requested_procedure_id: str
    scheduled_step_id: str
    start: datetime
    end: datetime
    status: StepStatus
    station_ae_titles: tuple[str, ...]
    modality: str
    station_name: str = ""
    room: str = ""
    location: str = ""
    technologist: str = ""
    institution: str = ""
    patient_id: str = ""
    patient_id_issuer: str = ""
    other_patient_ids: tuple[str, ...] = ()
    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""
    birth_date: date | None = None
    sex: str = ""
    pregnancy: str = ""
    alerts: tuple[tuple[str, str], ...] = ()
    isolation: str = ""
    procedure_code: str = ""
    procedure_system: str = ""
    procedure_text: str = ""
    laterality: str = ""
    preparation: str = ""
    priority: str = Priority.ROUTINE
    reason: str = ""
    clinical_information: str = ""
    note: str = ""
    provider: str = ""
    provider_phone: str = ""
    placer: str = ""
    filler: str = ""
    visit: str = ""
    ward: str = ""
    bed: str = ""
    transport: str = ""


_SIDES = {"L": "left", "R": "right", "B": "both sides"}
_PRIORITIES = {Priority.STAT: "STAT", Priority.URGENT: "HIGH", Priority.ROUTINE: "ROUTINE"}
_PREGNANCY = {"no": "1", "yes": "3", "unknown": "4"}
"""PS3.3 C.7.1.? Pregnancy Status: 1 not, 3 definitely, 4 unknown; empty where it does not apply."""
_SYSTEMS = {"L": "99XRD", "": "99XRD"}
"""A local code is named by a private designator (PS3.3 8.2): L is HL7's word for it."""


def name(family: str, given: str, middle: str, prefix: str, suffix: str) -> str:
    """A person name of DICOM, empty components at the end left out."""
    parts = (
        " ".join(part.replace("^", " ").replace("=", " ").split())
        for part in (family, given, middle, prefix, suffix)
    )
    return "^".join(parts).rstrip("^")


def described(entry: Entry) -> str:
    """The exam in words, with its side."""
    side = _SIDES.get(entry.laterality, "")
    text = entry.procedure_text or entry.procedure_code
    if not side:
        return text
    return f"{text[: 62 - len(side)]}, {side}"


def _one(vr: str, text: str) -> Element:
    value = fitted(vr, text)
    return Element(vr, (value,) if value else ())


def _many(vr: str, texts: Sequence[str]) -> Element:
    return Element(vr, tuple(value for text in texts if (value := fitted(vr, text))))


def _codes(entry: Entry) -> Element:
    if not entry.procedure_code:
        return Element("SQ")
    system = _SYSTEMS.get(entry.procedure_system, entry.procedure_system)
    code = {
        0x00080100: _one("SH", entry.procedure_code),
        0x00080102: _one("SH", system),
        0x00080104: _one("LO", entry.procedure_text or entry.procedure_code),
    }
    return Element("SQ", items=(code,))


def _alerts(entry: Entry, *, allergies: bool) -> list[str]:
    return [text for kind, text in entry.alerts if ("allerg" in kind.casefold()) is allergies]


def _step(entry: Entry, codes: Element) -> dict[int, Element]:
    return {
        0x00080060: _one("CS", entry.modality),
        0x00321070: Element("LO"),
        0x00400001: _many("AE", entry.station_ae_titles),
        0x00400002: Element("DA", (f"{entry.start:%Y%m%d}",)),
        0x00400003: Element("TM", (f"{entry.start:%H%M%S}",)),
        0x00400004: Element("DA", (f"{entry.end:%Y%m%d}",)),
        0x00400005: Element("TM", (f"{entry.end:%H%M%S}",)),
        0x00400006: _one("PN", entry.technologist),
        0x00400007: _one("LO", described(entry)),
        0x00400008: codes,
        0x00400009: _one("SH", entry.scheduled_step_id),
        0x00400010: _one("SH", entry.station_name),
        0x00400011: _one("SH", entry.room),
        0x00400012: _one("LO", entry.preparation),
        0x00400020: _one("CS", entry.status),
        0x00400400: _one("LT", entry.note),
    }


def tree_of_entry(entry: Entry) -> dict[int, Element]:
    """The data elements of a worklist entry; empty ones are there too, so that a type 2 key is answered."""
    codes = _codes(entry)
    place = " ".join(part for part in (entry.ward, entry.bed) if part)
    offset = entry.start.strftime("%z")
    return {
        0x00080050: _one("SH", entry.accession),
        0x00080080: _one("LO", entry.institution),
        0x00080090: _one("PN", entry.provider),
        TIMEZONE_OFFSET: _one("SH", offset[:5]),
        0x00081110: Element("SQ"),
        0x00081120: Element("SQ"),
        0x00100010: _one("PN", name(entry.family, entry.given, entry.middle, entry.prefix, entry.suffix)),
        0x00100020: _one("LO", entry.patient_id),
        0x00100021: _one("LO", entry.patient_id_issuer),
        0x00100030: Element("DA", (f"{entry.birth_date:%Y%m%d}",) if entry.birth_date else ()),
        0x00100040: _one("CS", {"U": ""}.get(entry.sex, entry.sex)),
        0x00101000: _many("LO", entry.other_patient_ids),
        0x00101020: Element("DS"),
        0x00101030: Element("DS"),
        0x00102000: _many("LO", _alerts(entry, allergies=False)),
        0x00102110: _many("LO", _alerts(entry, allergies=True)),
        0x001021B0: _one("LT", entry.clinical_information),
        0x001021C0: Element("US", (_PREGNANCY[entry.pregnancy],) if entry.pregnancy in _PREGNANCY else ()),
        0x00104000: Element("LT"),
        0x0020000D: Element("UI", (entry.study_instance_uid,)),
        0x00321032: _one("PN", entry.provider),
        0x00321033: _one("LO", entry.ward),
        0x00321060: _one("LO", described(entry)),
        0x00321064: codes,
        0x00380010: _one("LO", entry.visit),
        0x00380050: _one("LO", entry.isolation),
        0x00380300: _one("LO", place),
        0x00380500: Element("LO"),
        STEPS: Element("SQ", items=(_step(entry, codes),)),
        0x00401001: _one("SH", entry.requested_procedure_id),
        0x00401002: _one("LO", entry.reason),
        0x00401003: _one("SH", _PRIORITIES.get(Priority(entry.priority), "ROUTINE")),
        0x00401004: _one("LO", entry.transport),
        0x00401005: _one("LO", entry.location),
        0x0040100A: Element("SQ"),
        0x00401400: _one("LT", entry.note),
        0x00402010: _one("SH", entry.provider_phone),
        0x00402016: _one("LO", entry.placer),
        0x00402017: _one("LO", entry.filler),
        0x00402400: Element("LT"),
        0x00403001: Element("LO"),
    }


_CODE: Supported = dict.fromkeys((0x00080100, 0x00080102, 0x00080103, 0x00080104))
_REFERENCE: Supported = dict.fromkeys((0x00081150, 0x00081155))


def _supported() -> Supported:
    """Every key that `tree_of_entry` answers, by the same list."""
    day = datetime(2000, 1, 1).astimezone()
    whole = tree_of_entry(Entry("A", "1.2", "R", "S", day, day, StepStatus.SCHEDULED, ("X",), "DX"))
    keys: dict[int, Supported | None] = dict.fromkeys(whole)
    step: dict[int, Supported | None] = dict.fromkeys(whole[STEPS].items[0])
    step[0x00400008] = _CODE
    keys |= {
        STEPS: step,
        0x00321064: _CODE,
        0x0040100A: _CODE,
        0x00081110: _REFERENCE,
        0x00081120: _REFERENCE,
        0x00080005: None,
    }
    return keys


SUPPORTED: Supported = _supported()
"""The keys that the desk's worklist knows; any other is answered FF01."""
