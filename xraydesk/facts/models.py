"""The append-only history of what happened."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from xraydesk.access.models import Site


class Fact(models.Model):
    """One thing that happened, never changed afterwards (a trigger refuses it).

    `at` is when it happened, `recorded_at` when the desk learnt of it. What it is about
    is named by text keys: `accession`, `room`, and `patient` (the key of the patient
    row). `by` is who did it: `user:NAME`, `token:NAME`, `link:NAME`, `modality:AE`, `rule` or `desk`.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    kind = models.CharField(max_length=48)
    by = models.CharField(max_length=80)
    accession = models.CharField(max_length=16, blank=True)
    patient = models.BigIntegerField(null=True)
    room = models.CharField(max_length=32, blank=True)
    data = models.JSONField(default=dict)
    simulated = models.BooleanField(default=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["site", "accession", "at", "id"], name="fact_of_exam"),
            models.Index(fields=["site", "patient", "at"], name="fact_of_patient"),
            models.Index(fields=["site", "kind", "at"], name="fact_by_kind"),
            models.Index(fields=["site", "recorded_at"], name="fact_by_recording"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.accession}"
