"""Studies to compare with that the desk fetches from an archive: asked for, kept while they pass through, and sent on to where they are read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, fetch_actions, prior_actions
from xraydesk.imaging.fetch_rules import UNDER_WAY, FetchAction, Fetching, FetchState, how_it_stands, is_fresh
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.models import Delivery, FetchedStudy, Image, Prior
from xraydesk.imaging.prior_rules import PriorState
from xraydesk.imaging.route_rules import Way
from xraydesk.imaging.rules import wait_seconds
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey.turns import DELIVER_QUEUE, defer_delivery
from xraydesk.lib import locks
from xraydesk.orders.models import Exam
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import DestinationPlan

FETCH_TASK = "fetch_prior_images"
"""Name of the job that fetches one study; `links` owns it."""

OBJECTS_MAX = 2000
"""A study of more objects than these is not fetched by the desk: it is read where it is."""

STUDIES_AT_ONCE_MAX = 200
NOT_CARRIED = "it has nothing that can be sent on"


def ask_for(
    *, exam: Exam, archive: str, destination: str, study_instance_uid: str, at: datetime
) -> tuple[PriorState, str]:
    """Have a study fetched and sent on, unless it is under way or came just now; how it stands.

    Inside a transaction that asked for it by `take_turns`.
    """
    fetch = (
        FetchedStudy.objects.select_for_update(of=("self",))
        .filter(
            site=exam.site_id,
            study_instance_uid=study_instance_uid,
            archive=archive,
            destination=destination,
        )
        .order_by("-id")
        .first()
    )
    is_there = fetch is not None and fetch.state == FetchState.THERE and is_fresh(fetch.ended_at, at=at)
    if fetch is None or not (fetch.state in UNDER_WAY or is_there):
        fetch = fetch_actions.insert_fetch(
            exam=exam,
            study_instance_uid=study_instance_uid,
            archive=archive,
            destination=destination,
            at=at,
        )
    if fetch.state == FetchState.ASKED:
        defer_fetch(fetch.pk)
    return how_it_stands(_fetching(fetch))


def take_turns(*, site_id: int, study_instance_uids: Iterable[str]) -> None:
    """Wait until nobody else asks for these studies: two exams that are compared with the same ones ask one after the other."""
    locks.take([f"fetch:{site_id}:{uid}" for uid in study_instance_uids])


def defer_fetch(fetch_id: int) -> None:
    """Ask for the job that fetches a study; one waits at a time, and one is done: a slow archive holds nothing else up."""
    name = f"{FETCH_TASK}:{fetch_id}"
    task = jobs.configure_task(FETCH_TASK, queue=DELIVER_QUEUE, queueing_lock=name, lock=FETCH_TASK)
    try:
        with transaction.atomic():
            task.defer(fetch_id=fetch_id)
    except job_errors.AlreadyEnqueued:
        return


def resume_fetches(*, at: datetime) -> int:
    """Ask again for studies whose time has come (a job was lost, or a pause is over); the number."""
    due = FetchedStudy.objects.filter(state=FetchState.ASKED, next_at__lte=at).order_by("next_at", "id")
    keys = list(due.values_list("pk", flat=True)[:STUDIES_AT_ONCE_MAX])
    for key in keys:
        defer_fetch(key)
    return len(keys)


def objects_here(fetch_id: int) -> set[str]:
    """The SOP Instance UIDs of what came of a study so far: a run that was broken off goes on after them."""
    here = Image.everything.filter(fetched=fetch_id)
    return set(here.values_list("sop_instance_uid", flat=True))


@transaction.atomic
def keep_object(*, fetch_id: int, header: Header, stored: StoredFile, at: datetime) -> bool:
    """Keep one object of a study that is being fetched; False where it is here already, or nobody waits for it any more."""
    fetch = _locked(fetch_id)
    if fetch.state != FetchState.ASKED or header.sop_instance_uid in objects_here(fetch_id):
        return False
    actions.insert_image(
        site=fetch.site,
        exam_id=fetch.exam_id,
        fetched_id=fetch.pk,
        header=header,
        stored=stored,
        acquired_at=None,
        calling_ae="",
        copy=0,
        state=ImageState.MATCHED,
        why=f"fetched from {fetch.archive}",
        findings=(),
        corrections={},
        at=at,
        simulated=fetch.site.simulated,
    )
    return True


@transaction.atomic
def all_here(*, fetch_id: int, left: int, at: datetime) -> int:
    """All of a study is here: it goes on to where it is read, as it came. `left` objects of it are not carried. The number sent."""
    fetch = _locked(fetch_id)
    if fetch.state != FetchState.ASKED:
        return 0
    images = list(Image.everything.filter(fetched=fetch).order_by("id"))
    if not images:
        fetch_actions.move_fetch(fetch, action=FetchAction.GIVE_UP, at=at, why=NOT_CARRIED)
        _tell(fetch, at=at)
        return 0
    fetch_actions.move_fetch(fetch, action=FetchAction.HAND_ON, at=at, left=left)
    way = Way(fetch.destination, True, f"exam {fetch.exam.accession} is compared with it")
    for image in images:
        actions.insert_deliveries(image=image, ways=[way], at=at)
    plan = destination_of(fetch)
    defer_delivery(
        site_id=fetch.site_id, destination=fetch.destination, lanes=plan.associations if plan else 1
    )
    _tell(fetch, at=at)
    return len(images)


@transaction.atomic
def not_fetched(*, fetch_id: int, why: str, is_final: bool, at: datetime) -> list[str]:
    """A study could not be fetched: it is tried again, each time later, or given up; the files here that are to be deleted then.

    `why` is in words and without anything of the patient.
    """
    fetch = _locked(fetch_id)
    if fetch.state != FetchState.ASKED:
        return []
    wait = None if is_final else wait_seconds(fetch.attempts + 1)
    action = FetchAction.GIVE_UP if wait is None else FetchAction.TRY_AGAIN
    fetch_actions.move_fetch(fetch, action=action, at=at, why=why, wait_seconds=wait or 0)
    paths: list[str] = []
    if wait is None:
        came = list(Image.everything.filter(fetched=fetch).order_by("id"))
        paths = [image.path for image in came]
        fetch_actions.forget_objects(fetch, keys=[image.pk for image in came])
    _tell(fetch, at=at)
    return paths


def on_its_way(image: Image, *, at: datetime) -> None:
    """An image of a fetched study was taken, given up, or begun again: whoever reads is told how it stands. Inside a transaction."""
    fetch = _locked(image.fetched_id or 0)
    waits = Image.everything.filter(fetched=fetch).exclude(state=ImageState.SENT)
    if fetch.state == FetchState.ON_ITS_WAY and not waits.exists():
        fetch_actions.move_fetch(fetch, action=FetchAction.ARRIVE, at=at)
    _tell(fetch, at=at)


def destination_of(fetch: FetchedStudy) -> DestinationPlan | None:
    """Where a study goes, as the site file says it now."""
    return _plan(fetch, fetch.destination)


def archive_of(fetch: FetchedStudy) -> DestinationPlan | None:
    """Where it comes from, as the site file says it now; None where it is not asked over the web any more."""
    archive = _plan(fetch, fetch.archive)
    return archive if archive is not None and archive.finds and archive.web else None


def _plan(fetch: FetchedStudy, name: str) -> DestinationPlan | None:
    destinations: Iterable[DestinationPlan] = (
        from_json(fetch.site.plan).destinations if fetch.site.plan else ()
    )
    return next((d for d in destinations if d.name == name), None)


def _locked(fetch_id: int) -> FetchedStudy:
    return (
        FetchedStudy.objects.select_for_update(of=("self",)).select_related("site", "exam").get(pk=fetch_id)
    )


def _fetching(fetch: FetchedStudy) -> Fetching:
    given_up = Delivery.objects.filter(image__fetched=fetch, state=DeliveryState.FAILED)
    return Fetching(
        FetchState(fetch.state),
        fetch.archive,
        fetch.destination,
        fetch.why,
        fetch.left,
        is_stuck=fetch.state == FetchState.ON_ITS_WAY and given_up.exists(),
    )


def _tell(fetch: FetchedStudy, *, at: datetime) -> None:
    """Say beside every exam that is compared with a study how it stands with it."""
    state, where = how_it_stands(_fetching(fetch))
    beside = Prior.objects.filter(site=fetch.site_id, study_instance_uid=fetch.study_instance_uid)
    for prior in beside.select_for_update(of=("self",)).select_related("exam").order_by("id"):
        if prior_actions.stand(prior, state=state, where=where, at=at):
            tell_stands(prior, at=at)


def tell_stands(prior: Prior, *, at: datetime) -> None:
    """Write down that a study came where it is read, or cannot be had from an archive. Inside a transaction."""
    if prior.state == PriorState.COMING:
        return
    exam = prior.exam
    record(
        site_id=prior.site_id,
        kind=FactKind.PRIOR_CHANGED,
        at=at,
        by="rule",
        accession=exam.accession,
        patient=exam.patient_id,
        data={"state": prior.state, "to": prior.where},
        simulated=exam.simulated,
    )
