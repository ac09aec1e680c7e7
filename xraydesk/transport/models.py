"""Porters' jobs: a patient fetched from the ward, or taken back."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.staff.models import Porter
from xraydesk.transport.states import LIVE, JobKind, JobState, Mode


class TransportJob(models.Model):
    """One way of one patient. `due_at` is when the patient is to be at `to_place`; `minutes` is the way itself."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="transport_jobs")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="transport_jobs")
    kind = models.CharField(max_length=8)
    state = models.CharField(max_length=12, default=JobState.WAITING)
    from_place = models.CharField(max_length=120)
    to_place = models.CharField(max_length=120)
    mode = models.CharField(max_length=8, default=Mode.CHAIR)
    oxygen = models.BooleanField(default=False)
    isolation = models.CharField(max_length=64, blank=True)
    minutes = models.PositiveSmallIntegerField(default=5)
    due_at = models.DateTimeField()
    porter = models.ForeignKey(Porter, null=True, on_delete=models.PROTECT, related_name="jobs")
    asked_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    picked_up_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=200, blank=True)
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["exam", "kind"],
                condition=Q(state__in=[s.value for s in LIVE]),
                name="one_live_job_an_exam_and_way",
            ),
            models.UniqueConstraint(
                fields=["porter"],
                condition=Q(state__in=[JobState.ACCEPTED.value, JobState.PICKED_UP.value]),
                name="one_job_at_a_time_a_porter",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[k.value for k in JobKind]), name="job_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in JobState]), name="job_state_is_known"
            ),
            models.CheckConstraint(condition=Q(mode__in=[m.value for m in Mode]), name="job_mode_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "state", "due_at"], name="job_by_state"),
            models.Index(fields=["site", "asked_at"], name="job_by_time"),
        ]
