"""One exam as a modality's worklist shows it: plain values in, data elements out (PS3.3 C.4.10 to C.4.13). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from xraydesk.imaging.states import StepState
from xraydesk.links.dicom.elements import Element, Tree, fitted
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
"""Pregnancy Status (0010,21C0): 1 not, 3 definitely, 4 unknown; empty where it does not apply."""
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


_Maker = Callable[[Entry], Element]


def _empty(vr: str) -> _Maker:
    return lambda entry: Element(vr)


_EMPTY_IN_STEP = {0x00321070: "LO"}
_EMPTY_IN_WHOLE = {
    0x00081110: "SQ",
    0x00081120: "SQ",
    0x00101020: "DS",
    0x00101030: "DS",
    0x00102160: "SH",
    0x00104000: "LT",
    0x00380500: "LO",
    0x0040100A: "SQ",
    0x00402400: "LT",
    0x00403001: "LO",
}
ALWAYS_EMPTY = frozenset(_EMPTY_IN_STEP | _EMPTY_IN_WHOLE)
"""What the desk does not know of an exam; known all the same, so that a type 2 key is answered."""

_STEP: dict[int, _Maker] = {
    **{tag: _empty(vr) for tag, vr in _EMPTY_IN_STEP.items()},
    0x00080060: lambda entry: _one("CS", entry.modality),
    0x00400001: lambda entry: _many("AE", entry.station_ae_titles),
    0x00400002: lambda entry: Element("DA", (f"{entry.start:%Y%m%d}",)),
    0x00400003: lambda entry: Element("TM", (f"{entry.start:%H%M%S}",)),
    0x00400004: lambda entry: Element("DA", (f"{entry.end:%Y%m%d}",)),
    0x00400005: lambda entry: Element("TM", (f"{entry.end:%H%M%S}",)),
    0x00400006: lambda entry: _one("PN", entry.technologist),
    0x00400007: lambda entry: _one("LO", described(entry)),
    0x00400008: _codes,
    0x00400009: lambda entry: _one("SH", entry.scheduled_step_id),
    0x00400010: lambda entry: _one("SH", entry.station_name),
    0x00400011: lambda entry: _one("SH", entry.room),
    0x00400012: lambda entry: _one("LO", entry.preparation),
    0x00400020: lambda entry: _one("CS", entry.status),
    0x00400400: lambda entry: _one("LT", entry.note),
}
"""Elements of a Scheduled Procedure Step Sequence item (PS3.3 C.4.10)."""

_WHOLE: dict[int, _Maker] = {
    **{tag: _empty(vr) for tag, vr in _EMPTY_IN_WHOLE.items()},
    0x00080050: lambda entry: _one("SH", entry.accession),
    0x00080080: lambda entry: _one("LO", entry.institution),
    0x00080090: lambda entry: _one("PN", entry.provider),
    TIMEZONE_OFFSET: lambda entry: _one("SH", entry.start.strftime("%z")[:5]),
    0x00100010: lambda entry: _one(
        "PN", name(entry.family, entry.given, entry.middle, entry.prefix, entry.suffix)
    ),
    0x00100020: lambda entry: _one("LO", entry.patient_id),
    0x00100021: lambda entry: _one("LO", entry.patient_id_issuer),
    0x00100030: lambda entry: Element("DA", (f"{entry.birth_date:%Y%m%d}",) if entry.birth_date else ()),
    0x00100040: lambda entry: _one("CS", {"U": ""}.get(entry.sex, entry.sex)),
    0x00101000: lambda entry: _many("LO", entry.other_patient_ids),
    0x00102000: lambda entry: _many("LO", _alerts(entry, allergies=False)),
    0x00102110: lambda entry: _many("LO", _alerts(entry, allergies=True)),
    0x001021B0: lambda entry: _one("LT", entry.clinical_information),
    0x001021C0: lambda entry: Element(
        "US", (_PREGNANCY[entry.pregnancy],) if entry.pregnancy in _PREGNANCY else ()
    ),
    0x0020000D: lambda entry: Element("UI", (entry.study_instance_uid,)),
    0x00321032: lambda entry: _one("PN", entry.provider),
    0x00321033: lambda entry: _one("LO", entry.ward),
    0x00321060: lambda entry: _one("LO", described(entry)),
    0x00321064: _codes,
    0x00380010: lambda entry: _one("LO", entry.visit),
    0x00380050: lambda entry: _one("LO", entry.isolation),
    0x00380300: lambda entry: _one("LO", " ".join(part for part in (entry.ward, entry.bed) if part)),
    0x00401001: lambda entry: _one("SH", entry.requested_procedure_id),
    0x00401002: lambda entry: _one("LO", entry.reason),
    0x00401003: lambda entry: _one("SH", _PRIORITIES.get(Priority(entry.priority), "ROUTINE")),
    0x00401004: lambda entry: _one("LO", entry.transport),
    0x00401005: lambda entry: _one("LO", entry.location),
    0x00401010: lambda entry: _one("PN", entry.provider),
    0x00401400: lambda entry: _one("LT", entry.note),
    0x00402010: lambda entry: _one("SH", entry.provider_phone),
    0x00402016: lambda entry: _one("LO", entry.placer),
    0x00402017: lambda entry: _one("LO", entry.filler),
}
"""Elements of an entry, its scheduled step left out."""


def tree_of_entry(entry: Entry, query: Tree) -> dict[int, Element]:
    """The data elements of a worklist entry that a query names, for matching or for the answer."""
    tree = {tag: _WHOLE[tag](entry) for tag in query if tag in _WHOLE}
    if STEPS in query:
        keys = query[STEPS].items[0] if query[STEPS].items else {}
        step = {tag: _STEP[tag](entry) for tag in keys or _STEP if tag in _STEP}
        tree[STEPS] = Element("SQ", items=(step,))
    return tree


_CODE: Supported = dict.fromkeys((0x00080100, 0x00080102, 0x00080103, 0x00080104))
_REFERENCE: Supported = dict.fromkeys((0x00081150, 0x00081155))


SUPPORTED: Supported = {
    **dict.fromkeys(_WHOLE),
    0x00080005: None,
    STEPS: {**dict.fromkeys(_STEP), 0x00400008: _CODE},
    0x00321064: _CODE,
    0x0040100A: _CODE,
    0x00081110: _REFERENCE,
    0x00081120: _REFERENCE,
}
"""The keys that the desk's worklist knows; any other is answered FF01."""
