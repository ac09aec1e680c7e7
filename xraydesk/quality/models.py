"""What readers say of images, for those who made them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.quality.reasons import FeedbackReason


class Feedback(models.Model):
    """A reader's word on one view of an exam, or on all of it (`view` empty). `about` is who performed it (`quality.rules.about`)."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="feedback")
    view = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=32)
    note = models.CharField(max_length=250, blank=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    about = models.CharField(max_length=80, blank=True)
    room = models.CharField(max_length=32, blank=True)
    seen_at = models.DateTimeField(null=True)
    seen_by = models.CharField(max_length=80, blank=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(reason__in=[r.value for r in FeedbackReason]), name="feedback_reason_is_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "-at"], name="feedback_by_time"),
            models.Index(fields=["exam"], name="feedback_of_exam"),
            models.Index(
                fields=["site", "about"],
                condition=Q(seen_at=None, withdrawn_at=None),
                name="feedback_unseen",
            ),
        ]
