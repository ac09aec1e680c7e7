"""The only writer of porters' jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import IntegrityError, transaction

from xraydesk.lib.prepared import rows_with
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.rules import Wanted
from xraydesk.transport.states import LIVE, TRANSITIONS, JobAction, JobKind, JobState


class JobRefused(Exception):
    """The job is not in a state in which this can be done, or its porter is busy."""


def live_jobs(exam_id: int) -> dict[JobKind, TransportJob]:
    """The jobs that an exam has, locked, one of each kind at most."""
    live = [state.value for state in LIVE]
    found = rows_with(TransportJob, "exam_id = $1 AND state = ANY ($2::text[])", [exam_id, live], lock=True)
    return {JobKind(job.kind): job for job in found}


def insert(*, exam: Exam, kind: JobKind, wanted: Wanted, at: datetime) -> TransportJob:
    """Write down a job that waits for a porter."""
    return TransportJob.objects.create(
        site_id=exam.site_id,
        exam=exam,
        patient_id=exam.patient_id,
        kind=kind,
        isolation=exam.patient.isolation,
        asked_at=at,
        simulated=exam.simulated,
        **_wanted(wanted),
    )


def change(job: TransportJob, wanted: Wanted) -> bool:
    """Bring a job to what it should be; False where it is so already. A patient on the way only gets another goal."""
    new = _wanted(wanted)
    if job.state == JobState.PICKED_UP:
        new = {"to_place": new["to_place"], "due_at": new["due_at"]}
    changed = [name for name, value in new.items() if getattr(job, name) != value]
    for name in changed:
        setattr(job, name, new[name])
    if changed:
        job.save(update_fields=changed)
    return bool(changed)


def move(
    job: TransportJob, action: JobAction, *, at: datetime, porter: Porter | None = None, why: str = ""
) -> None:
    """Take a locked job to where an action leads; raises JobRefused where it leads nowhere, or its porter has another."""
    state = TRANSITIONS.get((JobState(job.state), action))
    if state is None:
        raise JobRefused(f"This job is {job.state}: nothing was changed. Somebody may have been first.")
    job.state = state
    match action:
        case JobAction.ACCEPT:
            job.porter, job.accepted_at = porter, at
        case JobAction.HAND_BACK | JobAction.ASK_AGAIN:
            job.porter, job.accepted_at, job.picked_up_at, job.ended_at = None, None, None, None
        case JobAction.PICK_UP:
            job.picked_up_at = at
        case _:
            job.ended_at = at
    job.why = why[:200]
    try:
        with transaction.atomic():
            job.save()
    except IntegrityError as clash:
        raise JobRefused(
            "You have a job already: finish it, or hand it back, before you take another."
        ) from clash


def give_to_patient(*, exams: Collection[int], to: Patient) -> None:
    """The jobs for some exams are about another record now."""
    TransportJob.objects.filter(exam__in=exams).update(patient=to)


def _wanted(wanted: Wanted) -> dict[str, object]:
    return {
        "from_place": wanted.from_place[:120],
        "to_place": wanted.to_place[:120],
        "mode": wanted.mode,
        "minutes": wanted.minutes,
        "due_at": wanted.due_at,
    }
