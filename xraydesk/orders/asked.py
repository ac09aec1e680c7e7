"""What the sender last asked for, as it is kept beside what the desk made of it, and how two askings differ. Pure.

The desk may set another side or priority than was asked; a message that repeats the old
wish must not undo that. So a change is what differs between two askings, not what differs
between an asking and the exam.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xraydesk.orders.requisition import RequestedExam, Requisition

ASKED = (
    "code",
    "text",
    "system",
    "laterality",
    "priority",
    "requested_at",
    "requested_at_as_sent",
    "reason",
    "clinical_information",
)
"""Parts of a requested exam that may change; its numbers never do."""

STEP = "scheduled_step_id"
"""Beside the parts, where the sender gave one: the ID of the step as sent, whether or not the exam could have it."""

PROCEDURE_PARTS = frozenset({"code", "system"})
TRIAGE_PARTS = PROCEDURE_PARTS | {"text", "laterality", "reason", "clinical_information"}
"""What triage looks at: where one of these changed, it looks again."""

PLACE_PARTS = PROCEDURE_PARTS | {"requested_at", "priority"}
"""What a place in the plan depends on."""

_LENGTHS = {"code": 64, "text": 250, "system": 64, "laterality": 1, "requested_at_as_sent": 64}
TEXT_LENGTH_MAX = 10_000
"""Longest reason or clinical information kept; the message keeps it whole."""


def numbers_asked(exam: RequestedExam) -> dict[str, str]:
    """What is kept besides of a new exam, so that its sender can name it again."""
    return {STEP: exam.scheduled_step_id} if exam.scheduled_step_id else {}


def asked(exam: RequestedExam) -> dict[str, str]:
    """One requested exam as it is kept: text only, cut to what is kept of each part."""
    values: dict[str, str] = {}
    for part in ASKED:
        value = getattr(exam, part)
        text = value.isoformat() if part == "requested_at" and value else str(value or "")
        values[part] = text[: _LENGTHS.get(part, TEXT_LENGTH_MAX)]
    if values["laterality"] not in ("", "L", "R", "B"):
        values["laterality"] = ""
    return values


def changed_parts(before: Mapping[str, Any], now: Mapping[str, str]) -> frozenset[str]:
    """The parts that `now` asks for differently; what it leaves empty is not said, and so not changed.

    Another procedure brings its own system, words and side, said or not: those of the old one do not fit it.
    """
    found = {part for part in ASKED if now[part] and now[part] != before.get(part, "")}
    if "code" in found:
        found |= {part for part in ("system", "text", "laterality") if now[part] != before.get(part, "")}
    # The same moment may be written otherwise by the same sender; only the moment counts.
    return frozenset(found - {"requested_at_as_sent"})


ORDER_PARTS = ("provider_id", "provider_name", "provider_phone", "transport")
VISIT_PARTS = {
    "visit_number": "number",
    "account": "account",
    "patient_class": "patient_class",
    "ward": "ward",
    "bed": "bed",
}
_ORDER_LENGTHS = {
    "provider_id": 64,
    "provider_name": 200,
    "provider_phone": 64,
    "transport": 16,
    "visit_number": 64,
    "account": 64,
    "patient_class": 1,
    "ward": 64,
    "bed": 64,
}


def order_values(requisition: Requisition) -> dict[str, str]:
    """What a requisition says of the order itself: who asks, and where the patient is."""
    values = {part: str(getattr(requisition, part)) for part in ORDER_PARTS}
    values |= {part: str(getattr(requisition.patient.visit, of)) for part, of in VISIT_PARTS.items()}
    return {part: value[: _ORDER_LENGTHS[part]] for part, value in values.items()}


def changed_values(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The order's values that are said and differ. A bed belongs to its ward, so a new ward brings its own bed."""
    changed = {part: value for part, value in now.items() if value and value != before[part]}
    if "ward" in changed and now["bed"] != before["bed"]:
        changed["bed"] = now["bed"]
    return changed


@dataclass(frozen=True)
class Standing:
    """An exam that is there already, by what a later message may name it."""

    sequence: int
    accession: str
    filler: str
    code: str
    side: str = ""
    step: str = ""


def pair(
    standing: Sequence[Standing], asked: Sequence[RequestedExam]
) -> list[tuple[int | None, RequestedExam]]:
    """Which exam of the order each requested exam means, as (sequence or None for a new one, requested exam).

    By the scheduled step's ID, accession or filler number where the message names one; else by its code; what is left
    by its place in the message. An exam that the message leaves out is not touched.
    """
    free = {s.sequence: s for s in standing}
    meant: dict[int, int] = {}
    for matches in (_by_step, _by_number, _by_code, _by_place):
        for position, exam in enumerate(asked):
            if position in meant:
                continue
            sequence = next((s.sequence for s in free.values() if matches(s, exam, position)), None)
            if sequence is not None:
                meant[position] = sequence
                del free[sequence]
    return [(meant.get(position), exam) for position, exam in enumerate(asked)]


def named(standing: Sequence[Standing], asked: Sequence[RequestedExam]) -> frozenset[int]:
    """The exams of the order that a message means which ends or holds it: those that it names, by number, or by code and side.

    All of them where it names none, or one that is not there, or where what it says fits more exams than it has, or fewer (the
    filler number in ORC-3 stands for every OBR below it): then the order itself is meant.
    """
    all_of_them = frozenset(s.sequence for s in standing)
    found: frozenset[int] = frozenset()
    for fitting, times in Counter(_fitting(standing, exam) for exam in asked).items():
        if len(fitting) != times:
            return all_of_them
        found |= fitting
    return found or all_of_them


def _fitting(standing: Sequence[Standing], exam: RequestedExam) -> frozenset[int]:
    for matches in (_by_step, _by_number):
        if found := frozenset(s.sequence for s in standing if matches(s, exam, 0)):
            return found
    return frozenset(
        s.sequence for s in standing if _by_code(s, exam, 0) and _side_fits(s.side, exam.laterality)
    )


def _side_fits(standing: str, asked: str) -> bool:
    return not standing or not asked or standing == asked


def _by_step(standing: Standing, exam: RequestedExam, position: int) -> bool:
    """Several steps of one procedure have its accession number in common (IPC-1); their own IDs (IPC-4) tell them apart."""
    return bool(exam.scheduled_step_id) and exam.scheduled_step_id == standing.step


def _by_number(standing: Standing, exam: RequestedExam, position: int) -> bool:
    named = {exam.accession, exam.filler} - {""}
    return bool(named & {standing.accession, standing.filler})


def _by_code(standing: Standing, exam: RequestedExam, position: int) -> bool:
    return bool(exam.code) and exam.code == standing.code


def _by_place(standing: Standing, exam: RequestedExam, position: int) -> bool:
    return standing.sequence == position + 1
