"""Bookings, guarded by the database, and the changes of several at once that somebody agreed to."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q

from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.rooms.models import Room
from xraydesk.scheduling.states import LIVE, OCCUPYING, BookingState, Going, HoldState
from xraydesk.staff.models import Companion, Porter, Technologist

_OCCUPYING = Q(state__in=[s.value for s in OCCUPYING])
_LIVE = Q(state__in=[s.value for s in LIVE])


class Hold(models.Model):
    """Places kept for somebody who makes up their mind: all of them until one moment, and for nobody else.

    `places` tells of them, one object a place (accession, room, start, end, technologist,
    who goes along), and stays when they are gone; `lacks` says what they lack.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    state = models.CharField(max_length=12, default=HoldState.HELD)
    until = models.DateTimeField()
    held_at = models.DateTimeField()
    held_by = models.CharField(max_length=80)
    places = models.JSONField()
    lacks = models.JSONField(default=list)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["until"], condition=Q(state=HoldState.HELD.value), name="hold_by_end")
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in HoldState]), name="hold_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state=HoldState.HELD.value, ended_at=None)
                | (~Q(state=HoldState.HELD.value) & Q(ended_at__isnull=False)),
                name="hold_ends_once",
            ),
        ]


class Booking(models.Model):
    """One place in the plan. `during` is half-open; `row` is the board's row, stored so nothing jumps.

    The database refuses two live bookings of one room and seat, one technologist, or one
    patient, at overlapping times. What was performed is recorded elsewhere and may overlap.
    `why` says how the place was chosen, in words a coordinator would use.

    A held place is a row like any other and guarded by the same constraints, so that nobody can
    book it; it belongs to a `hold`, may lack an exam, and goes without a trace when that ends.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, null=True, on_delete=models.PROTECT, related_name="bookings")
    patient = models.ForeignKey(Patient, null=True, on_delete=models.PROTECT, related_name="bookings")
    hold = models.ForeignKey(Hold, null=True, on_delete=models.PROTECT, related_name="bookings")
    held_until = models.DateTimeField(null=True)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="bookings")
    technologist = models.ForeignKey(
        Technologist, null=True, on_delete=models.PROTECT, related_name="bookings"
    )
    seat = models.PositiveSmallIntegerField(default=0)
    during = DateTimeRangeField()
    state = models.CharField(max_length=12, default=BookingState.BOOKED)
    row = models.PositiveSmallIntegerField(default=0)
    why = models.JSONField(default=list)
    time_was_given = models.BooleanField(default=False)
    arrived_at = models.DateTimeField(null=True)
    booked_at = models.DateTimeField()
    booked_by = models.CharField(max_length=80)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(F("site"), F("during__startswith"), name="booking_by_start"),
            models.Index(fields=["site", "booked_at"], name="booking_by_time"),
            models.Index(fields=["site", "state"], name="booking_by_state"),
        ]
        constraints: ClassVar = [
            ExclusionConstraint(
                name="one_exam_a_room_and_seat",
                expressions=[
                    ("site", RangeOperators.EQUAL),
                    ("room", RangeOperators.EQUAL),
                    ("seat", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=_OCCUPYING,
            ),
            ExclusionConstraint(
                name="one_exam_a_technologist",
                expressions=[
                    ("site", RangeOperators.EQUAL),
                    ("technologist", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=_OCCUPYING & Q(technologist__isnull=False),
            ),
            ExclusionConstraint(
                name="one_exam_a_patient",
                expressions=[
                    ("site", RangeOperators.EQUAL),
                    ("patient", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=_OCCUPYING,
            ),
            models.UniqueConstraint(fields=["exam"], condition=_LIVE, name="one_live_booking_an_exam"),
            models.UniqueConstraint(
                fields=["exam"], condition=Q(state=BookingState.HELD.value), name="one_hold_an_exam"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in BookingState]), name="booking_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(during__isempty=False)
                & Q(during__startswith__isnull=False)
                & Q(during__endswith__isnull=False),
                name="booking_has_start_and_end",
            ),
            models.CheckConstraint(
                condition=Q(state=BookingState.HELD.value, hold__isnull=False, held_until__isnull=False)
                | (~Q(state=BookingState.HELD.value) & Q(exam__isnull=False, patient__isnull=False)),
                name="only_a_held_place_lacks_an_exam",
            ),
        ]


class Attendance(models.Model):
    """Somebody besides the technologist whose time is kept for a booked exam: a porter each way, an interpreter, an escort.

    The database refuses two of them for one person at overlapping times, while they are `live`.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, related_name="attendances")
    going = models.CharField(max_length=12)
    porter = models.ForeignKey(Porter, null=True, on_delete=models.PROTECT, related_name="attendances")
    companion = models.ForeignKey(Companion, null=True, on_delete=models.PROTECT, related_name="attendances")
    during = DateTimeRangeField()
    live = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [
            ExclusionConstraint(
                name="one_way_a_porter",
                expressions=[
                    ("site", RangeOperators.EQUAL),
                    ("porter", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(live=True, porter__isnull=False),
            ),
            ExclusionConstraint(
                name="one_patient_a_companion",
                expressions=[
                    ("site", RangeOperators.EQUAL),
                    ("companion", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(live=True, companion__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["booking", "going"], condition=Q(live=True), name="one_of_each_goes_along"
            ),
            models.CheckConstraint(
                condition=Q(going__in=[g.value for g in Going]), name="attendance_is_known"
            ),
            models.CheckConstraint(
                condition=Q(porter__isnull=True) ^ Q(companion__isnull=True), name="attendance_by_somebody"
            ),
        ]


class Rearrangement(models.Model):
    """Several exams that changed places together because somebody agreed to it.

    `moves` holds one object an exam: `accession`, `before` and `after` (room, start, end,
    technologist, seat by code; null where it had, or has, no place). `asked` is what it was
    for, and `why` the sentences that were shown. Undone as a whole, or not at all.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    asked = models.CharField(max_length=200)
    why = models.JSONField(default=list)
    moves = models.JSONField()
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["site", "-at"], name="rearrangement_by_time")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(undone_at=None, undone_by="") | (Q(undone_at__isnull=False) & ~Q(undone_by="")),
                name="rearrangement_undone_by_somebody",
            )
        ]

    @property
    def room_ids(self) -> frozenset[int]:
        """The rooms that any of its exams left or came to."""
        places = (place for move in self.moves for place in (move["before"], move["after"]) if place)
        return frozenset(place["room_id"] for place in places)
