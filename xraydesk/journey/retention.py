"""Files of images are let go of once they are safe wherever they go, and no sooner; the rows stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item, reword_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import promise_actions, retention, retention_actions
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.retention_rules import (
    Kept,
    RetentionPolicy,
    Standing,
    Way,
    percent_used,
    room_in_words,
    where_it_is,
    why_kept,
)
from xraydesk.imaging.states import SAFE, DeliveryState, ImageState, KeepingState
from xraydesk.journey.errors import WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.journey.route import destinations_of
from xraydesk.journey.turns import DELIVER_QUEUE

RELEASE_TASK = "release_images"
"""Name of the job that lets go of files and deletes them; `links` owns it."""

IMAGES_AT_ONCE = 200
IMAGES_A_ROUND_MAX = 20_000
"""More files than these are let go of in the next round."""


def policy_of(site: Site) -> RetentionPolicy:
    """How long files stay, by the site's file."""
    policies = policies_of(site)
    return RetentionPolicy(policies.image_days, policies.image_unpromised_hours)


def _plain(site: Site) -> list[str]:
    return [to.name for to in destinations_of(site) if not to.commits]


def _nameless(site: Site) -> list[str]:
    return [to.name for to in destinations_of(site) if to.research]


def ask_to_release() -> bool:
    """Ask for the job that lets go of what may go, in place of within the hour; False where it waits already."""
    task = jobs.configure_task(
        RELEASE_TASK, queue=DELIVER_QUEUE, queueing_lock=RELEASE_TASK, lock=RELEASE_TASK
    )
    try:
        with transaction.atomic():
            task.defer()
    except job_errors.AlreadyEnqueued:
        return False
    return True


def release_due(*, site: Site, at: datetime, images_max: int = IMAGES_A_ROUND_MAX) -> int:
    """Let go of every file that may go; the number. Each stands in its row, with the reason, before anybody deletes it."""
    last, released = 0, 0
    while released < images_max:
        found = _release_some(site, after=last, at=at)
        if found is None:
            break
        last, count = found
        released += count
    return released


@transaction.atomic
def _release_some(site: Site, *, after: int, at: datetime) -> tuple[int, int] | None:
    """Let go of some files; the last image looked at, and how many were. None where there is none after `after`."""
    policy = policy_of(site)
    may_go = retention.kept_images(
        site=site, plain=_plain(site), nameless=_nameless(site), policy=policy, at=at
    ).filter(kept=Kept.MAY_GO.value, pk__gt=after)
    keys = list(may_go.order_by("id").values_list("pk", flat=True)[:IMAGES_AT_ONCE])
    if not keys:
        return None
    released: list[tuple[Image, str]] = []
    for image, standing in _standing(site, keys):
        # Judged once more under its lock: somebody may have decided about it meanwhile.
        if image.released_at is None and why_kept(standing, policy, at=at) is Kept.MAY_GO:
            released.append((image, where_it_is(standing.state, standing.ways)))
    for why in sorted({why for _, why in released}):
        retention_actions.release([image for image, is_why in released if is_why == why], why=why, at=at)
    _tell(site, released, at=at)
    return keys[-1], len(released)


def _standing(site: Site, keys: Sequence[int]) -> Iterable[tuple[Image, Standing]]:
    plans = {to.name: to for to in destinations_of(site)}
    locked = (
        Image.carried.select_for_update(of=("self",), skip_locked=True)
        .filter(pk__in=keys)
        .select_related("exam")
        .annotate(is_asked_about=retention.asked_about(), waits_for_priors=retention.awaited_priors())
        .order_by("id")
    )
    images = list(locked)
    ways: dict[int, list[Way]] = {}
    for one in Delivery.objects.filter(image__in=images).order_by("id"):
        plan = plans.get(one.destination)
        ways.setdefault(one.image_id, []).append(
            Way(
                one.destination,
                DeliveryState(one.state),
                KeepingState(one.keeping),
                one.sent_at,
                one.kept_at,
                commits=plan is not None and plan.commits,
                is_gone=plan is None,
                is_nameless=plan is not None and bool(plan.research),
            )
        )
    for image in images:
        moments = (image.received_at, image.back_at, image.decided_at)
        yield (
            image,
            Standing(
                ImageState(image.state),
                max(moment for moment in moments if moment is not None),
                tuple(ways.get(image.pk, ())),
                image.is_asked_about,
                image.waits_for_priors,
                image.fetched_id is not None,
            ),
        )


def _tell(site: Site, released: Sequence[tuple[Image, str]], *, at: datetime) -> None:
    """One fact an exam and reason."""
    groups: dict[tuple[int, str], list[Image]] = {}
    for image, why in released:
        # What was fetched to be compared with is nothing of the exam's own.
        exam_id = image.exam_id if image.fetched_id is None else None
        groups.setdefault((exam_id or 0, why), []).append(image)
    for (exam_id, why), images in groups.items():
        exam = images[0].exam if exam_id else None
        record(
            site_id=site.pk,
            kind=FactKind.IMAGES_RELEASED,
            at=at,
            by="rule",
            accession=exam.accession if exam else "",
            patient=exam.patient_id if exam else None,
            data={"images": [image.pk for image in images], "why": why},
            simulated=images[0].simulated,
        )


@dataclass(frozen=True)
class Destination:
    """What a destination keeps here: images that are not safe there yet. `is_gone`: the site file names it no more."""

    name: str
    images: int
    oldest: datetime
    commits: bool
    is_gone: bool


@dataclass(frozen=True)
class Overview:
    """What is kept: files by reason, and by destination what is not safe there yet."""

    totals: list[retention.Total]
    destinations: list[Destination]

    @property
    def may_go(self) -> int:
        """How many files the next round lets go of."""
        return sum(total.files for total in self.totals if total.why is Kept.MAY_GO)


def overview(*, site: Site, at: datetime) -> Overview:
    """What is kept of a site, and why."""
    plans = {to.name: to for to in destinations_of(site)}
    plain, policy = _plain(site), policy_of(site)
    return Overview(
        totals=retention.totals(site=site, plain=plain, nameless=_nameless(site), policy=policy, at=at),
        destinations=[
            Destination(
                one.destination,
                one.images,
                one.oldest,
                commits=one.destination in plans and plans[one.destination].commits,
                is_gone=one.destination not in plans,
            )
            for one in retention.not_safe(site=site, plain=plain, policy=policy, at=at)
        ],
    )


@dataclass(frozen=True)
class Room:
    """How much room the files take, in bytes and in percent of what they may (0 where nothing limits them), and what is wrong."""

    used_bytes: int
    free_bytes: int
    percent: int
    gigabytes_max: int
    trouble: str


def room(*, site: Site, free_bytes: int) -> Room:
    """The room for files of images; `free_bytes` is what the disk has left."""
    policies = policies_of(site)
    used = retention.used_bytes(site)
    return Room(
        used_bytes=used,
        free_bytes=free_bytes,
        percent=percent_used(used, gigabytes_max=policies.spool_gigabytes_max),
        gigabytes_max=policies.spool_gigabytes_max,
        trouble=room_in_words(
            used,
            free_bytes,
            gigabytes_max=policies.spool_gigabytes_max,
            warn_percent=policies.spool_warn_percent,
        ),
    )


@transaction.atomic
def look_after_room(*, site: Site, free_bytes: int, at: datetime) -> str:
    """Put it before a person where room runs short, and take it off the list where there is enough again; what is wrong."""
    trouble = room(site=site, free_bytes=free_bytes).trouble
    if not trouble:
        close_items(site_id=site.pk, key=ROOM_KEY, at=at, by="rule", how="there is room again")
        return ""
    text = (
        f"{trouble}. What no destination promised to keep is not deleted. "
        "See what waits to be sent; an administrator sees what is kept, and why."
    )
    raise_item(site_id=site.pk, kind=ItemKind.ROOM_SHORT, key=ROOM_KEY, at=at, text=text)
    reword_item(site_id=site.pk, key=ROOM_KEY, text=text)
    return trouble


ROOM_KEY = "room for images"


@transaction.atomic
def give_up_destination(*, site: Site, destination: str, at: datetime, by: str) -> int:
    """A person says that nobody waits any more for a destination that the site file names no more; the number of images.

    What it took counts as safe there, by that person's word; what it did not take goes nowhere else by this. Raises
    WrongState where the site file names it.
    """
    if any(to.name == destination for to in destinations_of(site)):
        raise WrongState(f"The site file names {destination}: its images wait for it.")
    rows = list(
        Delivery.objects.select_for_update(of=("self",))
        .filter(site=site, destination=destination, state=DeliveryState.SENT)
        .exclude(keeping__in=SAFE)
        .order_by("id")[:IMAGES_A_ROUND_MAX]
    )
    promise_actions.waive(rows, at=at, by=by)
    record(
        site_id=site.pk,
        kind=FactKind.IMAGES_KEPT,
        at=at,
        by=by,
        data={"destination": destination, "count": len(rows), "why": "it is named no more"},
    )
    return len(rows)
