"""X-ray rooms and portable units, the machines in them, and the wards patients come from."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Location, Site


class Room(models.Model):
    """A place where exams are done; a portable unit is a room of kind `portable` that goes to the ward.

    `hours` maps a weekday (`mon`…`sun`) to pairs of wall times, `closures` lists pairs of
    ISO wall date-times with a reason; `published` is when outpatients are booked ahead, `kept` what
    is kept for some (`whom`, `hours`, `release_minutes`); all as the site file says. A retired room is kept for its history.
    """

    class State(models.TextChoices):
        """Whether it can be used now."""

        READY = "ready"
        DOWN = "down"

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="rooms")
    code = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=32)
    hours = models.JSONField(default=dict)
    closures = models.JSONField(default=list)
    abilities = ArrayField(models.CharField(max_length=32), default=list)
    seats = models.PositiveSmallIntegerField(default=1)
    published = models.JSONField(default=dict)
    slot_minutes = models.PositiveSmallIntegerField(default=15)
    kept = models.JSONField(default=list)
    sort = models.IntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.READY)
    down_until = models.DateTimeField(null=True)
    down_reason = models.CharField(max_length=200, blank=True)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="room_code_in_site"),
            models.CheckConstraint(condition=Q(seats__gte=1), name="room_has_a_seat"),
        ]

    def __str__(self) -> str:
        return self.code


class PlannedClosure(models.Model):
    """A stretch in which a room will not be used because somebody here decided so, such as for maintenance.

    Those of the site file are in the room's `closures`; these are made and taken back on a screen.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="planned_closures")
    during = DateTimeRangeField()
    reason = models.CharField(max_length=200)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["site", "room"], name="closure_of_room")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(during__isempty=False)
                & Q(during__startswith__isnull=False)
                & Q(during__endswith__isnull=False),
                name="closure_has_start_and_end",
            )
        ]


class RoomNote(models.Model):
    """A word left about a room, for whoever works there next."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    text = models.CharField(max_length=500)


class Modality(models.Model):
    """A machine that asks for worklists and sends images: its AE title and where it stands."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="modalities")
    ae_title = models.CharField(max_length=16)
    modality = models.CharField(max_length=16)
    station_name = models.CharField(max_length=16, blank=True)
    host = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(null=True)
    charsets = ArrayField(models.CharField(max_length=16), default=list)
    """The character sets that it can show; empty where it can show whatever it asks in."""
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "ae_title"], name="modality_ae_title_in_site"),
        ]


class Ward(models.Model):
    """Where inpatients and emergency patients lie: whom to call, and how far it is."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    phone = models.CharField(max_length=64, blank=True)
    travel_minutes = models.PositiveSmallIntegerField(default=5)
    emergency = models.BooleanField(default=False)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="ward_code_in_site"),
        ]
