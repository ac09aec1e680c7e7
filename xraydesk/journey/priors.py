"""Earlier studies to compare an exam with: which there are, whether they can be seen, and who asks for what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import prior_actions as actions
from xraydesk.imaging.models import Delivery, Image, Prior
from xraydesk.imaging.prior_rules import Looked, PriorState, Relevant, Study, relevant
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey import performing
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.journey.prior_images import ask_for, take_turns, tell_stands
from xraydesk.journey.turns import DELIVER_QUEUE
from xraydesk.lib import clock
from xraydesk.lib.text import shortened
from xraydesk.orders.models import Exam
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.reading import from_json

FIND_TASK = "find_priors"
"""Name of the job that asks the archives of the site file; `links` owns it."""

SIDES = ("L", "R", "B")

EARLIER_EXAMS_MAX = 200
"""Earlier exams of one patient that are looked at, the newest first."""


class UnknownPrior(Refused):
    """There is no such study to compare with here."""


@transaction.atomic
def look_for_priors(*, exam_id: int, at: datetime) -> int:
    """Find what was done here before that an exam is compared with, and whether it can be seen; how many.

    At booking, on arrival, and when asked again: what was known stays, what is new is added, what came is told.
    """
    (exam,) = performing.lock_exams([exam_id])
    wanted = looked_at(exam, at=at)
    if wanted is None:
        return 0
    earlier = {e.study_instance_uid: e for e in _earlier(exam)}
    studies = [
        Study(uid, looked, words=e.procedure_text or e.procedure_code, accession=e.accession)
        for uid, e in earlier.items()
        if (looked := _was_looked_at(e)) is not None
    ]
    found = relevant(wanted, studies)
    for one in found:
        state, where = _where_it_is(earlier[one.study.study_instance_uid])
        actions.put_prior(exam=exam, relevant=one, state=state, where=where, at=at)
    plan = from_json(exam.site.plan) if exam.site.plan else None
    if plan and any(to.finds for to in plan.destinations):
        _ask_archives(exam.pk)
    return len(found)


def _ask_archives(exam_id: int) -> None:
    """Ask for the job that asks the archives; one waits at a time an exam, and one is done: a slow archive holds nothing else up."""
    waits = f"{FIND_TASK}:{exam_id}"
    task = jobs.configure_task(FIND_TASK, queue=DELIVER_QUEUE, queueing_lock=waits, lock=FIND_TASK)
    try:
        with transaction.atomic():
            task.defer(exam_id=exam_id)
    except job_errors.AlreadyEnqueued:
        return


def compare_with(*, exam_id: int, prior: Exam, why: str, at: datetime) -> None:
    """A person puts one exam of the patient beside another, whatever the two look at. Inside a transaction."""
    (exam,) = performing.lock_exams([exam_id])
    on = clock.local_day(prior.created_at, prior.site.timezone)
    looked = _was_looked_at(prior) or Looked("", "", on)
    state, where = _where_it_is(prior)
    study = Study(prior.study_instance_uid, looked, words=prior.procedure_text, accession=prior.accession)
    actions.put_prior(exam=exam, relevant=Relevant(study, why), state=state, where=where, at=at)


def came(*, exam: Exam, at: datetime) -> None:
    """Images of an exam reached everybody who is to have them: where it is compared with, it is there. Inside a transaction."""
    waiting = Prior.objects.filter(
        site=exam.site_id, study_instance_uid=exam.study_instance_uid, state=PriorState.COMING
    )
    for prior in waiting.select_for_update().order_by("id"):
        state, where = _where_it_is(exam)
        if state is PriorState.THERE:
            actions.stand(prior, state=state, where=where, at=at)


@transaction.atomic
def archive_told(
    *,
    exam_id: int,
    archive: str,
    moves_to: str,
    found: Iterable[Relevant],
    at: datetime,
    is_fetched: bool = False,
) -> tuple[list[str], int]:
    """Keep what an archive has of what an exam is compared with: the UIDs that it is still to send, and how many are new.

    With `is_fetched` the desk fetches them itself, and nothing is to be sent by the archive.
    """
    (exam,) = performing.lock_exams([exam_id])
    Prior.objects.filter(exam=exam, study_instance_uid="", words=_all_of(archive)).delete()
    own = set(
        Exam.objects.filter(site=exam.site_id, patient=exam.patient_id).values_list(
            "study_instance_uid", flat=True
        )
    )
    wanted = tuple(found)
    if is_fetched:
        take_turns(site_id=exam.site_id, study_instance_uids=[one.study.study_instance_uid for one in wanted])
    to_move, new = [], 0
    for one in wanted:
        uid = one.study.study_instance_uid
        if uid in own:
            continue
        known = Prior.objects.filter(exam=exam, study_instance_uid=uid).first()
        if known is not None and known.state == PriorState.THERE:
            continue
        if not moves_to:
            state, where = PriorState.THERE, archive
        elif is_fetched:
            state, where = ask_for(
                exam=exam, archive=archive, destination=moves_to, study_instance_uid=uid, at=at
            )
        else:
            state, where = PriorState.COMING, f"{archive} is asked to send it"
            to_move.append(uid)
        new += actions.put_prior(exam=exam, relevant=one, state=state, where=where, at=at)
    return to_move, new


@transaction.atomic
def archive_away(*, exam_id: int, archive: str, why: str, at: datetime) -> None:
    """An archive could not be asked: whoever reads is told that something may be missing."""
    (exam,) = performing.lock_exams([exam_id])
    actions.put_unasked(exam=exam, words=_all_of(archive), why=why, at=at)


@transaction.atomic
def moved(*, exam_id: int, uid: str, to: str, why: str, at: datetime) -> None:
    """An archive sent a study to where it is read, or `why` it did not."""
    (exam,) = performing.lock_exams([exam_id])
    prior = Prior.objects.filter(exam=exam, study_instance_uid=uid).select_related("exam").first()
    state = PriorState.MISSING if why else PriorState.THERE
    if prior is not None and actions.stand(prior, state=state, where=why or to, at=at):
        tell_stands(prior, at=at)


def _all_of(archive: str) -> str:
    return f"whatever {archive} has"


def looked_at(exam: Exam, *, at: datetime) -> Looked | None:
    """What an exam looks at; None where its procedure is not known here."""
    if exam.procedure is None:
        return None
    place = live_booking(exam.pk)
    day = clock.local_day(place.during.lower if place else at, exam.site.timezone)
    return Looked(exam.procedure.body_part, exam.laterality, day)


def _earlier(exam: Exam) -> list[Exam]:
    """Other exams of the patient that were performed."""
    found = (
        Exam.objects.filter(patient=exam.patient_id, stepexam__voided=False)
        .exclude(pk=exam.pk)
        .select_related("procedure", "site")
        .distinct()
        .order_by("-id")
    )
    return list(found[:EARLIER_EXAMS_MAX])


def _was_looked_at(exam: Exam) -> Looked | None:
    link = exam.stepexam_set.filter(voided=False).select_related("step").order_by("step__started_at").first()
    if link is None:
        return None
    day = clock.local_day(link.step.started_at, exam.site.timezone)
    outside = exam.outside_studies.first() if exam.procedure is None else None
    if outside is not None:
        side = outside.laterality.upper()
        return Looked(outside.body_part.upper(), side if side in SIDES else "", day)
    if exam.procedure is None:
        return None
    return Looked(exam.procedure.body_part, exam.laterality, day)


def _where_it_is(exam: Exam) -> tuple[PriorState, str]:
    """Whether all images of an earlier exam are at a destination of the house, and where, or why not in words."""
    plan = from_json(exam.site.plan) if exam.site.plan else None
    house = [d.name for d in plan.destinations if not d.outside and not d.research] if plan else []
    images = Image.objects.filter(exam=exam).exclude(state=ImageState.REJECTED)
    count = images.count()
    if not count:
        return PriorState.MISSING, "no image of it came here"
    for name in house:
        sent = Q(deliveries__destination=name, deliveries__state=DeliveryState.SENT)
        if images.filter(sent).distinct().count() == count:
            return PriorState.THERE, name
    if images.filter(state__in=(ImageState.QUARANTINED, ImageState.HELD)).exists():
        return PriorState.MISSING, "images of it are kept apart or held here"
    if Delivery.objects.filter(image__in=images, destination__in=house, state=DeliveryState.FAILED).exists():
        return PriorState.MISSING, "images of it could not be sent"
    return PriorState.COMING, "images of it are on their way"


@transaction.atomic
def want_prior(*, exam_id: int, words: str, of: str, at: datetime, by: str) -> Prior:
    """Somebody knows of a study elsewhere that the exam is to be compared with, and asks for it.

    Raises UnknownExam, and WrongState where it is not said what is wanted.
    """
    (exam,) = performing.lock_exams([exam_id])
    wanted = shortened(" ".join(words.split()), 120)
    if not wanted:
        raise WrongState("Write what is wanted, such as “chest, May, at St. Mary's”. Nothing was kept.")
    prior = actions.insert_wanted(
        exam=exam, words=wanted, of=shortened(" ".join(of.split()), 120), at=at, by=by
    )
    _tell(prior, at=at, by=by)
    return prior


@transaction.atomic
def move_prior(*, prior_id: int, action: str, at: datetime, by: str, of: str = "") -> Prior:
    """A person asks for a study that is missing (`chase`), says that it came, or that it is not to be had (`give up`).

    Raises UnknownPrior, and WrongState where that cannot be said of it as it stands.
    """
    exam_id = Prior.objects.filter(pk=prior_id).values_list("exam", flat=True).first()
    if exam_id is None:
        raise UnknownPrior("There is no such study to compare with here.")
    performing.lock_exams([exam_id])
    prior = Prior.objects.select_for_update(of=("self",)).select_related("exam").get(pk=prior_id)
    try:
        actions.move_prior(prior, action=action, of=shortened(" ".join(of.split()), 120), at=at, by=by)
    except actions.IllegalPriorAction as why:
        raise WrongState(f"This study is {prior.state}: that cannot be said of it.") from why
    _tell(prior, at=at, by=by)
    return prior


def _tell(prior: Prior, *, at: datetime, by: str) -> None:
    exam = prior.exam
    record(
        site_id=prior.site_id,
        kind=FactKind.PRIOR_CHANGED,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data={"state": prior.state, "to": prior.chased_of},
        simulated=exam.simulated,
    )
