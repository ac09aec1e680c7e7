"""What an exam asks for when it is booked ahead, and who could go along: read here, searched and held in `ahead`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from xraydesk.access.models import Site
from xraydesk.journey.places import UNKNOWN_PROCEDURE_MINUTES, need_of
from xraydesk.journey.planned_day import UNKNOWN_WARD_MINUTES
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam, Procedure
from xraydesk.scheduling.engine.ahead import Ask, Helper, HelperKind
from xraydesk.scheduling.engine.department import PORTABLE, Need
from xraydesk.scheduling.engine.hours import hours_between
from xraydesk.scheduling.engine.spans import Span, Timeline, without
from xraydesk.scheduling.models import Attendance
from xraydesk.scheduling.queries import hours_from_json, live_booking
from xraydesk.siteplan.reading import from_json
from xraydesk.staff.models import Companion, Porter


def asks_of(
    *, site: Site, exams: Sequence[Exam], procedures: Sequence[Procedure], at: datetime
) -> tuple[Ask, ...]:
    """What each exam needs of a place and of people; of a procedure without an order what an outpatient would."""
    return (
        *(ask_of(exam, at=at) for exam in exams),
        *(_ask_of_procedure(procedure, number, at=at) for number, procedure in enumerate(procedures, 1)),
    )


def ask_of(exam: Exam, *, at: datetime) -> Ask:
    """What one exam needs of a place ahead, and of people. Give it the exam with order, patient, procedure and site."""
    need = need_of(exam, at=at, until=at)
    procedure, booking = exam.procedure, live_booking(exam.pk)
    travel = _travel_minutes(exam)
    return Ask(
        key=exam.accession,
        code=procedure.code if procedure else "",
        need=Need(
            now=need.now,
            until=need.until,
            minutes=need.minutes,
            room_kinds=need.room_kinds,
            skills=need.skills,
            prompt=need.prompt,
            emergency=need.emergency,
            claims=need.claims,
            ahead=need.ahead,
            preparation=need.preparation,
        ),
        travel=timedelta(minutes=travel) if travel is not None else None,
        language=foreign_language(exam),
        escort=bool(procedure and procedure.escort),
        due_at=exam.due_at,
        home=booking.room.location_id if booking else 0,
        after=frozenset(procedure.after if procedure else ()),
    )


def _ask_of_procedure(procedure: Procedure, number: int, *, at: datetime) -> Ask:
    return Ask(
        key=f"{number} {procedure.code}",
        code=procedure.code,
        need=Need(
            now=at,
            until=at,
            minutes=procedure.minutes or UNKNOWN_PROCEDURE_MINUTES,
            room_kinds=frozenset(procedure.room_kinds),
            skills=frozenset(procedure.skills),
            ahead=True,
            preparation=timedelta(minutes=procedure.preparation_minutes),
        ),
        escort=procedure.escort,
        after=frozenset(procedure.after),
    )


def foreign_language(exam: Exam) -> str:
    """The language for which the exam's patient needs an interpreter, in small letters; empty where none is needed."""
    spoken = {language.casefold() for language in policies_of(exam.site).languages}
    own = exam.patient.language.strip().casefold()
    return own if own and spoken and own not in spoken else ""


def _travel_minutes(exam: Exam) -> int | None:
    """How far a porter goes for the patient, one way; None where nobody is fetched."""
    order, procedure = exam.order, exam.procedure
    bedside = procedure is not None and set(procedure.room_kinds) == {PORTABLE}
    if not order.ward or order.patient_class not in policies_of(exam.site).fetch_classes or bedside:
        return None
    wards = from_json(exam.site.plan).wards if exam.site.plan else ()
    return next((w.travel_minutes for w in wards if w.code == order.ward), UNKNOWN_WARD_MINUTES)


def helpers_of(
    *, site: Site, asks: Iterable[Ask], since: datetime, until: datetime, at: datetime
) -> list[Helper]:
    """Porters, interpreters and escorts with the time that each is free; no query where nobody is needed."""
    asks = list(asks)
    kinds = {
        HelperKind.PORTER: any(ask.travel is not None for ask in asks),
        HelperKind.INTERPRETER: any(ask.language for ask in asks),
        HelperKind.ESCORT: any(ask.escort for ask in asks),
    }
    if not any(kinds.values()):
        return []
    porters: dict[int, list[Span]] = {}
    companions: dict[int, list[Span]] = {}
    rows = (
        Attendance.objects.filter(site=site, live=True, during__overlap=DateTimeTZRange(since, until))
        .exclude(booking__held_until__lte=at)
        .values_list("porter_id", "companion_id", "during")
    )
    for porter_id, companion_id, during in rows:
        span = Span(during.lower, during.upper)
        if porter_id is not None:
            porters.setdefault(porter_id, []).append(span)
        if companion_id is not None:
            companions.setdefault(companion_id, []).append(span)

    def free(person: Porter | Companion, taken: Iterable[Span]) -> Timeline:
        on = hours_between(hours_from_json(person.shifts), zone=site.timezone, since=since, until=until)
        return Timeline(without(on, taken))

    found: list[Helper] = []
    if kinds[HelperKind.PORTER]:
        found += [
            Helper(p.pk, p.name, HelperKind.PORTER, free(p, porters.get(p.pk, ())))
            for p in Porter.objects.filter(site=site, retired=False).order_by("code")
        ]
    wanted = [kind.value for kind, asked in kinds.items() if asked]
    return found + [
        Helper(
            c.pk,
            c.name,
            HelperKind(c.kind),
            free(c, companions.get(c.pk, ())),
            frozenset(language.casefold() for language in c.languages),
        )
        for c in Companion.objects.filter(site=site, retired=False, kind__in=wanted).order_by("code")
    ]
