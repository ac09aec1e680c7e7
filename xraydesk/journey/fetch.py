"""Patients are fetched and taken back: a job follows each booking, and is done by a porter who presses three buttons."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.queries import standing_states
from xraydesk.imaging.states import StepState
from xraydesk.journey import arrive as arriving
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import lock_exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.patients.queries import current_visit
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.reading import from_json
from xraydesk.staff.models import Porter
from xraydesk.transport import actions, rules
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import LIVE, JobAction, JobKind, JobState

BY_RULE = "rule"
LATE_AT_ONCE_MAX = 200
EXAMS_OF_PATIENT_MAX = 50
RETURN_WITHIN = timedelta(hours=12)
"""An exam that ended longer ago needs nobody to take its patient back."""


class UnknownJob(Refused):
    """There is no such job here."""


@transaction.atomic
def plan_transport(*, exam_id: int, at: datetime) -> None:
    """Bring an exam's fetch and return to what its place and its patient's bed ask for. Safe to run again."""
    exam = lock_exam(exam_id)
    if exam is None:
        return
    policies = policies_of(exam.site)
    jobs = actions.live_jobs(exam.pk)
    # Nobody was asked to fetch this patient, and nobody will be.
    if not jobs and exam.order.patient_class not in policies.fetch_classes:
        return
    booking = live_booking(exam.pk)
    states = set(standing_states(exam.pk))
    over = StepState.COMPLETED in states or (StepState.DISCONTINUED in states and booking is None)
    under_way = StepState.IN_PROGRESS in states
    trip = _trip(exam, booking)
    fetch = None
    open_for_fetch = (
        booking is not None and booking.state == BookingState.BOOKED and booking.arrived_at is None
    )
    if open_for_fetch and not (over or under_way) and exam.triage != TriageState.CANCELLED:
        asked = jobs.get(JobKind.FETCH)
        fetch = rules.fetch_wanted(
            trip,
            classes=policies.fetch_classes,
            early_minutes=policies.fetch_early_minutes,
            asked_at=asked.asked_at if asked else at,
        )
    here = over or under_way or (booking is not None and booking.arrived_at is not None)
    gone_because = "the patient is here" if here else "nobody is fetched"
    _follow(exam, JobKind.FETCH, jobs.get(JobKind.FETCH), fetch, at=at, gone_because=gone_because)
    back = None
    if over and not under_way:
        back = rules.return_wanted(trip, classes=policies.fetch_classes, at=at)
    _follow(exam, JobKind.RETURN, jobs.get(JobKind.RETURN), back, at=at, gone_because="the patient stays")


def _trip(exam: Exam, booking: Booking | None) -> rules.Trip:
    order = exam.order
    visit = current_visit(exam.patient)
    ward, bed = (visit.ward, visit.bed) if visit and visit.ward else (order.ward, order.bed)
    plan = from_json(exam.site.plan) if exam.site.plan else None
    known = next((w for w in plan.wards if w.code == ward), None) if plan else None
    room = booking.room if booking else None
    if room is None:
        last = (
            Booking.objects.filter(exam=exam)
            .exclude(state=BookingState.HELD)
            .select_related("room")
            .order_by("-id")
            .first()
        )
        room = last.room if last else None
    return rules.Trip(
        patient_class=order.patient_class,
        transport=order.transport,
        ward=ward,
        ward_name=known.name if known else "",
        bed=bed,
        travel_minutes=known.travel_minutes if known else 5,
        room=room.code if room else "",
        goes_to_patient=bool(room and room.kind == "portable"),
        start=booking.during.lower if booking else None,
    )


def _follow(
    exam: Exam,
    kind: JobKind,
    job: TransportJob | None,
    wanted: rules.Wanted | None,
    *,
    at: datetime,
    gone_because: str,
) -> None:
    if job is None:
        done = TransportJob.objects.filter(exam=exam, kind=kind)
        if wanted is None or done.filter(state__in=(JobState.DELIVERED, JobState.CANNOT)).exists():
            return
        made = actions.insert(exam=exam, kind=kind, wanted=wanted, at=at)
        _tell(made, exam, FactKind.TRANSPORT_ASKED, at=at, by=BY_RULE)
        return
    if wanted is None:
        if kind is JobKind.FETCH and job.state != JobState.PICKED_UP:
            actions.move(job, JobAction.CANCEL, at=at, why=gone_because)
            _tell(job, exam, FactKind.TRANSPORT_CANCELLED, at=at, by=BY_RULE, why=gone_because)
            _close(job, at=at, by=BY_RULE, how=gone_because)
        return
    if kind is JobKind.RETURN:
        # When it is due was said when the exam ended; only where the patient lies may change.
        wanted = rules.Wanted(wanted.from_place, wanted.to_place, wanted.mode, wanted.minutes, job.due_at)
    if actions.change(job, wanted):
        _tell(job, exam, FactKind.TRANSPORT_CHANGED, at=at, by=BY_RULE)


def plan_of_patient(*, site_id: int, patient_id: int, at: datetime) -> None:
    """A patient moved to another bed: whoever is to be fetched or taken back follows."""
    exams = TransportJob.objects.filter(site=site_id, patient=patient_id, state__in=LIVE)
    for exam_id in list(
        exams.order_by("exam").values_list("exam", flat=True).distinct()[:EXAMS_OF_PATIENT_MAX]
    ):
        plan_transport(exam_id=exam_id, at=at)


def _tell(job: TransportJob, exam: Exam, kind: FactKind, *, at: datetime, by: str, **data: Any) -> None:
    record(
        site_id=job.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data={"job": job.pk, "way": str(job.kind), "due": job.due_at.isoformat(), **data},
        simulated=job.simulated,
    )


@transaction.atomic
def accept_job(*, job_id: int, porter: Porter, at: datetime, by: str) -> TransportJob:
    """A porter takes a job. Raises UnknownJob, and WrongState where somebody was first or the porter has one already."""
    return _press(job_id, JobAction.ACCEPT, FactKind.TRANSPORT_ACCEPTED, at=at, by=by, porter=porter)


@transaction.atomic
def hand_back_job(*, job_id: int, porter: Porter, at: datetime, by: str) -> TransportJob:
    """A porter gives a job back before the patient was picked up. Raises UnknownJob, WrongState."""
    return _press(job_id, JobAction.HAND_BACK, FactKind.TRANSPORT_HANDED_BACK, at=at, by=by, own=porter)


@transaction.atomic
def pick_up(*, job_id: int, porter: Porter, at: datetime, by: str) -> TransportJob:
    """The porter has the patient. Raises UnknownJob, WrongState."""
    job = _press(job_id, JobAction.PICK_UP, FactKind.PATIENT_PICKED_UP, at=at, by=by, own=porter)
    _close(job, at=at, by=by, how="the patient is on the way")
    return job


@transaction.atomic
def deliver(*, job_id: int, porter: Porter, at: datetime, by: str) -> TransportJob:
    """The patient is where they were to be brought; a fetched one has arrived for the exam.

    Raises UnknownJob, WrongState.
    """
    job = _press(job_id, JobAction.DELIVER, FactKind.PATIENT_DELIVERED, at=at, by=by, own=porter)
    if job.kind == JobKind.FETCH:
        try:
            with transaction.atomic():
                arriving.arrive(exam_id=job.exam_id, at=at, by=by)
        except Refused:
            # The exam was begun, cancelled or moved meanwhile: the patient is brought all the same.
            pass
    return job


@transaction.atomic
def cannot(*, job_id: int, porter: Porter, why: str, at: datetime, by: str) -> TransportJob:
    """The patient cannot be brought: somebody at the desk hears why. Raises UnknownJob, and WrongState without a reason."""
    reason = " ".join(why.split())
    if not reason:
        raise WrongState("Say in a word why the patient cannot be brought. Nothing was changed.")
    job = _press(job_id, JobAction.FAIL, FactKind.TRANSPORT_FAILED, at=at, by=by, own=porter, why=reason)
    accession = job.exam.accession
    _close(job, at=at, by=by, how="a porter said why")
    raise_item(
        site_id=job.site_id,
        kind=ItemKind.TRANSPORT_FAILED,
        key=job_key(job),
        at=at,
        text=f"The {job.kind} for exam {accession} from {job.from_place} could not be done: {reason}. Ask again, or cancel it.",
        accession=accession,
        patient=job.patient_id,
        data={"job": job.pk},
    )
    return job


@transaction.atomic
def ask_again(*, job_id: int, at: datetime, by: str) -> TransportJob:
    """The desk asks for a job again that could not be done. Raises UnknownJob, WrongState."""
    job = _press(job_id, JobAction.ASK_AGAIN, FactKind.TRANSPORT_ASKED, at=at, by=by)
    _close(job, at=at, by=by, how="asked again")
    return job


@transaction.atomic
def cancel_job(*, job_id: int, at: datetime, by: str) -> TransportJob:
    """The desk calls a job off. Raises UnknownJob, and WrongState where the patient is on the way."""
    job = _press(job_id, JobAction.CANCEL, FactKind.TRANSPORT_CANCELLED, at=at, by=by)
    _close(job, at=at, by=by, how="cancelled")
    return job


def _press(
    job_id: int,
    action: JobAction,
    kind: FactKind,
    *,
    at: datetime,
    by: str,
    porter: Porter | None = None,
    own: Porter | None = None,
    why: str = "",
) -> TransportJob:
    """One button: the exam locked, then the job; refused politely where somebody was first or it is another's."""
    exam_id = TransportJob.objects.filter(pk=job_id).values_list("exam", flat=True).first()
    if exam_id is None:
        raise UnknownJob("There is no such job here.")
    exam = Exam.objects.select_for_update(of=("self",)).get(pk=exam_id)
    job = TransportJob.objects.select_for_update(of=("self",)).select_related("exam", "porter").get(pk=job_id)
    if own is not None and job.porter_id is not None and job.porter_id != own.pk:
        raise WrongState(
            f"{job.porter.name if job.porter else 'Somebody else'} has this job. Nothing was changed."
        )
    try:
        actions.move(job, action, at=at, porter=porter, why=why)
    except actions.JobRefused as why_not:
        raise WrongState(str(why_not)) from why_not
    data = {"why": why} if why else {}
    if job.porter is not None:
        data["porter"] = job.porter.code
    _tell(job, exam, kind, at=at, by=by, **data)
    return job


def job_key(job: TransportJob) -> str:
    """The key of the item about a job that could not be done."""
    return f"transport:{job.pk}"


def late_key(job: TransportJob) -> str:
    """The key of the item about a fetch that is late."""
    return f"transport late:{job.pk}"


def _close(job: TransportJob, *, at: datetime, by: str, how: str) -> None:
    for key in (job_key(job), late_key(job)):
        close_items(site_id=job.site_id, key=key, at=at, by=by, how=how)


def as_open(job: TransportJob) -> rules.Open:
    """A job as the rules see it."""
    return rules.Open(
        key=job.pk,
        kind=JobKind(job.kind),
        state=JobState(job.state),
        due_at=job.due_at,
        minutes=job.minutes,
        urgent=job.exam.priority == Priority.STAT,
    )


@transaction.atomic
def flag_late_fetches(*, site: Site, at: datetime) -> int:
    """Put fetches that cannot be in time any more before a person; the number flagged."""
    waiting = TransportJob.objects.filter(
        site=site, kind=JobKind.FETCH, state__in=(JobState.WAITING, JobState.ACCEPTED)
    ).select_related("exam", "porter")
    late = [job for job in waiting.order_by("due_at")[:LATE_AT_ONCE_MAX] if rules.is_late(as_open(job), at)]
    for job in late:
        who = f"{job.porter.name} has the job" if job.porter else "no porter has taken it"
        raise_item(
            site_id=site.pk,
            kind=ItemKind.TRANSPORT_LATE,
            key=late_key(job),
            at=at,
            text=f"The patient of exam {job.exam.accession} is not fetched from {job.from_place} yet: {who}.",
            accession=job.exam.accession,
            patient=job.patient_id,
            room=job.to_place,
            data={"job": job.pk},
        )
    return len(late)
