"""What an exam needs of a place, and the places there are for it: read here, booked in `book`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Q

from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority
from xraydesk.patients.models import Visit
from xraydesk.rooms.queries import travel_from
from xraydesk.scheduling.engine.department import Department, Need
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.engine.propose import Verdict, judge, propose
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.queries import department_of, live_booking
from xraydesk.scheduling.rules import (
    EMERGENCY_CLASS,
    IN_HOUSE_CLASSES,
    claims_of,
    is_booked_ahead,
    is_prompt,
    wished_time,
)

UNKNOWN_PROCEDURE_MINUTES = 15
"""So long is kept for an exam whose procedure the site does not list."""

FIRST_LOOK_DAYS = 1
"""A free place is nearly always found within a day; only where it is not are all the days looked at."""

OVERRUN_MINUTES = 5
"""An exam under way past its time is taken to need so much longer."""

EDGE = timedelta(hours=1)
"""Looked at before the earliest time too, so that what began there and goes on is seen."""


def need_of(exam: Exam, *, at: datetime, until: datetime) -> Need:
    """What one exam needs of a place, told to the engine. Give it the exam with its order, procedure and site."""
    order, procedure = exam.order, exam.procedure
    priority = Priority(exam.priority)
    fetched = order.patient_class in IN_HOUSE_CLASSES and not _is_here(exam)
    return Need(
        now=at,
        until=until,
        minutes=procedure.minutes if procedure else UNKNOWN_PROCEDURE_MINUTES,
        room_kinds=frozenset(procedure.room_kinds if procedure else ()),
        skills=frozenset(procedure.skills if procedure else ()),
        wished=wished_time(
            priority, patient_class=order.patient_class, requested_at=in_minutes(exam.requested_at)
        ),
        prompt=is_prompt(priority),
        emergency=order.patient_class == EMERGENCY_CLASS,
        travel=travel_from(site=exam.site, ward=order.ward) if fetched else timedelta(),
        claims=claims_of(priority, order.patient_class),
        ahead=is_booked_ahead(priority, order.patient_class),
        preparation=timedelta(minutes=procedure.preparation_minutes if procedure else 0),
    )


def in_minutes(at: datetime | None) -> datetime | None:
    """Orders may carry seconds; places do not."""
    return at.replace(second=0, microsecond=0) if at else None


def _is_here(exam: Exam) -> bool:
    booking = live_booking(exam.pk)
    return booking is not None and booking.arrived_at is not None


def is_registered_here(exam: Exam, *, at: datetime) -> bool:
    """True where the patient's visit for this order is under way, or one of its class began today."""
    order = exam.order
    today = clock.day_bounds(clock.local_day(at, exam.site.timezone), exam.site.timezone)[0]
    this_visit = Q(number=order.visit_number) if order.visit_number else Q(pk=None)
    return Visit.objects.filter(
        this_visit | Q(patient_class=order.patient_class, started_at__gte=today, started_at__lte=at),
        site=exam.site_id,
        patient=exam.patient_id,
        state=Visit.State.ACTIVE,
    ).exists()


def _on_table(exam: Exam, *, at: datetime, stale_hours: int) -> dict[int, Span]:
    """Rooms in which another exam is under way, and until when that is to be expected."""
    rows = (
        StepExam.objects.filter(
            step__site=exam.site_id,
            step__state=StepState.IN_PROGRESS,
            step__room__isnull=False,
            step__started_at__gt=at - timedelta(hours=stale_hours),
            voided=False,
        )
        .exclude(exam=exam)
        .values_list("step__room", "step__started_at", "exam__procedure__minutes")
    )
    found: dict[int, Span] = {}
    for room_id, started_at, minutes in rows:
        planned_end = started_at + timedelta(minutes=minutes or UNKNOWN_PROCEDURE_MINUTES)
        end = max(planned_end, at + timedelta(minutes=OVERRUN_MINUTES))
        known = found.get(room_id)
        found[room_id] = Span(started_at, max(end, known.end) if known else end)
    return found


def _looks(exam: Exam, need: Need, *, days: tuple[int, ...]) -> Iterator[tuple[Department, Need]]:
    """The department and the need, over so many days from the earliest time."""
    policies = policies_of(exam.site)
    first = max(need.now, need.wished or need.now)
    on_table = _on_table(exam, at=need.now, stale_hours=policies.step_open_hours)
    for number in days:
        until = first + timedelta(days=number)
        department, busy = department_of(
            site=exam.site,
            since=first - EDGE,
            until=until,
            cleaning=timedelta(minutes=policies.cleaning_minutes),
            without_exam=exam.pk,
            on_table=on_table,
            at=need.now,
        )
        yield department, replace(need, until=until, patient_busy=busy.get(exam.patient_id, ()))


def places_for(
    exam: Exam, *, at: datetime, count: int, wish: bool = True, wished: datetime | None = None
) -> list[Proposal]:
    """Free places for an exam, the best first, with reasons; its own booking is not in its way.

    Looks ahead as many days as the site's policies say. `wish` False leaves the requested
    time aside and asks for the earliest from now; `wished` takes its place.
    """
    need = need_of(exam, at=at, until=at)
    if wished:
        need = replace(need, wished=wished)
    if not wish:
        need = replace(need, wished=None, prompt=True)
    ahead = policies_of(exam.site).booking_days_ahead
    found: list[Proposal] = []
    for department, told in _looks(exam, need, days=(min(FIRST_LOOK_DAYS, ahead), ahead)):
        found = propose(department, told, count=count)
        if found and (len(found) == count or ahead <= FIRST_LOOK_DAYS):
            break
    return found


def judge_place(exam: Exam, place: Place, *, at: datetime) -> Verdict:
    """Whether a place that a person chose fits the exam, with its seat and technologist filled in."""
    need = replace(need_of(exam, at=at, until=at), wished=None, travel=timedelta())
    around = max(at, place.start)
    until = around + timedelta(days=1)
    policies = policies_of(exam.site)
    department, busy = department_of(
        site=exam.site,
        since=around - EDGE,
        until=until,
        cleaning=timedelta(minutes=policies.cleaning_minutes),
        without_exam=exam.pk,
        on_table=_on_table(exam, at=at, stale_hours=policies.step_open_hours),
        at=at,
    )
    told = replace(need, until=until, patient_busy=busy.get(exam.patient_id, ()))
    return judge(department, told, place)
