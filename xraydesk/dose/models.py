"""Dose on record: each value with the source it was read from."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.dose.report import DoseSource
from xraydesk.orders.models import Exam


class DoseRecord(models.Model):
    """One source's account of an exam's dose: a dose report, a performed step, or an image header.

    `total_dap_gym2` is in Gy·m². A record whose object is quarantined has no exam.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, null=True, on_delete=models.PROTECT, related_name="dose_records")
    source = models.CharField(max_length=16)
    sop_instance_uid = models.CharField(max_length=64)
    manufacturer = models.CharField(max_length=64, blank=True)
    total_dap_gym2 = models.FloatField(null=True)
    recorded_at = models.DateTimeField()
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "source", "sop_instance_uid"], name="one_dose_record_a_source"
            ),
            models.CheckConstraint(
                condition=Q(source__in=[s.value for s in DoseSource]), name="dose_source_is_known"
            ),
            models.CheckConstraint(
                condition=Q(total_dap_gym2=None) | Q(total_dap_gym2__gte=0), name="dose_is_not_negative"
            ),
        ]


class DoseEventRecord(models.Model):
    """One irradiation event on record, in SI units (see `xraydesk.dose.report.DoseEvent`)."""

    id = models.BigAutoField(primary_key=True)
    record = models.ForeignKey(DoseRecord, on_delete=models.CASCADE, related_name="events")
    event_uid = models.CharField(max_length=64)
    protocol = models.CharField(max_length=120, null=True)
    target_region = models.CharField(max_length=120, null=True)
    view = models.CharField(max_length=120, null=True)
    laterality = models.CharField(max_length=64, null=True)
    dap_gym2 = models.FloatField(null=True)
    dose_rp_gy = models.FloatField(null=True)
    kvp = ArrayField(models.FloatField(), default=list)
    mas = models.FloatField(null=True)
    exposure_time_ms = models.FloatField(null=True)
    exposure_index = models.FloatField(null=True)
    target_exposure_index = models.FloatField(null=True)
    deviation_index = models.FloatField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["record", "event_uid"], name="a_dose_event_once_a_record"),
        ]
