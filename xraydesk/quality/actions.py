"""The only writer of readers' words. Call inside a transaction that holds the exam."""

from __future__ import annotations

from datetime import datetime

from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.quality.rules import NOTE_LENGTH_MAX, VIEW_LENGTH_MAX


def say(
    *,
    exam: Exam,
    view: str,
    reason: FeedbackReason,
    note: str,
    about: str,
    room: str,
    at: datetime,
    by: str,
) -> tuple[Feedback, bool]:
    """Keep a word on one view, and say whether it is new: the same word of the same reader stands once."""
    view, note = view[:VIEW_LENGTH_MAX], note[:NOTE_LENGTH_MAX]
    standing = Feedback.objects.filter(exam=exam, view=view, reason=reason, by=by, withdrawn_at=None).first()
    if standing is not None:
        return standing, False
    said = Feedback.objects.create(
        site_id=exam.site_id,
        exam=exam,
        view=view,
        reason=reason,
        note=note,
        about=about,
        room=room,
        at=at,
        by=by,
    )
    return said, True


def take_back(said: Feedback, *, at: datetime) -> bool:
    """Take a word back; False where it was taken back already."""
    return bool(Feedback.objects.filter(pk=said.pk, withdrawn_at=None).update(withdrawn_at=at))


def mark_seen(said: Feedback, *, at: datetime, by: str) -> bool:
    """Write down that a word was seen; False where it was already, or was taken back."""
    unseen = Feedback.objects.filter(pk=said.pk, seen_at=None, withdrawn_at=None)
    return bool(unseen.update(seen_at=at, seen_by=by))
