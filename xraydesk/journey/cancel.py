"""An exam is not to be done after all: its place is free, and nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from xraydesk.attention.actions import close_items_of_exam
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import AlreadyStarted, UnknownExam, WrongState
from xraydesk.journey.performing import planned_booking, tell
from xraydesk.orders import actions, queries
from xraydesk.orders.models import Exam
from xraydesk.orders.states import OrderState, TriageAction, TriageState
from xraydesk.scheduling import actions as scheduling

ENDS_WITH_THE_EXAM = (
    ItemKind.EXAM_HELD,
    ItemKind.LATE_ORDER,
    ItemKind.NO_PLACE,
    ItemKind.ORDER_SEEN_OTHERWISE,
)
"""Items whose cause is gone when the exam is."""


def cancel_after_start_key(accession: str) -> str:
    """Under which key an exam stands on the list that its sender cancelled after it had begun."""
    return f"cancel after start:{accession}"


def cancel_exam(*, exam_id: int, at: datetime, by: str, why: str) -> Exam:
    """Cancel one exam; its place in the plan is free at once, and the last one cancelled ends its order.

    Raises UnknownExam, AlreadyStarted, and WrongState where it is cancelled already.
    """
    with transaction.atomic():
        exam = queries.lock_exam(exam_id)
        if exam is None:
            raise UnknownExam("There is no such exam here.")
        refuse_begun([exam])
        call_off(exam, kind=FactKind.EXAM_CANCELLED, at=at, by=by, why=why)
        others = exam.order.exams.exclude(pk=exam.pk).exclude(triage=TriageState.CANCELLED)
        if not others.exists():
            actions.set_order_state(exam.order, OrderState.CANCELLED)
        return exam


def call_off(exam: Exam, *, kind: FactKind, at: datetime, by: str, why: str) -> None:
    """Cancel an exam that is locked: its triage, its booking, its items; `kind` is the fact that tells of it."""
    try:
        actions.apply_triage(exam, TriageAction.CANCEL, at=at, by=by, why=why)
    except actions.NotPossible:
        raise WrongState(f"Exam {exam.accession} is cancelled already; nothing was changed.") from None
    booking = planned_booking(exam)
    if booking:
        scheduling.cancel(booking, at=at, why=why)
    close_items_of_exam(
        site_id=exam.site_id,
        accession=exam.accession,
        kinds=ENDS_WITH_THE_EXAM,
        at=at,
        by=by,
        how="cancelled",
    )
    tell(exam, kind, at=at, by=by, room=booking.room if booking else None, data={"why": why})


def begun(exams: Iterable[Exam]) -> set[int]:
    """The keys of those exams that are under way or done."""
    found = StepExam.objects.filter(
        exam__in=[exam.pk for exam in exams],
        voided=False,
        step__state__in=[StepState.IN_PROGRESS, StepState.COMPLETED],
    )
    return set(found.values_list("exam_id", flat=True))


def refuse_begun(exams: Iterable[Exam]) -> None:
    """Raise AlreadyStarted where one of the exams has begun, and name it."""
    all_of_them = list(exams)
    started = begun(all_of_them)
    names = [exam.accession for exam in all_of_them if exam.pk in started]
    if names:
        raise AlreadyStarted(
            f"Exam {', '.join(names)} has begun: it goes on as it was ordered. Nothing was changed; "
            "tell the room if it should stop."
        )
