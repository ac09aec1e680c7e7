"""What a demonstration had begun when it was stopped: exams under way, and exams that were booked."""

from __future__ import annotations

from datetime import datetime, timedelta

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import Refused
from xraydesk.journey.perform import end_by_hand
from xraydesk.journey.seed.day import Invented
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.patients.models import PatientIdentifier
from xraydesk.scheduling.actions import place_of
from xraydesk.scheduling.engine.place import Proposal
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.invented import Person
from xraydesk.siteplan.reading import from_json

UNDER_WAY_MAX = 100
"""So many exams are under way at once at most; no department has as many rooms."""

WAITING_MAX = 1000
LASTS = timedelta(minutes=8)
"""So long after it began, an exam that was under way is over."""


def end_what_was_under_way(*, site: Site, since: datetime) -> int:
    """Whoever was in a room when it stopped was done, a little later; the number of exams ended."""
    under_way = StepExam.objects.filter(
        voided=False, step__site=site, step__state=StepState.IN_PROGRESS, step__simulated=True
    ).select_related("step")
    ended = 0
    for link in under_way.order_by("id")[:UNDER_WAY_MAX]:
        at = max(since, link.step.started_at + LASTS)
        try:
            end_by_hand(exam_id=link.exam_id, at=at, by=link.step.by)
        except Refused:
            continue  # ended with another exam of the same step
        ended += 1
    return ended


def waiting_exams(site: Site, *, first: datetime, until: datetime) -> list[tuple[Invented, Exam]]:
    """Exams of the invented department that were booked for a time that has gone by, and are not begun."""
    plan = from_json(site.plan)
    procedures = {p.code: p for p in plan.procedures}
    booked = (
        Booking.objects.filter(
            site=site,
            state=BookingState.BOOKED,
            during__startswith__gte=first,
            during__endswith__lte=until,
            exam__simulated=True,
            exam__triage=TriageState.ACCEPTED,
            exam__procedure_code__in=procedures,
        )
        .exclude(exam__stepexam__voided=False)
        .select_related("exam__patient", "exam__order", "exam__procedure", "room")
        .order_by("during")[:WAITING_MAX]
    )
    bookings = list(booked)
    numbers = dict(
        PatientIdentifier.objects.filter(patient__in=[b.patient_id for b in bookings])
        .order_by("-sort", "-id")
        .values_list("patient", "value")
    )
    found = []
    for booking in bookings:
        exam = booking.exam
        if exam is None or booking.patient_id not in numbers or exam.patient.birth_date is None:
            continue
        order, patient = exam.order, exam.patient
        person = Person(
            number=numbers[booking.patient_id],
            family=patient.family,
            given=patient.given,
            birth_date=exam.patient.birth_date,
            sex=patient.sex,
            patient_class=order.patient_class,
            ward=order.ward,
            bed=order.bed,
            visit=order.visit_number,
        )
        one = Invented(
            person=person,
            procedure=procedures[exam.procedure_code],
            priority=Priority(exam.priority),
            side=exam.laterality,
            reason=exam.reason,
            provider=(order.provider_id, order.provider_name, ""),
            received_at=order.received_at,
            wished=exam.requested_at,
            proposal=Proposal(place_of(booking)),
            arrived_at=booking.arrived_at,
            exam_id=exam.pk,
        )
        found.append((one, exam))
    return found
