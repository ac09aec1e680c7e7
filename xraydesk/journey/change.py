"""A sender changes, holds or releases an order that is here: what is affected is triaged and booked anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.cancel import begun, refuse_begun
from xraydesk.journey.errors import WrongState
from xraydesk.journey.performing import planned_booking, tell
from xraydesk.journey.policy import policies_of
from xraydesk.journey.told import order_told
from xraydesk.journey.triage import RULE, hold
from xraydesk.orders import actions, queries
from xraydesk.orders.asked import (
    PLACE_PARTS,
    PROCEDURE_PARTS,
    STEP,
    TRIAGE_PARTS,
    Standing,
    asked,
    changed_parts,
    changed_values,
    named,
    order_values,
    pair,
)
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.rules import Code, Finding, Level
from xraydesk.orders.states import OrderState, TriageAction, TriageState
from xraydesk.scheduling import actions as scheduling
from xraydesk.scheduling.states import BookingState


@dataclass(frozen=True)
class Wish:
    """What a message asks of one exam: the exam (None for one more), the parts asked for differently."""

    exam: Exam | None
    asked_for: RequestedExam
    parts: frozenset[str]


def change_order(
    *, site: Site, order: Order, requisition: Requisition, at: datetime, by: str
) -> tuple[list[Exam], bool]:
    """Bring an order to what a message now asks; its exams, and whether anything changed.

    What the message leaves empty or out stays. Raises AlreadyStarted where an exam that it
    changes has begun, and WrongState where it, or the order, is cancelled.
    """
    exams = queries.exams_of(order)
    wishes = _wishes(exams, requisition)
    of_order = changed_values(
        {k: getattr(order, k) for k in order_values(requisition)}, order_values(requisition)
    )
    differing = [w for w in wishes if w.exam is None or w.parts]
    if not differing and not of_order:
        return exams, False
    _refuse(order, [w.exam for w in differing if w.exam])
    actions.change_order(order, of_order)
    for wish in differing:
        if wish.exam:
            _change_exam(wish.exam, wish, site=site, order=order, at=at, by=by)
    exams += _add(order, [w.asked_for for w in differing if w.exam is None], exams, site=site, at=at, by=by)
    if of_order and not differing:
        # Who asks and where the patient is may change while an exam goes on; every exam's history says so.
        for exam in exams:
            tell(exam, FactKind.ORDER_CHANGED, at=at, by=by, data={"changed": sorted(of_order)})
    return exams, True


def _wishes(exams: list[Exam], requisition: Requisition) -> list[Wish]:
    standing = _standing(exams)
    by_sequence = {exam.sequence: exam for exam in exams}
    wishes = []
    for sequence, asked_for in pair(standing, requisition.exams):
        exam = by_sequence[sequence] if sequence is not None else None
        parts = changed_parts(exam.asked, asked(asked_for)) if exam else frozenset()
        wishes.append(Wish(exam, asked_for, parts))
    return wishes


def _standing(exams: list[Exam]) -> list[Standing]:
    return [
        Standing(
            sequence=e.sequence,
            accession=e.accession,
            filler=e.filler,
            code=e.asked.get("code", ""),
            side=e.asked.get("laterality", ""),
            step=e.asked.get(STEP, e.scheduled_step_id),
        )
        for e in exams
    ]


def exams_named(exams: list[Exam], requisition: Requisition) -> list[Exam]:
    """Those of an order's exams that a message means which ends or holds it (`orders.asked.named`)."""
    sequences = named(_standing(exams), requisition.exams)
    return [exam for exam in exams if exam.sequence in sequences]


def _refuse(order: Order, exams: list[Exam]) -> None:
    if order.state != OrderState.ACTIVE:
        raise WrongState(
            f"Order {order.placer} is {order.state}: it cannot be changed. Send a new order with a number of its own."
        )
    refuse_begun(exams)
    for exam in exams:
        if exam.triage == TriageState.CANCELLED:
            raise WrongState(
                f"Exam {exam.accession} was cancelled here: {exam.cancelled_why}. Send a new order."
            )


def _change_exam(exam: Exam, wish: Wish, *, site: Site, order: Order, at: datetime, by: str) -> None:
    said = wish.asked_for if wish.asked_for.code else None
    code, system = (
        (said.code, said.system) if said else (exam.asked.get("code", ""), exam.asked.get("system", ""))
    )
    offered = actions.offered_procedures(site, [(code, system)], source=order.source)
    actions.set_wish(
        exam,
        asked(wish.asked_for),
        wish.parts,
        wish.asked_for.requested_at,
        offered=offered,
        policies=policies_of(site),
    )
    actions.save_exam(exam)
    if wish.parts & PLACE_PARTS:
        free_place(exam, wish.parts, at=at, by=by)
    if wish.parts & TRIAGE_PARTS:
        _look_again(exam, at=at, by=by)
    tell(exam, FactKind.ORDER_CHANGED, at=at, by=by, data={"changed": sorted(wish.parts)} | order_told(exam))


def free_place(exam: Exam, parts: frozenset[str], *, at: datetime, by: str) -> None:
    """Give up a place that was found for another wish; the reaction to the change finds the next.

    A patient who is here already keeps theirs while the room can do what is asked now: sent
    back to the end of the line they would wait for nothing.
    """
    booking = planned_booking(exam)
    if booking is None:
        return
    is_here = booking.state == BookingState.BOOKED and booking.arrived_at is not None
    room_fits = exam.procedure is not None and booking.room.kind in exam.procedure.room_kinds
    if is_here and (room_fits or not parts & PROCEDURE_PARTS):
        return
    scheduling.release(booking, at=at, why="the order was changed")
    tell(
        exam,
        FactKind.BOOKING_RELEASED,
        at=at,
        by=by,
        room=booking.room,
        data={"why": "the order was changed"},
    )


def _look_again(exam: Exam, *, at: datetime, by: str) -> None:
    """Let triage decide anew; what a person or the sender holds stays held, and says that it changed."""
    if exam.triage == TriageState.HELD and exam.triaged_by != RULE:
        note = Finding(Level.NOTE, Code.CHANGED, "The order was changed since it was held.")
        kept = [f for f in (Finding.from_json(one) for one in exam.findings) if f.code is not Code.CHANGED]
        by_whom = exam.triaged_by
        actions.apply_triage(exam, TriageAction.HOLD, at=at, by=by_whom, findings=[*kept, note])
    elif exam.triage != TriageState.WAITING:
        actions.apply_triage(exam, TriageAction.RECONSIDER, at=at, by=by)


def _add(
    order: Order, asked_for: list[RequestedExam], exams: list[Exam], *, site: Site, at: datetime, by: str
) -> list[Exam]:
    if not asked_for:
        return []
    sequence = max((exam.sequence for exam in exams), default=0) + 1
    added = actions.add_exams(
        order=order, site=site, asked_for=asked_for, policies=policies_of(site), at=at, sequence=sequence
    )
    for exam in added:
        tell(exam, FactKind.ORDER_RECEIVED, at=at, by=by, data=order_told(exam))
    return added


def hold_order(*, order: Order, requisition: Requisition, at: datetime, by: str) -> tuple[list[Exam], bool]:
    """The sender wants an order to wait: every exam that it names, and that has not begun, is held.

    Raises AlreadyStarted where all have.
    """
    exams = exams_named(queries.exams_of(order), requisition)
    started = begun(exams)
    waiting = [e for e in exams if e.triage != TriageState.CANCELLED and not is_held_by_sender(e)]
    open_exams = [e for e in waiting if e.pk not in started]
    if waiting and not open_exams:
        refuse_begun(waiting)
    for exam in open_exams:
        hold(exam, Finding(Level.HOLD, Code.SENDER, "The sender of the order holds it."), at=at, by=by)
    return exams, bool(open_exams)


def release_order(
    *, order: Order, requisition: Requisition, at: datetime, by: str
) -> tuple[list[Exam], bool]:
    """The sender lets an order go on: those of the exams that it names which it held are triaged anew."""
    exams = exams_named(queries.exams_of(order), requisition)
    held = [e for e in exams if is_held_by_sender(e)]
    for exam in held:
        actions.apply_triage(exam, TriageAction.RECONSIDER, at=at, by=by, findings=[])
        tell(exam, FactKind.ORDER_CHANGED, at=at, by=by, data={"changed": ["released"]})
    return exams, bool(held)


def is_held_by_sender(exam: Exam) -> bool:
    """True where the sender of the order wants it to wait."""
    return exam.triage == TriageState.HELD and any(f.get("code") == Code.SENDER for f in exam.findings)
