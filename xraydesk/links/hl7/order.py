"""What an order message asks for: ORM^O01, OMG^O19 and OMI^O23 to requisitions; pure.

Segments come as ORC, TQ1, OBR, and in OMI an IPC for each step; one ORC may have several
OBR, one OBR several IPC, and each of the last is one exam (HL7 2.5.1 §4.4). Orders with the
same placer number and wish are one requisition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from xraydesk.links.hl7.controls import NUMBER_PLEASE, control_of
from xraydesk.links.hl7.patient import phone_in, read_demographics
from xraydesk.links.hl7.reader import NOWHERE, Message, Segment, rejoined
from xraydesk.links.hl7.refusals import Condition, Rejected
from xraydesk.links.hl7.times import read_time
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.sides import LETTER_OF, sides_in_name
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Allergy, Demographics, Name
from xraydesk.siteplan.link_plan import OrderControl

PLACER_LENGTH_MAX = 64
EXAMS_MAX = 100
"""An order message with more exams than this is refused."""

PRIORITIES = {
    "S": Priority.STAT,
    "STAT": Priority.STAT,
    "A": Priority.URGENT,
    "ASAP": Priority.URGENT,
    "P": Priority.URGENT,
    "C": Priority.URGENT,
    "URGENT": Priority.URGENT,
}
"""TQ1-9, ORC-7.6 (HL7 table 0485): STAT, as soon as possible, preoperative, callback, and the words that
some senders write in place of the letters; all else is routine."""

SIDES = {
    "L": "L",
    "LT": "L",
    "LEFT": "L",
    "G-A101": "L",
    "R": "R",
    "RT": "R",
    "RIGHT": "R",
    "G-A100": "R",
    "B": "B",
    "50": "B",
    "BI": "B",
    "BIL": "B",
    "BILATERAL": "B",
    "BOTH": "B",
    "G-A102": "B",
}
"""How senders write a side: words, letters, billing modifiers and DICOM's older codes (CID 244)."""

TRANSPORT_LENGTH_MAX = 16

_BLANK = re.compile(r"\s")


@dataclass
class Group:
    """One OBR with the ORC and TQ1 it belongs to and its IPC; taken apart once, then only read."""

    orc: Segment
    orc_number: int
    obr: Segment = NOWHERE
    tq1: Segment = NOWHERE
    ipcs: list[Segment] = field(default_factory=list)
    zds: Segment = NOWHERE
    notes: list[str] = field(default_factory=list)
    is_timed: bool = False
    """True where a TQ1 of its own was read: one with several begins as the first says."""

    @property
    def control(self) -> str:
        """ORC-1, however it is written."""
        return self.orc.get(1).strip().upper()

    @property
    def status(self) -> str:
        """ORC-5, however it is written."""
        return self.orc.get(5).strip().upper()


def groups_of(message: Message) -> list[Group]:
    """The orders of a message, one entry an OBR; an ORC without OBR is an entry of its own."""
    groups: list[Group] = []
    number = 0
    for segment in rejoined(message.segments, "OBR", "NTE"):
        current = groups[-1] if groups else None
        match segment.name:
            case "ORC":
                number += 1
                groups.append(Group(segment, number))
            case "OBR":
                if current is None:
                    groups.append(Group(NOWHERE, 0, segment))
                elif current.obr is NOWHERE:
                    current.obr = segment
                else:
                    groups.append(Group(current.orc, current.orc_number, segment, current.tq1))
            case "TQ1" if current and not current.is_timed:
                current.tq1, current.is_timed = segment, True
            case "IPC" if current:
                current.ipcs.append(segment)
            case "ZDS" if current:
                current.zds = segment
            case "NTE" if current:
                current.notes += _repeated(segment, 3)
            case _:
                pass
    return groups


@dataclass(frozen=True)
class NumberAsked:
    """An order for which the sender wants our number."""

    placer: str
    authority: str


def read_number_requests(message: Message) -> tuple[NumberAsked, ...]:
    """The orders for which numbers are asked (every ORC-1 is SN), each once; empty where the message is about something else."""
    groups = groups_of(message)
    if not groups or any(group.control != NUMBER_PLEASE for group in groups):
        return ()
    return tuple(dict.fromkeys(NumberAsked(*placer_of(group)) for group in groups))


def read_requisitions(
    message: Message, *, zone: str, words: Mapping[str, OrderControl] | None = None
) -> tuple[Requisition, ...]:
    """What a message orders, changes or takes back, one requisition an order.

    `zone` is where times without an offset are from, `words` what the sender means by ORC-1 and ORC-5.

    Raises Rejected where the sender must correct it, NeedsPerson where a person must act.
    """
    patient = read_demographics(message, zone)
    groups = groups_of(message)
    if not groups or groups[0].orc is NOWHERE:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE, "ORC^1", "The message has no ORC segment: nothing is ordered"
        )
    if sum(max(1, len(g.ipcs)) for g in groups) > EXAMS_MAX:
        raise Rejected(
            Condition.DATA_TYPE,
            "OBR^1",
            f"The message asks for more than {EXAMS_MAX} exams: send them in parts",
        )
    controls = [control_of(g.control, g.status, g.orc_number, words) for g in groups]
    has_children = any(g.control == "CH" for g in groups)
    found: dict[tuple[OrderControl, str, str], Requisition] = {}
    for group, control in zip(groups, controls, strict=True):
        if has_children and group.control == "PA":
            continue
        one = _requisition(group, control, patient, zone)
        key = (one.control, one.placer_authority, one.placer or one.filler)
        if key in found:
            one = replace(found[key], exams=found[key].exams + one.exams)
        found[key] = one
    return tuple(found.values())


def _requisition(group: Group, control: OrderControl, patient: Demographics, zone: str) -> Requisition:
    orc, obr = group.orc, group.obr
    placer, authority = placer_of(group)
    filler = filler_of(group)
    _check_numbers(group, control, placer, filler)
    exams = tuple(_exams(group, zone))
    if control is OrderControl.NEW and obr is NOWHERE:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE,
            f"OBR^{group.orc_number}",
            f"Order {placer} has no OBR segment: it does not say which exam is asked for",
        )
    doctor, field_number = next(
        ((s, n) for s, n in ((obr, 16), (orc, 12)) if s.raw(n).strip(s.separators.component)), (orc, 12)
    )
    danger = obr.words(12, 2) or obr.words(12, 1)
    if danger:
        patient = replace(patient, alerts=(*patient.alerts, Allergy("risk", danger)))
    return Requisition(
        control=control,
        patient=patient,
        placer=placer,
        placer_authority=authority,
        exams=exams,
        filler=filler,
        provider_id=doctor.get(field_number).strip(),
        provider_name=_person(doctor, field_number),
        provider_phone=phone_in(obr, 17) or phone_in(orc, 14),
        transport=read_transport(obr),
        details=_details(group),
        status=group.status,
    )


def placer_of(group: Group) -> tuple[str, str]:
    """The placer number and its issuer (ORC-2, else OBR-2)."""
    for segment in (group.orc, group.obr):
        if value := segment.get(2).strip():
            return value, (segment.get(2, 2) or segment.get(2, 3)).strip()
    return "", ""


def filler_of(group: Group) -> str:
    """The filler number (ORC-3, else OBR-3)."""
    return group.orc.get(3).strip() or group.obr.get(3).strip()


def _check_numbers(group: Group, control: OrderControl, placer: str, filler: str) -> None:
    where = f"ORC^{group.orc_number}^2"
    if not placer and (control is OrderControl.NEW or not filler):
        raise Rejected(
            Condition.FIELD_MISSING,
            where,
            "The order has no placer number (ORC-2): it could never be found again",
        )
    for number, value in ((2, placer), (3, filler)):
        if len(value) > PLACER_LENGTH_MAX:
            raise Rejected(
                Condition.DATA_TYPE,
                f"ORC^{group.orc_number}^{number}",
                f"The order number in ORC-{number} has more than {PLACER_LENGTH_MAX} characters",
            )


def _exams(group: Group, zone: str) -> Iterable[RequestedExam]:
    if group.obr is NOWHERE and not group.ipcs:
        return
    for ipc in group.ipcs or [NOWHERE]:
        yield _exam(group, ipc, zone)


def _exam(group: Group, ipc: Segment, zone: str) -> RequestedExam:
    orc, obr = group.orc, group.obr
    code, text, system = read_procedure(obr, ipc)
    as_sent = start_as_sent(group)
    return RequestedExam(
        code=code,
        text=text,
        system=system,
        laterality=read_laterality(obr),
        accession=accession_of(obr, ipc),
        filler=filler_of(group),
        study_instance_uid=study_uid_of(group, ipc),
        requested_procedure_id=(ipc.get(2) or obr.get(19)).strip(),
        scheduled_step_id=(ipc.get(4) or obr.get(20)).strip(),
        priority=PRIORITIES.get(priority_code(group).upper(), Priority.ROUTINE),
        requested_at=read_time(as_sent, zone),
        requested_at_as_sent=as_sent,
        reason=read_reason(obr) or orc.words(16, 2) or orc.words(16, 1),
        clinical_information=read_clinical_information(obr),
    )


def read_procedure(obr: Segment, ipc: Segment = NOWHERE) -> tuple[str, str, str]:
    """Code, words and coding system of what is asked for: OBR-4, its alternate triplet, OBR-44, or IPC-6."""
    for segment, number in ((obr, 4), (obr, 44), (ipc, 6)):
        for first in (1, 4):
            code, system = (segment.get(number, first + n).strip() for n in (0, 2))
            if code:
                return code, segment.words(number, first + 1).strip(), system
    return "", obr.words(4, 2).strip() or obr.words(4, 5).strip(), ""


def accession_of(obr: Segment, ipc: Segment = NOWHERE) -> str:
    """The accession number that the sender assigned (IPC-1, OBR-18)."""
    return (ipc.get(1) or obr.get(18)).strip()


def study_uid_of(group: Group, ipc: Segment = NOWHERE) -> str:
    """The study UID that the sender assigned (IPC-3, ZDS-1)."""
    return (ipc.get(3) or group.zds.get(1)).strip()


def priority_code(group: Group) -> str:
    """The first of TQ1-9, ORC-7.6, OBR-27.6 and OBR-5 that is given."""
    places = ((group.tq1, 9, 1), (group.orc, 7, 6), (group.obr, 27, 6), (group.obr, 5, 1))
    return next((v for v in (s.get(n, c).strip() for s, n, c in places) if v), "")


def start_as_sent(group: Group) -> str:
    """When the exam is asked for, as written: TQ1-7, then ORC-7.4, OBR-27.4, OBR-36."""
    places = ((group.tq1, 7, 1), (group.orc, 7, 4), (group.obr, 27, 4), (group.obr, 36, 1))
    return next((v for v in (s.get(n, c).strip() for s, n, c in places) if v), "")


def read_reason(obr: Segment) -> str:
    """The reason for the study (OBR-31), several of them one after the other."""
    found = []
    for repetition in range(1, len(obr.repetitions(31)) + 1):
        text = obr.words(31, 2, repetition=repetition) or obr.words(31, 1, repetition=repetition)
        if text.strip():
            found.append(text.strip())
    return "; ".join(found)


def read_clinical_information(obr: Segment) -> str:
    """What is known of the patient's case (OBR-13): a text, or the words of coded entries (CWE, from 2.7 on)."""
    entries = [entry.split(obr.separators.component) for entry in obr.repetitions(13)]
    if entries and all(len(e) > 2 and e[1] and not _BLANK.search(e[0] + e[2]) for e in entries):
        return "; ".join(obr.words(13, 2, repetition=n).strip() for n in range(1, len(entries) + 1))
    marks = obr.separators
    return marks.repetition.join(_repeated(obr, 13)).strip(marks.component).strip()


def _repeated(segment: Segment, number: int) -> list[str]:
    """The texts of a field, one a repetition, without those that are empty."""
    texts = (segment.words(number, repetition=n) for n in range(1, len(segment.repetitions(number)) + 1))
    return [text for text in texts if text.strip()]


def read_transport(obr: Segment) -> str:
    """How the patient comes (OBR-30), its code or else its words."""
    return (obr.get(30) or obr.get(30, 2)).strip()[:TRANSPORT_LENGTH_MAX]


def read_laterality(obr: Segment) -> str:
    """The side asked for, `L`, `R` or `B`: OBR-15.5 and .4, the modifiers OBR-45, or OBR-46; else as the
    ordered procedure's own text (OBR-4) names it; "" where none is given.

    Left and right together mean both.
    """
    written = [obr.get(15, c, s) for c in (5, 4) for s in (1, 2)]
    for number in (45, 46):
        for repetition in range(1, len(obr.repetitions(number)) + 1):
            written += [obr.get(number, c, repetition=repetition) for c in (1, 2)]
    sides = {SIDES[w.strip().upper()] for w in written if w.strip().upper() in SIDES}
    if len(sides) > 1:
        return "B"
    return next(iter(sides), "") or LETTER_OF[sides_in_name(f"{obr.words(4, 2)} {obr.words(4, 5)}")]


def _person(segment: Segment, number: int) -> str:
    """A person's name (XCN) as DICOM writes it."""
    family, given, middle, suffix, prefix = (segment.get(number, c) for c in (2, 3, 4, 5, 6))
    return Name(family, given, middle, prefix, suffix).dicom()


def _details(group: Group) -> dict[str, str]:
    """What the order says besides, as written, for people to read."""
    said = {
        "order_control": group.orc.get(1),
        "order_status": group.orc.get(5),
        "entered_at": group.orc.get(9),
        "entered_by": _person(group.orc, 10),
        "notes": "\n".join(group.notes),
    }
    return {name: text for name, text in said.items() if text}
