"""The one list of everything that waits for a person."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site


class Item(models.Model):
    """One thing that waits for a person: what, since when, until when, about what.

    Its subject is named by text keys, so that this table needs to know no domain. `key`
    names the cause: while an item with that key is open, raising it again changes nothing.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    kind = models.CharField(max_length=48)
    key = models.CharField(max_length=200)
    at = models.DateTimeField()
    until = models.DateTimeField()
    accession = models.CharField(max_length=16, blank=True)
    patient = models.BigIntegerField(null=True)
    room = models.CharField(max_length=32, blank=True)
    message = models.BigIntegerField(null=True)
    control_id = models.CharField(max_length=199, blank=True)
    sop_instance_uid = models.CharField(max_length=64, blank=True)
    text = models.TextField()
    data = models.JSONField(default=dict)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=80, blank=True)
    closed_how = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "key"], condition=Q(closed_at=None), name="one_open_item_a_cause"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | ~Q(closed_by=""), name="a_closed_item_says_by_whom"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "until"], condition=Q(closed_at=None), name="item_open_by_until"),
            models.Index(fields=["site", "accession"], name="item_of_exam"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
