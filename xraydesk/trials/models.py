"""Rules that somebody tried on simulated days, and what came of it. Nothing here is about a patient."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from xraydesk.access.models import Site
from xraydesk.trials.states import UNDER_WAY, TrialState


class Trial(models.Model):
    """One run of a department in fast time.

    `policies` are the texts of policy files, in order; `scenario` is the text of a scenario file. With `facts_days` the
    scenario is learnt from so many whole days of the desk, and what they do not tell stays as in the file; `learnt` says
    in words what was. `charts` are pairs of a title and its SVG.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="trials")
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    policies = models.JSONField()
    scenario = models.TextField()
    facts_days = models.PositiveSmallIntegerField(default=0)
    load_percent = models.PositiveSmallIntegerField()
    days = models.PositiveSmallIntegerField()
    seed = models.PositiveIntegerField()
    state = models.CharField(max_length=8, default=TrialState.WAITING)
    days_done = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)
    why = models.CharField(max_length=500, blank=True)
    """Why it failed."""
    learnt = models.CharField(max_length=1000, blank=True)
    report = models.JSONField(null=True)
    charts = models.JSONField(default=list)
    workbook = models.BinaryField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site"],
                condition=Q(state__in=[s.value for s in UNDER_WAY]),
                name="one_trial_under_way_a_site",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in TrialState]), name="trial_state_is_known"
            ),
            models.CheckConstraint(condition=Q(days_done__lte=F("days")), name="trial_days_done_of_days"),
            models.CheckConstraint(
                condition=Q(state=TrialState.DONE.value, report__isnull=False, workbook__isnull=False)
                | (~Q(state=TrialState.DONE.value) & Q(report=None, workbook=None)),
                name="trial_has_a_report_when_done",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "-at"], name="trial_by_time")]
