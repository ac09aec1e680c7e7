"""Patients, the numbers they are known by, and where they lie."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site


class Patient(models.Model):
    """One person, once, in one site's index.

    Names are kept in parts as the sender gave them. `name_folded` is the whole name
    without case and accents, for search and for look-alikes.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    family = models.CharField(max_length=194, blank=True)
    given = models.CharField(max_length=194, blank=True)
    middle = models.CharField(max_length=194, blank=True)
    prefix = models.CharField(max_length=64, blank=True)
    suffix = models.CharField(max_length=64, blank=True)
    name_folded = models.CharField(max_length=400, blank=True)
    birth_date = models.DateField(null=True)
    sex = models.CharField(max_length=1, blank=True)
    phone = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=250, blank=True)
    language = models.CharField(max_length=64, blank=True)
    pregnancy = models.CharField(max_length=16, blank=True)
    isolation = models.CharField(max_length=64, blank=True)
    deceased = models.BooleanField(default=False)
    temporary = models.BooleanField(default=False)
    merged_into = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="merged")
    created_at = models.DateTimeField()
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(sex__in=["", "F", "M", "O", "U"]), name="patient_sex_is_known"
            ),
            models.CheckConstraint(
                condition=Q(pregnancy__in=["", "yes", "no", "unknown", "not applicable"]),
                name="patient_pregnancy_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(merged_into=models.F("id")), name="a_record_is_not_merged_into_itself"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "name_folded"], name="patient_by_name"),
            models.Index(fields=["site", "birth_date"], name="patient_by_birth"),
            GinIndex(fields=["name_folded"], opclasses=["gin_trgm_ops"], name="patient_by_part_of_name"),
            models.Index(fields=["site", "phone"], condition=~Q(phone=""), name="patient_by_phone"),
            models.Index(fields=["site", "sex"], name="patient_by_sex"),
            models.Index(fields=["site", "created_at"], name="patient_by_creation"),
            models.Index(fields=["site", "id"], condition=Q(deceased=True), name="patient_deceased"),
        ]

    def __str__(self) -> str:
        return f"patient {self.pk}"


class PatientIdentifier(models.Model):
    """A number that somebody knows the patient by: the value, who issued it, and its type (MR, PI, SS…)."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="identifiers")
    value = models.CharField(max_length=64)
    authority = models.CharField(max_length=227, blank=True)
    type = models.CharField(max_length=16, blank=True)
    sort = models.SmallIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "authority", "value"], name="one_patient_an_identifier_and_issuer"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "value"], name="patient_identifier_by_value")]


class Alert(models.Model):
    """Something to mind with this patient: an allergy, a fall risk, a precaution."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=24)
    text = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["patient", "kind", "text"], name="an_alert_once"),
        ]


class Visit(models.Model):
    """One stay or attendance, and where the patient lies now."""

    class State(models.TextChoices):
        """Whether the patient is here."""

        ACTIVE = "active"
        ENDED = "ended"
        CANCELLED = "cancelled"

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="visits")
    number = models.CharField(max_length=64)
    account = models.CharField(max_length=64, blank=True)
    patient_class = models.CharField(max_length=1)
    ward = models.CharField(max_length=64, blank=True)
    bed = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.ACTIVE)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "patient", "number"], name="visit_number_of_patient"),
        ]


class Merge(models.Model):
    """Two records that were made one, or a stay that went over to another record, and what went with it.

    `moved` names every row that changed hands, by table (`orders`, `exams`, `bookings`…): undoing
    gives back just these. `whole` is False where only a stay or an account went over.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    stays = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="merges_in")
    goes = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="merges_out")
    whole = models.BooleanField(default=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    why = models.CharField(max_length=200)
    moved = models.JSONField(default=dict)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["goes"],
                condition=Q(undone_at=None, whole=True),
                name="a_record_goes_into_one_other",
            ),
            models.CheckConstraint(condition=~Q(stays=models.F("goes")), name="a_merge_is_of_two_records"),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "stays"], name="merge_into")]
