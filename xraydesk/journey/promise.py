"""Destinations are asked to promise that they keep what they were sent; what they do not keep is sent again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import promise_actions as actions
from xraydesk.imaging.models import Delivery, Image, Promise
from xraydesk.imaging.promise_rules import (
    OBJECTS_A_QUESTION_MAX,
    Follows,
    after_refusal,
    ask_wait_seconds,
    reason_in_words,
    says,
)
from xraydesk.imaging.states import (
    ASKS_A_PERSON,
    KEEPING_TRANSITIONS,
    DeliveryState,
    KeepingAction,
    KeepingState,
)
from xraydesk.journey.errors import WrongState
from xraydesk.journey.turns import DELIVER_QUEUE, defer_delivery
from xraydesk.orders.models import Exam
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import DestinationPlan

ASK_TASK = "ask_commitment"
"""Name of the job that asks a destination what it keeps; `links` owns it."""

NOT_TAKEN_MINUTES = 5
"""A question that was not taken by then was never sent: whoever was to send it is gone."""

AT_ONCE_MAX = 2000


class UnknownTransaction(Exception):
    """Nothing was asked here under this transaction UID."""


@dataclass(frozen=True)
class Question:
    """What a destination is asked at once: the key of the promise, its transaction UID, and (SOP class, SOP instance) pairs."""

    promise_id: int
    transaction_uid: str
    objects: tuple[tuple[str, str], ...]


def committing(site: Site) -> dict[str, DestinationPlan]:
    """The destinations that are asked, by name."""
    return {to.name: to for to in from_json(site.plan).destinations if to.commits} if site.plan else {}


def defer_asking(*, site_id: int, destination: str) -> None:
    """Ask for the job that asks a destination; one waits at a time."""
    name = f"{ASK_TASK}:{site_id}:{destination}"
    task = jobs.configure_task(ASK_TASK, queue=DELIVER_QUEUE, queueing_lock=name, lock=name)
    try:
        with transaction.atomic():
            task.defer(site_id=site_id, destination=destination)
    except job_errors.AlreadyEnqueued:
        return


@transaction.atomic
def next_question(*, site: Site, destination: str, at: datetime) -> Question | None:
    """What a destination is to be asked next: the images of one exam that it has and that nobody asked about yet.

    The question is written down before it leaves, so that an answer always finds it, whoever is killed meanwhile.
    """
    due = Delivery.objects.filter(
        site=site,
        destination=destination,
        state=DeliveryState.SENT,
        keeping=KeepingState.DUE,
        ask_at__lte=at,
        image__exam__isnull=False,
    )
    exam_id = due.order_by("id").values_list("image__exam", flat=True).first()
    if exam_id is None:
        return None
    rows = list(
        due.filter(image__exam=exam_id)
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("image")
        .order_by("id")[:OBJECTS_A_QUESTION_MAX]
    )
    if not rows:
        return None
    promise = actions.insert_promise(site=site, destination=destination, deliveries=rows, at=at)
    return Question(
        promise.pk,
        promise.transaction_uid,
        tuple((sop_class, uid) for _, sop_class, uid in promise.objects_asked),
    )


@transaction.atomic
def question_taken(*, promise_id: int, at: datetime) -> None:
    """The destination took a question, and answers it now or later."""
    actions.question_taken(Promise.objects.select_for_update().get(pk=promise_id), at=at)


@transaction.atomic
def question_not_taken(*, promise_id: int, why: str, at: datetime) -> None:
    """The destination did not take a question (`why` in words): it is asked again after a pause, then a person is."""
    promise = Promise.objects.select_related("site").get(pk=promise_id)
    rows = _locked([key for key, _, _ in promise.objects_asked])
    asked = [d for d in rows if d.promise_id == promise.pk and d.keeping == KeepingState.ASKED]
    _ask_again_or_a_person(promise.site, asked, why=why, at=at)


def _ask_again_or_a_person(site: Site, asked: Sequence[Delivery], *, why: str, at: datetime) -> None:
    for asks in sorted({delivery.asks for delivery in asked}):
        of_them = [delivery for delivery in asked if delivery.asks == asks]
        wait = ask_wait_seconds(asks)
        if wait is not None:
            actions.ask_again(of_them, at=at + timedelta(seconds=wait))
            continue
        actions.give_up(of_them, state=KeepingState.UNANSWERED, why=why)
        _ask_a_person(site, of_them, why=why, at=at)


@transaction.atomic
def answered(
    *,
    site: Site,
    transaction_uid: str,
    kept: Collection[str],
    failed: Mapping[str, int | None],
    at: datetime,
    by: str,
) -> None:
    """A destination says which images it keeps and which not, by SOP Instance UID, the latter with the reason's code.

    The same answer twice, answers in parts, and late ones to an earlier question change what they can and no more.
    Raises UnknownTransaction.
    """
    promise = Promise.objects.select_for_update().filter(site=site, transaction_uid=transaction_uid).first()
    if promise is None:
        raise UnknownTransaction
    uids = {key: uid for key, _, uid in promise.objects_asked}
    rows = _locked([key for key, uid in uids.items() if uid in kept or uid in failed])
    actions.answer_came(promise, at=at)
    safe: list[Delivery] = []
    refused: list[tuple[Delivery, int | None]] = []
    for delivery in rows:
        uid = uids[delivery.pk]
        is_kept = uid in kept and uid not in failed
        action = says(
            KeepingState(delivery.keeping),
            is_kept=is_kept,
            is_latest=delivery.promise_id == promise.pk,
            is_there=delivery.state == DeliveryState.SENT and actions.uid_as_sent(delivery.image) == uid,
        )
        if action is KeepingAction.COMMIT:
            safe.append(delivery)
        elif action is not None:
            refused.append((delivery, failed.get(uid)))
    actions.commit(safe, at=at)
    _tell(FactKind.IMAGES_KEPT, safe, at=at, by=by)
    _refused(promise, refused, at=at, by=by)
    _close_where_nothing_waits(site, rows, at=at, by=by, how="it keeps them")


def _refused(
    promise: Promise,
    refused: Sequence[tuple[Delivery, int | None]],
    *,
    at: datetime,
    by: str,
) -> None:
    """Send again what a destination does not keep, ask again, or ask a person."""
    site, later, given_up = promise.site, set(), []
    for delivery, code in refused:
        why = reason_in_words(code)
        follows = after_refusal(code, resends=delivery.resends, is_here=_is_here(delivery))
        if follows is Follows.SEND_AGAIN:
            actions.send_again(delivery, why=why, at=at, by=by)
            later.add(delivery.next_at)
        elif follows is Follows.PERSON:
            actions.give_up([delivery], state=KeepingState.NOT_KEPT, why=why)
            given_up.append(delivery)
        elif (KeepingState(delivery.keeping), KeepingAction.ASK_AGAIN) in KEEPING_TRANSITIONS:
            _ask_again_or_a_person(site, [delivery], why=why, at=at)
    _tell(FactKind.IMAGE_NOT_KEPT, [delivery for delivery, _ in refused], at=at, by=by)
    for when in sorted(later)[:1]:
        defer_delivery(site_id=site.pk, destination=promise.destination, not_before=when)
    for why in sorted({delivery.keeping_why for delivery in given_up}):
        _ask_a_person(site, [d for d in given_up if d.keeping_why == why], why=why, at=at)


def look_after_promises(*, site: Site, at: datetime) -> int:
    """Ask anew where no answer came in the stated time, for jobs that were lost, and about what went before it was asked.

    The number of images asked about anew.
    """
    asked_of = committing(site)
    if not asked_of:
        return 0
    late = Q(pk__in=[])
    for name, to in asked_of.items():
        late |= Q(destination=name, promise__asked_at__lte=at - timedelta(minutes=to.commits_within_minutes))
    late |= Q(
        destination__in=list(asked_of),
        promise__taken_at=None,
        promise__answered_at=None,
        promise__asked_at__lte=at - timedelta(minutes=NOT_TAKEN_MINUTES),
    )
    asked = Delivery.objects.filter(late, site=site, keeping=KeepingState.ASKED)
    keys = list(asked.order_by("id").values_list("pk", flat=True)[:AT_ONCE_MAX])
    with transaction.atomic():
        rows = list(
            asked.filter(pk__in=keys)
            .select_for_update(of=("self",))
            .select_related("image__exam")
            .order_by("id")
        )
        _ask_again_or_a_person(site, rows, why="it gave no answer", at=at)
        actions.ask_again(_of_before(site, asked_of), at=at)
        due = Delivery.objects.filter(
            site=site, destination__in=list(asked_of), keeping=KeepingState.DUE, ask_at__lte=at
        )
        for name in due.values_list("destination", flat=True).distinct().order_by("destination"):
            defer_asking(site_id=site.pk, destination=name)
    return len(rows)


def _of_before(site: Site, asked_of: Collection[str]) -> list[Delivery]:
    """Images whose files are here that a destination took before the site file said that it is asked, locked."""
    return list(
        Delivery.objects.filter(
            site=site,
            destination__in=list(asked_of),
            state=DeliveryState.SENT,
            keeping=KeepingState.NOT_ASKED,
            image__exam__isnull=False,
        )
        .exclude(image__path="")
        .select_for_update(of=("self",), skip_locked=True)
        .order_by("id")[:AT_ONCE_MAX]
    )


@transaction.atomic
def try_again(*, site: Site, destination: str, accession: str, at: datetime, by: str) -> int:
    """A person has tried again what a destination does not keep, or does not answer about, of one exam; the number.

    What it said it does not keep is sent again where it is here; all else is asked about again. Raises WrongState
    where nothing waits for a person.
    """
    rows = _waiting_for_a_person(site, destination, accession)
    to_send = [d for d in rows if d.keeping == KeepingState.NOT_KEPT and _is_here(d)]
    for delivery in to_send:
        actions.send_again(delivery, why=delivery.keeping_why, at=at, by=by, anew=True)
    actions.ask_again([d for d in rows if d not in to_send], at=at, anew=True)
    if to_send:
        defer_delivery(site_id=site.pk, destination=destination)
    if len(to_send) < len(rows):
        defer_asking(site_id=site.pk, destination=destination)
    _close_where_nothing_waits(site, rows, at=at, by=by, how="it is tried again")
    return len(rows)


@transaction.atomic
def seen_there(*, site: Site, destination: str, accession: str, at: datetime, by: str) -> int:
    """A person looked, and says that the images of an exam are safe at a destination; the number. Raises WrongState."""
    rows = _waiting_for_a_person(site, destination, accession)
    actions.waive(rows, at=at, by=by)
    _tell(FactKind.IMAGES_KEPT, rows, at=at, by=by)
    _close_where_nothing_waits(site, rows, at=at, by=by, how="they are safe there")
    return len(rows)


def _waiting_for_a_person(site: Site, destination: str, accession: str) -> list[Delivery]:
    waiting = Delivery.objects.filter(
        site=site, destination=destination, image__exam__accession=accession, keeping__in=ASKS_A_PERSON
    )
    rows = _locked(list(waiting.values_list("pk", flat=True)))
    rows = [delivery for delivery in rows if delivery.keeping in ASKS_A_PERSON]
    if not rows:
        raise WrongState("Nothing of this exam waits there any more. Look at the page again.")
    return rows


def _locked(keys: Collection[int]) -> list[Delivery]:
    """Deliveries with their images, all locked, the images first as everywhere."""
    image_ids = Delivery.objects.filter(pk__in=keys).values_list("image", flat=True)
    locked: QuerySet[Image] = Image.everything.select_for_update(of=("self",)).select_related("exam")
    images = {image.pk: image for image in locked.filter(pk__in=list(image_ids)).order_by("id")}
    rows = list(Delivery.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("id"))
    for delivery in rows:
        delivery.image = images[delivery.image_id]
    return rows


def _is_here(delivery: Delivery) -> bool:
    """True where the desk still has the image's file."""
    return bool(delivery.image.path) and delivery.image.released_at is None


def _by_exam(rows: Iterable[Delivery]) -> list[tuple[Exam | None, list[Delivery]]]:
    found: dict[int, tuple[Exam | None, list[Delivery]]] = {}
    for delivery in rows:
        exam = delivery.image.exam
        found.setdefault(exam.pk if exam else 0, (exam, []))[1].append(delivery)
    return [found[key] for key in sorted(found)]


def _tell(kind: FactKind, rows: Sequence[Delivery], *, at: datetime, by: str) -> None:
    for exam, of_exam in _by_exam(rows):
        record(
            site_id=of_exam[0].site_id,
            kind=kind,
            at=at,
            by=by,
            accession=exam.accession if exam else "",
            patient=exam.patient_id if exam else None,
            data={
                "destination": of_exam[0].destination,
                "images": sorted(delivery.image_id for delivery in of_exam),
                "why": sorted({delivery.keeping_why for delivery in of_exam} - {""}),
            },
            simulated=of_exam[0].image.simulated,
        )


def _ask_a_person(site: Site, rows: Sequence[Delivery], *, why: str, at: datetime) -> None:
    for exam, of_exam in _by_exam(rows):
        destination = of_exam[0].destination
        count = len(of_exam)
        raise_item(
            site_id=site.pk,
            kind=ItemKind.IMAGE_NOT_KEPT,
            key=keeping_key(destination, exam),
            at=at,
            text=f"{destination} was sent {count} image{'s' if count > 1 else ''} of exam "
            f"{exam.accession if exam else 'unknown'} and does not promise to keep {'them' if count > 1 else 'it'}: "
            f"{why}. Look there; then try again, or say that they are safe.",
            accession=exam.accession if exam else "",
            patient=exam.patient_id if exam else None,
            data={"destination": destination},
        )


def _close_where_nothing_waits(
    site: Site, rows: Iterable[Delivery], *, at: datetime, by: str, how: str
) -> None:
    ways = {(d.destination, d.image.exam_id): d.image.exam for d in rows}
    for (destination, exam_id), exam in ways.items():
        waits = Delivery.objects.filter(
            image__exam=exam_id, destination=destination, keeping__in=ASKS_A_PERSON
        )
        if not waits.exists():
            close_items(site_id=site.pk, key=keeping_key(destination, exam), at=at, by=by, how=how)


def keeping_key(destination: str, exam: Exam | None) -> str:
    """The key of the item about images of an exam that a destination does not keep."""
    return f"not kept:{destination}:{exam.accession if exam else ''}"
