"""The plan as resources: bookings, rooms, people, and what they have to do; a page at a time, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.journey.exam_view import views_of
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.links.fhir import plan_codec, task_codec
from xraydesk.links.fhir.elements_codec import with_meta
from xraydesk.links.fhir.rows import Shown, in_order, updated_exams
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.staff.models import Technologist
from xraydesk.transport.models import TransportJob

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def slot_id(room: int, start: datetime, procedure: int) -> str:
    """The id of the Slot that is a room, a moment and a procedure, the last two by minute and key."""
    return f"{room}-{int((start - _EPOCH) / MINUTE)}-{procedure}"


def slot_start(minute: int) -> datetime:
    """The moment that a Slot's id names by its minute."""
    return _EPOCH + minute * MINUTE


TRANSPORT_PREFIX = "transport."
TRIAGE_PREFIX = "triage."


def standing_bookings(site: Site) -> QuerySet[Booking]:
    """Places that exams have, had or are held for; what was held and is not any more takes no place."""
    over = Q(state=BookingState.HELD, held_until__lte=clock.now())
    return Booking.objects.filter(~over, site=site, exam__isnull=False)


def appointments(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Bookings, those that are over included."""
    found = standing_bookings(site).filter(pk__in=keys).select_related("exam", "room", "technologist")
    rows = [(row, row.exam) for row in found if row.exam is not None]
    updated = updated_exams(site, [exam.accession for _, exam in rows])
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        plan_codec.appointment(_appointment_facts(row, exam, site.timezone)),
                        max(updated.get(exam.accession, row.booked_at), row.booked_at),
                    ),
                    exam.patient_id,
                    exam.accession,
                ),
            )
            for row, exam in rows
        ),
    )


def _appointment_facts(row: Booking, exam: Exam, zone: str) -> plan_codec.AppointmentFacts:
    who = row.technologist
    return plan_codec.AppointmentFacts(
        id=str(row.pk),
        state=row.state,
        arrived=row.arrived_at is not None,
        accession=exam.accession,
        request_id=str(exam.pk),
        patient_id=str(exam.patient_id),
        room_id=str(row.room_id),
        room_name=row.room.name,
        technologist_id=str(who.pk) if who else "",
        technologist_name=who.name if who else "",
        code=exam.procedure_code,
        code_system=exam.procedure_system,
        text=exam.procedure_text,
        start=clock.in_zone(row.during.lower, zone),
        end=clock.in_zone(row.during.upper, zone),
        created_at=row.booked_at,
        why_ended=row.ended_why,
        slot_ids=(slot_id(row.room_id, row.during.lower, exam.procedure_id),) if exam.procedure_id else (),
    )


def locations(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Rooms and portable units."""
    rows = Room.objects.filter(site=site, pk__in=keys).select_related("location")
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        plan_codec.location(
                            plan_codec.LocationFacts(
                                id=str(row.pk),
                                code=row.code,
                                name=row.name,
                                kind=row.kind,
                                building=row.location.name,
                                down=row.state == Room.State.DOWN,
                                retired=row.retired,
                                hours=row.hours,
                            )
                        ),
                        None,
                    )
                ),
            )
            for row in rows
        ),
    )


def practitioners(site: Site, keys: Sequence[int]) -> list[Shown]:
    """People who make x-ray images."""
    rows = Technologist.objects.filter(site=site, pk__in=keys)
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        plan_codec.practitioner(
                            plan_codec.PractitionerFacts(str(row.pk), row.code, row.name, row.retired)
                        ),
                        None,
                    )
                ),
            )
            for row in rows
        ),
    )


def schedules(site: Site, keys: Sequence[int]) -> list[Shown]:
    """The plans of rooms, from today's first moment on."""
    start = clock.day_bounds(clock.local_day(clock.now(), site.timezone), site.timezone)[0]
    end = start + timedelta(days=policies_of(site).booking_days_ahead)
    rows = Room.objects.filter(site=site, pk__in=keys)
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        plan_codec.schedule(
                            plan_codec.ScheduleFacts(
                                str(row.pk), str(row.pk), row.name, not row.retired, start, end
                            )
                        ),
                        None,
                    )
                ),
            )
            for row in rows
        ),
    )


def transport_tasks(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Porters' jobs."""
    rows = TransportJob.objects.filter(site=site, pk__in=keys).select_related("exam", "porter")
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        task_codec.task(_transport_facts(row)),
                        row.ended_at or row.picked_up_at or row.accepted_at or row.asked_at,
                    ),
                    row.patient_id,
                    row.exam.accession,
                ),
            )
            for row in rows
        ),
    )


def _transport_facts(row: TransportJob) -> task_codec.TaskFacts:
    return task_codec.TaskFacts(
        id=f"{TRANSPORT_PREFIX}{row.pk}",
        code="transport",
        words=f"Bring the patient from {row.from_place} to {row.to_place} ({row.mode})",
        status=task_codec.TRANSPORT_STATUS[row.state],
        request_id=str(row.exam_id),
        patient_id=str(row.patient_id),
        priority=row.exam.priority,
        authored_at=row.asked_at,
        begun_at=row.picked_up_at,
        ended_at=row.ended_at,
        due_at=row.due_at,
        owner=row.porter.name if row.porter else "",
        why=row.why,
    )


def triage_tasks(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Decisions in triage, one an exam."""
    views = views_of(Exam.objects.filter(pk__in=keys), site=site)
    updated = updated_exams(site, [view.exam.accession for view in views])
    return in_order(
        keys,
        (
            (
                view.exam.pk,
                Shown(
                    with_meta(
                        task_codec.task(_triage_facts(view.exam, view.why)),
                        updated.get(view.exam.accession, view.exam.created_at),
                    ),
                    view.exam.patient_id,
                    view.exam.accession,
                ),
            )
            for view in views
        ),
    )


def _triage_facts(exam: Exam, why: str) -> task_codec.TaskFacts:
    return task_codec.TaskFacts(
        id=f"{TRIAGE_PREFIX}{exam.pk}",
        code="triage",
        words="Decide whether the exam may go on as it was asked for",
        status=task_codec.TRIAGE_STATUS[exam.triage],
        request_id=str(exam.pk),
        patient_id=str(exam.patient_id),
        priority=exam.priority,
        authored_at=exam.created_at,
        begun_at=None,
        ended_at=exam.triaged_at if exam.triage == "accepted" else None,
        due_at=exam.due_at,
        owner=exam.triaged_by,
        why=why,
    )
