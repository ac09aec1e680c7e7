"""Writing notices: the only writer of that table. All of it inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from xraydesk.contact.models import Notice
from xraydesk.contact.states import TRANSITIONS, NoticeAction, NoticeState
from xraydesk.lib.text import shortened
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient


class NoticeIsOver(Exception):
    """The notice was said or taken back already; nothing was written."""


def give_notice(*, exam: Exam, text: str, at: datetime, due_at: datetime) -> Notice:
    """Have a patient told about an exam. One that still waits about the same exam is taken back: only the newest holds."""
    for waiting in Notice.objects.select_for_update().filter(exam=exam, state=NoticeState.WAITING):
        _apply(waiting, NoticeAction.TAKE_BACK, at=at, by="rule")
    return Notice.objects.create(
        site_id=exam.site_id,
        patient_id=exam.patient_id,
        exam=exam,
        text=shortened(text, 500),
        made_at=at,
        due_at=due_at,
    )


def take_back(*, exam_id: int, at: datetime, by: str) -> int:
    """Nobody is told after all. How many notices that were not said yet were taken back."""
    waiting = list(Notice.objects.select_for_update().filter(exam=exam_id, state=NoticeState.WAITING))
    for notice in waiting:
        _apply(notice, NoticeAction.TAKE_BACK, at=at, by=by)
    return len(waiting)


def mark_said(notice: Notice, *, at: datetime, by: str) -> Notice:
    """Somebody told the patient. Raises NoticeIsOver."""
    return _apply(Notice.objects.select_for_update().get(pk=notice.pk), NoticeAction.SAY, at=at, by=by)


def give_to_patient(*, exams: Collection[int], to: Patient) -> None:
    """The notices about some exams are another record's now."""
    Notice.objects.filter(exam__in=exams).update(patient=to)


def _apply(notice: Notice, action: NoticeAction, *, at: datetime, by: str) -> Notice:
    reached = TRANSITIONS.get((NoticeState(notice.state), action))
    if reached is None:
        raise NoticeIsOver(f"That was {notice.state} already.")
    notice.state, notice.ended_at, notice.ended_by = reached, at, by
    notice.save(update_fields=["state", "ended_at", "ended_by"])
    return notice
