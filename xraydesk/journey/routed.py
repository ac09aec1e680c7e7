"""Exams as the rules about where images go see them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from xraydesk.imaging.queries import standing_links
from xraydesk.imaging.route_rules import RoutedExam, Way, ways
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.scheduling.queries import live_bookings
from xraydesk.siteplan.reading import from_json


def routed_exams(exams: Iterable[Exam], *, at: datetime) -> dict[int, RoutedExam]:
    """Exams as rules of routing see them, by key: where and when each was begun, or is booked, or `at` where neither.

    They are to be read with their `site` and `order`.
    """
    asked = list(exams)
    keys = [exam.pk for exam in asked]
    begun: dict[int, tuple[datetime, str]] = {}
    for booking in live_bookings(keys):
        if booking.exam_id is not None:
            begun[booking.exam_id] = (booking.during.lower, booking.room.location.code)
    links = standing_links(keys)
    for link in links:
        room = link.step.room
        place = room.location.code if room else begun.get(link.exam_id, (at, ""))[1]
        begun[link.exam_id] = (link.step.started_at, place)
    found = {}
    for exam in asked:
        since, location = begun.get(exam.pk, (at, ""))
        found[exam.pk] = RoutedExam(
            procedure=exam.procedure_code,
            location=location,
            priority=exam.priority,
            patient_class=exam.order.patient_class,
            wall=clock.in_zone(since, exam.site.timezone).replace(tzinfo=None),
        )
    return found


def ways_of(exam: Exam, *, modalities: Iterable[str], at: datetime) -> list[Way]:
    """Where an exam's images go by the site file as it is now, and why: each destination once, those that are gone first."""
    if not exam.site.plan:
        return []
    plan = from_json(exam.site.plan)
    asked = routed_exams([exam], at=at)[exam.pk]
    found: dict[str, Way] = {}
    for modality in modalities:
        for way in ways(asked, modality, plan):
            if way.goes or way.destination not in found:
                found[way.destination] = way
    return sorted(found.values(), key=lambda way: not way.goes)
