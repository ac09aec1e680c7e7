"""What was checked before an exposure."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.safety.checks import CheckKind


class SafetyCheck(models.Model):
    """One answer to one question; the newest of a kind counts, older ones are kept.

    `passed` says whether the exam may go on by this answer. `method` says how it was
    found out ("said name and birth date", "wristband").
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="safety_checks")
    kind = models.CharField(max_length=16)
    answer = models.CharField(max_length=64)
    passed = models.BooleanField()
    method = models.CharField(max_length=64, blank=True)
    note = models.CharField(max_length=250, blank=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in CheckKind]), name="check_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["exam", "kind", "-at"], name="safety_check_newest")]
