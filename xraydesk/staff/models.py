"""Technologists, porters and companions, what they can do and when they are on."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site, User
from xraydesk.siteplan.plan import CompanionKind


class Technologist(models.Model):
    """Someone who makes x-ray images. `shifts` maps a weekday to pairs of wall times."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    code = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    skills = ArrayField(models.CharField(max_length=32), default=list)
    shifts = models.JSONField(default=dict)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    away_until = models.DateTimeField(null=True)
    """Gone until then, whatever the shifts say; in the past, or null: here."""
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="technologist_code_in_site"),
        ]

    def __str__(self) -> str:
        return self.code


class Porter(models.Model):
    """Someone who brings patients and takes them back."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    code = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    shifts = models.JSONField(default=dict)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="porter_code_in_site"),
        ]

    def __str__(self) -> str:
        return self.code


class Companion(models.Model):
    """Somebody who goes along with a patient: an interpreter, or an escort who stays with them.

    `kind` and `languages` as the site file says; `shifts` maps a weekday to pairs of wall times.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    code = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=16)
    languages = ArrayField(models.CharField(max_length=32), default=list)
    shifts = models.JSONField(default=dict)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="companion_code_in_site"),
            models.CheckConstraint(
                condition=Q(kind__in=[k.value for k in CompanionKind]), name="companion_kind_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.code
