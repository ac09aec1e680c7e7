"""Charges: what was done, in the words and codes of whoever pays; and who that is."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.billing.states import LIVE, ChargeState
from xraydesk.lib.exact_json import ExactDecoder, ExactEncoder
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient


class Charge(models.Model):
    """One charge for one exam, for what was done and not for what was ordered.

    `number` is FT1-2, the same on charge (CG) and credit (CD). `views` are those that images
    show, repeats left out; `repeated` counts those. `reasons` says why it is
    held: a list of `{"key", "sentence"}`. `gone_at` is when it was first given to be sent.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="charges")
    number = models.CharField(max_length=32)
    state = models.CharField(max_length=12)
    code = models.CharField(max_length=32, blank=True)
    text = models.CharField(max_length=120, blank=True)
    modifiers = ArrayField(models.CharField(max_length=4), default=list)
    quantity = models.PositiveSmallIntegerField(default=1)
    views = ArrayField(models.CharField(max_length=64), default=list)
    repeated = models.PositiveSmallIntegerField(default=0)
    reasons = models.JSONField(default=list)
    service_at = models.DateTimeField()
    made_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    credited_at = models.DateTimeField(null=True)
    credited_why = models.CharField(max_length=200, blank=True)
    override_by = models.CharField(max_length=80, blank=True)
    override_why = models.CharField(max_length=200, blank=True)
    """Who let it go as it was done, and why, although something held it."""
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "number"], name="charge_number_in_site"),
            models.UniqueConstraint(
                fields=["exam"],
                condition=Q(state__in=[s.value for s in LIVE]),
                name="one_standing_charge_an_exam",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in ChargeState]), name="charge_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[ChargeState.READY.value, ChargeState.ACCEPTED.value]) | ~Q(code=""),
                name="a_charge_that_goes_has_a_code",
            ),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="charge_counts_something"),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "state", "made_at"], name="charge_by_state")]


class Coverage(models.Model):
    """Who pays for a patient's exams, as the EHR sent it (`resource`), with what it is found by.

    `number` and its issuer `authority` name it where it has one.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="coverages")
    number = models.CharField(max_length=64, blank=True)
    authority = models.CharField(max_length=227, blank=True)
    status = models.CharField(max_length=20)
    subscriber = models.CharField(max_length=64, blank=True)
    payor = models.CharField(max_length=250, blank=True)
    starts = models.DateField(null=True)
    ends = models.DateField(null=True)
    resource = models.JSONField(encoder=ExactEncoder, decoder=ExactDecoder)
    changed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "patient", "authority", "number"],
                condition=~Q(number=""),
                name="one_coverage_a_number_and_patient",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "number"], name="coverage_by_number"),
            models.Index(fields=["site", "changed_at"], name="coverage_by_change"),
            models.Index(fields=["site", "status"], name="coverage_by_status"),
        ]
