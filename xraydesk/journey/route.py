"""Images go on to their destinations once their exam was performed, and are counted as sent when all have them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, queries
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.rejection_rules import RejectionCode
from xraydesk.imaging.route_rules import destinations, documents_too
from xraydesk.imaging.rules import AWAY_ATTEMPTS_MAX, may_go_on
from xraydesk.imaging.states import DeliveryState, ImageAction, ImageState
from xraydesk.journey import performing
from xraydesk.journey.distribute import images_reached
from xraydesk.journey.errors import WrongState
from xraydesk.journey.judge import Shown, hold_doubtful
from xraydesk.journey.keys import away_key, delivery_key
from xraydesk.journey.prior_images import on_its_way
from xraydesk.journey.priors import came
from xraydesk.journey.recall import recall
from xraydesk.journey.routed import routed_exams
from xraydesk.journey.turns import defer_delivery, defer_requisition
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.orders.models import Exam
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import DestinationPlan

IMAGES_AT_ONCE_MAX = 2000
"""So many are held in memory at once; more images of one exam follow in another round of the same transaction."""


def destinations_of(site: Site) -> tuple[DestinationPlan, ...]:
    """Where the site file sends images; none where no file was loaded."""
    return from_json(site.plan).destinations if site.plan else ()


def has_images_to_send(exam_id: int) -> bool:
    """Whether `queue_deliveries` would find anything to do: matched images, of an exam that was performed and is over."""
    return queries.has_matched(exam_id) and may_go_on(queries.standing_states(exam_id))


@transaction.atomic
def queue_deliveries(*, exam_id: int, at: datetime, shown: Shown = MappingProxyType({})) -> int:
    """Send an exam's matched images on their way, where the exam was performed and nothing of it is under way.

    What speaks too much against an image's label, now that it is known when and where the exam was
    done, holds it. `shown` says which machines were told of the exam by their worklist. Changes
    nothing when run again. The number of ways begun; one job a destination is asked for.
    """
    (exam,) = performing.lock_exams([exam_id])
    if not exam.site.plan or not may_go_on(queries.standing_states(exam_id)):
        return 0
    plan = from_json(exam.site.plan)
    asked = routed_exams([exam], at=at)[exam.pk]
    begun = 0
    names: set[str] = set()
    wants_history = False
    elsewhere = is_done_elsewhere(exam.order)
    for waiting in _waiting_in_rounds(exam):
        # Whether its label fits was judged by whoever said whose it is: no room and no clock of ours saw it made.
        for image in waiting if elsewhere else hold_doubtful(exam, waiting, shown=shown, at=at):
            gone = destinations(asked, image.modality, plan)
            if is_requisition(image, exam.site):
                gone = documents_too(destinations(asked, _usual_modality(exam), plan), plan)
            elif documents_too(gone, plan):
                wants_history = True
            ways = actions.insert_deliveries(image=image, ways=gone, at=at)
            begun += len(ways)
            names.update(way.destination for way in ways)
    _ask_to_send(exam.site, names)
    if wants_history and begun and not elsewhere:
        defer_requisition(exam_id=exam.pk)
    return begun


def _waiting_in_rounds(exam: Exam) -> Iterator[list[Image]]:
    """An exam's matched images, locked, oldest first, a round at a time."""
    matched = Image.objects.select_for_update(of=("self",)).filter(exam=exam, state=ImageState.MATCHED)
    last = 0
    while images := list(matched.filter(id__gt=last).order_by("id")[:IMAGES_AT_ONCE_MAX]):
        yield images
        last = images[-1].pk


def is_requisition(image: Image, site: Site) -> bool:
    """True for a document that the desk itself wrote."""
    return image.modality == "DOC" and image.calling_ae_title == site.ae_title


def _usual_modality(exam: Exam) -> str:
    """Of the exam's images, as they came; the requisition goes where they go."""
    made = Image.objects.filter(exam=exam).exclude(modality__in=("DOC", "SR")).order_by("id")
    return made.values_list("modality", flat=True).first() or ""


def due(*, exam_id: int, destination: str, at: datetime) -> list[int]:
    """The keys of what waits of one exam for one destination and may be tried now, oldest first."""
    waiting = Delivery.objects.filter(
        image__exam=exam_id,
        image__state=ImageState.MATCHED,
        destination=destination,
        state=DeliveryState.WAITING,
        next_at__lte=at,
    )
    return list(waiting.order_by("id").values_list("id", flat=True)[:IMAGES_AT_ONCE_MAX])


@transaction.atomic
def offer(*, exam_id: int, destination: str, at: datetime) -> list[Delivery]:
    """What waits of one exam for one destination and is tried now, oldest first; from now on it may have them.

    That is written down before the first byte leaves, so that whoever decides meanwhile, or after the sender was
    killed, has it taken back there. `may_have_it` of what is returned says how it was before.
    """
    waiting = Delivery.objects.select_for_update().filter(
        pk__in=due(exam_id=exam_id, destination=destination, at=at), state=DeliveryState.WAITING
    )
    keys = [delivery.pk for delivery in waiting.order_by("id")]
    found = Delivery.objects.filter(pk__in=keys).select_related("image__site", "site").order_by("id")
    ways = list(found)
    actions.offered(keys)
    return ways


@transaction.atomic
def record_not_offered(*, delivery_ids: Collection[int]) -> None:
    """These were to be offered, and it did not come to that: their destination has nothing of them."""
    actions.not_offered(sorted(delivery_ids))


@transaction.atomic
def record_sent(
    *,
    delivery_id: int,
    at: datetime,
    corrections: Mapping[str, str] | None = None,
    is_to_promise: bool = False,
) -> bool:
    """A destination took an image; once all have it, the image is sent. True where it now is.

    `corrections` are those it left under: where a person decided otherwise while it was on its way,
    the destination is told at once that what it has is not to be used. With `is_to_promise` the destination
    is asked whether it keeps it; a rejection note of ours is nothing that anybody has to keep.
    """
    delivery = _locked(delivery_id)
    if delivery.state == DeliveryState.SENT:
        return False
    if corrections is not None and _is_overtaken(delivery, corrections):
        left = {delivery.image_id: (dict(corrections), [delivery.destination])}
        recall([delivery.image], code=RejectionCode.WRONG_ENTRY, at=at, by="rule", as_left=left)
        return False
    # A note is nothing that anybody has to keep, and what was fetched is kept where it came from.
    is_to_promise = is_to_promise and delivery.image.note is None and delivery.image.fetched_id is None
    actions.delivered(delivery, at=at, is_to_promise=is_to_promise)
    close_items(site_id=delivery.site_id, key=delivery_key(delivery), at=at, by="rule", how="it was sent")
    image = delivery.image
    if image.exam is not None and image.fetched_id is None:
        images_reached(exam=image.exam, destination=delivery.destination, at=at)
    return _sent_where_all_have_it(image, at=at)


@transaction.atomic
def record_refused(*, delivery_id: int, at: datetime, why: str) -> None:
    """An image must not go to a destination (`why` without anything of the patient): nobody tries again."""
    delivery = _locked(delivery_id)
    if delivery.state == DeliveryState.WAITING:
        actions.delivery_refused(delivery, why=why)
        _sent_where_all_have_it(delivery.image, at=at)


def _sent_where_all_have_it(image: Image, *, at: datetime) -> bool:
    """Count an image as sent once every destination has it that is to have it."""
    states = set(image.deliveries.values_list("state", flat=True))
    if image.state != ImageState.MATCHED or states - {DeliveryState.SENT, DeliveryState.WITHDRAWN}:
        return False
    if DeliveryState.SENT not in states:
        return False
    actions.move_image(image, action=ImageAction.SEND, at=at, by="rule")
    if image.fetched_id is not None:
        on_its_way(image, at=at)
        return True
    exam = image.exam
    if exam is not None and is_done_elsewhere(exam.order):
        came(exam=exam, at=at)
    record(
        site_id=image.site_id,
        kind=FactKind.IMAGE_SENT,
        at=at,
        by="rule",
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        data={"image": image.pk},
        simulated=image.simulated,
    )
    return True


def _is_overtaken(delivery: Delivery, corrections: Mapping[str, str]) -> bool:
    """True where a person decided about an image while a destination took it under what was so before."""
    image = delivery.image
    return image.state == ImageState.REJECTED or (
        image.state == ImageState.MATCHED and dict(corrections) != image.corrections
    )


@transaction.atomic
def record_failure(
    *,
    delivery_id: int,
    at: datetime,
    why: str,
    corrections: Mapping[str, str] | None = None,
    may_have_it: bool = False,
    is_away: bool = False,
) -> datetime | None:
    """A destination did not take an image: when it is tried again, None where a person must look (row 41).

    Where it `is_away`, nobody could be asked: it is tried for as long as that lasts, and one item says so.

    `why` says what the destination answered, without anything of the patient. With `may_have_it` it was not
    heard whether the destination took it, under these `corrections`: where a person decided otherwise while it
    was on its way, it is taken back there all the same.
    """
    delivery = _locked(delivery_id)
    if may_have_it and corrections is not None and _is_overtaken(delivery, corrections):
        left = {delivery.image_id: (dict(corrections), [delivery.destination])}
        recall([delivery.image], code=RejectionCode.WRONG_ENTRY, at=at, by="rule", as_left=left)
        return None
    if delivery.state != DeliveryState.WAITING:
        return None
    actions.not_delivered(delivery, at=at, why=why, may_have_it=may_have_it, is_away=is_away)
    if is_away and delivery.attempts >= AWAY_ATTEMPTS_MAX:
        raise_item(
            site_id=delivery.site_id,
            kind=ItemKind.DESTINATION_AWAY,
            key=away_key(delivery.destination),
            at=at,
            text=f"{delivery.destination} cannot be reached: {why}. Images wait for it and go by themselves "
            "once it answers. Call whoever looks after it.",
        )
    if delivery.state == DeliveryState.WAITING:
        return delivery.next_at
    image = delivery.image
    exam = image.exam
    what, data = "An image", {"image": image.pk}
    if image.fetched_id is not None and exam is not None:
        on_its_way(image, at=at)
        what, data = f"An image that exam {exam.accession} is compared with", {}
    raise_item(
        site_id=delivery.site_id,
        kind=ItemKind.IMAGE_NOT_SENT,
        key=delivery_key(delivery),
        at=at,
        text=f"{what} could not be sent to {delivery.destination} after {delivery.attempts} attempts: "
        f"{delivery.last_error}. Mend it there, then try again.",
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        sop_instance_uid=image.sop_instance_uid,
        data={"delivery": delivery.pk, "destination": delivery.destination} | data,
    )
    return None


def destination_answers(*, site_id: int, destination: str, at: datetime) -> None:
    """A destination can be reached: nobody has to be asked about that any more."""
    close_items(site_id=site_id, key=away_key(destination), at=at, by="rule", how="it answers again")


@transaction.atomic
def retry_delivery(*, delivery_id: int, at: datetime, by: str) -> None:
    """A person has an image tried again that was given up. Raises WrongState where it was not."""
    delivery = _locked(delivery_id)
    if delivery.state != DeliveryState.FAILED:
        raise WrongState(f"This image is {delivery.state} on its way to {delivery.destination}.")
    _begin_again([delivery], at=at, by=by)


@transaction.atomic
def retry_destination(*, site: Site, destination: str, at: datetime, by: str) -> int:
    """A person has everything tried again that was given up for one destination; the number."""
    failed = list(
        Delivery.objects.select_for_update(of=("self",))
        .select_related("image")
        .filter(site=site, destination=destination, state=DeliveryState.FAILED)
        .order_by("id")[:IMAGES_AT_ONCE_MAX]
    )
    _begin_again(failed, at=at, by=by)
    return len(failed)


def _begin_again(deliveries: Iterable[Delivery], *, at: datetime, by: str) -> None:
    ways: dict[Site, set[str]] = {}
    for delivery in deliveries:
        actions.restart_delivery(delivery, at=at)
        key = delivery_key(delivery)
        close_items(site_id=delivery.site_id, key=key, at=at, by=by, how="it is tried again")
        if delivery.image.fetched_id is not None:
            on_its_way(delivery.image, at=at)
        if delivery.image.exam_id is not None:
            ways.setdefault(delivery.site, set()).add(delivery.destination)
    for site, destinations_asked in ways.items():
        _ask_to_send(site, destinations_asked)


def _ask_to_send(site: Site, names: Iterable[str]) -> None:
    """Ask for the jobs that send what waits for some destinations: of each so many as it takes associations."""
    lanes = {to.name: to.associations for to in destinations_of(site)}
    for name in sorted(names):
        defer_delivery(site_id=site.pk, destination=name, lanes=lanes.get(name, 1))


def resume_deliveries(*, at: datetime) -> int:
    """Ask again for jobs of images that wait although their time has come (a job was lost); the number of destinations."""
    ways = (
        Delivery.objects.filter(
            state=DeliveryState.WAITING,
            next_at__lte=at,
            image__state=ImageState.MATCHED,
            image__exam__isnull=False,
        )
        .values_list("site", "destination")
        .distinct()
        .order_by("site", "destination")
    )
    found: dict[int, list[str]] = {}
    for site_id, destination in ways:
        found.setdefault(site_id, []).append(destination)
    for site in Site.objects.filter(pk__in=found):
        with transaction.atomic():
            _ask_to_send(site, found[site.pk])
    return sum(map(len, found.values()))


def _locked(delivery_id: int) -> Delivery:
    """A delivery with its image, both locked, the image first."""
    image_id = Delivery.objects.values_list("image_id", flat=True).get(pk=delivery_id)
    image = (
        Image.everything.select_for_update(of=("self",))
        .select_related("exam__site", "exam__order")
        .get(pk=image_id)
    )
    delivery = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery_id)
    delivery.image = image
    return delivery


def exam_of(*, site_id: int, accession: str) -> Exam | None:
    """The exam that a fact names."""
    return Exam.objects.filter(site=site_id, accession=accession).first() if accession else None
