"""What patients are to be told, and when."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.contact.states import NoticeState
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient


class Notice(models.Model):
    """One thing to tell one patient about one exam. `text` is what is said; `due_at` is when it may go, not before."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="notices")
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="notices")
    text = models.CharField(max_length=500)
    state = models.CharField(max_length=12, default=NoticeState.WAITING)
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["exam"],
                condition=Q(state=NoticeState.WAITING.value),
                name="one_waiting_notice_an_exam",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in NoticeState]), name="notice_state_is_known"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "state", "due_at"], name="notice_by_due")]
