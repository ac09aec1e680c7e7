"""An order that comes after its exam was done without one: is it that exam's? Pure.

Certain is what nobody could mean otherwise: one such exam, the same procedure and side, close in time. Whatever
else might be meant is asked, since an exam joined to the wrong order is charged and reported under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

CERTAIN_MAX = timedelta(hours=2)
"""Further from the time that an order asks for, the exam it means is not certain."""

ASKED_MAX = timedelta(hours=12)
"""Further away than this nobody is asked: it is another exam."""

SIDE_WORDS = {"L": "left", "R": "right", "B": "both sides"}


@dataclass(frozen=True)
class LateOrder:
    """What an order asks for. `code` is "" where the department does not know its procedure.

    `wanted_at` is the time it asks for, else when it came; `has_own_number` says that its sender gave it an
    accession number, which an exam done before it cannot carry.
    """

    code: str
    body_part: str
    has_sides: bool
    side: str
    wanted_at: datetime
    has_own_number: bool = False


@dataclass(frozen=True)
class DoneWithout:
    """An exam that was begun without an order. `code` is "" where the machine did not say which procedure it was.

    `side` is what its images show, "" where they show none. `is_settled` says that a person has decided that it
    needs no order, `was_parted` that somebody took back that this order is its own.
    """

    exam_id: int
    accession: str
    code: str
    body_part: str
    side: str
    begun_at: datetime
    is_settled: bool = False
    was_parted: bool = False


@dataclass(frozen=True)
class Certain:
    """The order is this exam's, and why."""

    exam_id: int
    why: str


@dataclass(frozen=True)
class Ask:
    """The order may be one of these exams' (the nearest in time first): a person says which, or that it is another."""

    exam_ids: tuple[int, ...]
    sentence: str


def meant(order: LateOrder, done: Sequence[DoneWithout]) -> Certain | Ask | None:
    """Which exam done before it an order means; None where it means one that is still to be done."""
    near = [one for one in done if _apart(order, one) <= ASKED_MAX and _may_be(order, one)]
    if not near:
        return None
    near.sort(key=lambda one: (_apart(order, one), one.exam_id))
    first = near[0]
    doubts = _doubts(order, near)
    if not doubts:
        minutes = int(_apart(order, first).total_seconds() // 60)
        side = f" ({SIDE_WORDS[order.side]})" if order.has_sides else ""
        return Certain(
            first.exam_id,
            f"same patient, same procedure{side}, {minutes} min apart, and no other exam without an order",
        )
    names = ", ".join(one.accession for one in near)
    return Ask(
        tuple(one.exam_id for one in near),
        f"Done already without an order, perhaps: exam {names}. Not certain: {doubts[0]}. "
        "Say whether this is its order.",
    )


def _apart(order: LateOrder, done: DoneWithout) -> timedelta:
    return abs(order.wanted_at - done.begun_at)


def _may_be(order: LateOrder, done: DoneWithout) -> bool:
    """Nothing that is known of the two contradicts."""
    is_same_part = bool(order.body_part) and done.body_part == order.body_part
    is_other = bool(done.code and order.code) and done.code != order.code and not is_same_part
    is_other_side = order.has_sides and bool(done.side and order.side) and done.side != order.side
    return not is_other and not is_other_side


def _doubts(order: LateOrder, near: Sequence[DoneWithout]) -> list[str]:
    """Why the first of them is not certain, in words; none where it is."""
    first = near[0]
    questions = (
        (len(near) > 1, "there are several"),
        (not first.code, "the machine did not say which procedure it was"),
        (first.code != order.code, "another procedure of the same part was done"),
        (order.has_sides and not order.side, "the order names no side"),
        (order.has_sides and order.side != first.side, "its images show no side"),
        (_apart(order, first) > CERTAIN_MAX, "the two are hours apart"),
        (first.was_parted, "somebody said already that this is not its order"),
        (first.is_settled, "somebody decided that it needs no order"),
        (order.has_own_number, "the order came with an accession number of its own"),
    )
    return [words for is_so, words in questions if is_so]


@dataclass(frozen=True)
class Since:
    """What followed after an order was joined to an exam. `charge` is the number of one that went out, else ""."""

    exam: str
    placer: str
    charge: str = ""
    has_report: bool = False
    is_cancel_asked: bool = False
    is_open_again: bool = False


def in_the_way(since: Since) -> list[str]:
    """What forbids to take a joining back, in sentences that say what to do first; none where nothing does."""
    told = (
        (
            since.charge,
            f"Charge {since.charge} went out under order {since.placer}: it has to be credited first.",
        ),
        (
            since.has_report,
            f"Its report went to order {since.placer}: the reporting system has to withdraw it first.",
        ),
        (
            since.is_cancel_asked,
            f"Whoever sent order {since.placer} asked to cancel it: decide on that first.",
        ),
        (since.is_open_again, f"Exam {since.exam} is to be done again under it: settle that first."),
    )
    return [sentence for stands, sentence in told if stands]
