"""Reading which files of images are here, and why: the rule of `retention_rules`, asked of many rows at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)

from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.imaging.models import Delivery, Image, Prior
from xraydesk.imaging.prior_rules import PriorState
from xraydesk.imaging.retention_rules import Kept, RetentionPolicy
from xraydesk.imaging.states import SAFE, DeliveryState, ImageState

AWAITED = (PriorState.COMING, PriorState.CHASED)

ABOUT_IMAGES = (
    ItemKind.IMAGE_MISMATCH,
    ItemKind.LABEL_DOUBT,
    ItemKind.READER_DOUBTS_LABEL,
    ItemKind.IMAGE_WITHOUT_EXAM,
    ItemKind.IMAGE_CONFLICT,
    ItemKind.IMAGE_NOT_SENT,
    ItemKind.IMAGE_NOT_KEPT,
    ItemKind.IMAGES_HELD,
)
"""While a person is asked one of these about an exam, its files stay."""


@dataclass(frozen=True)
class Total:
    """How many files are here for one reason, how much room they take, and since when the oldest."""

    why: Kept
    files: int
    size_bytes: int
    oldest: datetime


@dataclass(frozen=True)
class NotSafe:
    """How many images that are still here a destination has, or is to get, and that are not safe there yet."""

    destination: str
    images: int
    oldest: datetime


def asked_about() -> Exists:
    """Whether a person is asked about an image's exam, or about the image."""
    about = Q(sop_instance_uid=OuterRef("sop_instance_uid")) | (
        Q(accession=OuterRef("exam__accession")) & ~Q(accession="")
    )
    return Exists(Item.objects.filter(about, site=OuterRef("site"), closed_at=None, kind__in=ABOUT_IMAGES))


def awaited_priors() -> Exists:
    """Whether studies to compare an image's exam with are on their way."""
    return Exists(Prior.objects.filter(exam=OuterRef("exam"), state__in=AWAITED))


def _unsafe(plain: Collection[str], policy: RetentionPolicy, at: datetime) -> Q:
    """Deliveries that are not safe where they go; `plain` are the destinations that are asked for no promise."""
    taken = Q(destination__in=list(plain), sent_at__lte=at - timedelta(hours=policy.unpromised_hours))
    safe = Q(state=DeliveryState.SENT) & (Q(keeping__in=SAFE, kept_at__isnull=False) | taken)
    return ~safe & ~Q(state=DeliveryState.WITHDRAWN)


def kept_images(
    *,
    site: Site,
    plain: Collection[str],
    nameless: Collection[str],
    policy: RetentionPolicy,
    at: datetime,
) -> QuerySet[Any]:
    """Every image whose file is here, with the reason as `kept`, the same that `retention_rules.why_kept` gives.

    `nameless` are the destinations for research.
    """
    cutoff = at - timedelta(days=policy.days)
    ways = Delivery.objects.filter(image=OuterRef("pk"))
    originals = ways.exclude(state=DeliveryState.WITHDRAWN).exclude(destination__in=list(nameless))
    # A promise counts from when it was given, the word of one that gives none from when it took the image.
    young_way = Exists(
        ways.exclude(state=DeliveryState.WITHDRAWN).filter(
            Q(keeping__in=SAFE, kept_at__gt=cutoff) | (~Q(keeping__in=SAFE) & Q(sent_at__gt=cutoff))
        )
    )
    is_young = (
        Q(received_at__gt=cutoff)
        | Q(back_at__gt=cutoff)
        | Q(decided_at__gt=cutoff)
        | Q(young_way, state=ImageState.SENT)
        if policy.days
        else Q(pk__isnull=False)
    )
    return Image.carried.filter(site=site, released_at=None).exclude(path="").annotate(
        kept=Case(
            When(state__in=[ImageState.QUARANTINED, ImageState.HELD], then=Value(Kept.UNDECIDED.value)),
            When(state=ImageState.MATCHED, then=Value(Kept.NOT_SENT.value)),
            When(fetched__isnull=False, then=Value(Kept.MAY_GO.value)),
            When(~Q(Exists(originals)), state=ImageState.SENT, then=Value(Kept.NOWHERE.value)),
            When(Q(Exists(ways.filter(_unsafe(plain, policy, at))), state=ImageState.SENT), then=Value(Kept.NOT_SAFE.value)),
            When(asked_about(), then=Value(Kept.ASKED_ABOUT.value)),
            When(awaited_priors(), then=Value(Kept.PRIORS.value)),
            When(is_young, then=Value(Kept.DAYS.value)),
            default=Value(Kept.MAY_GO.value),
            output_field=CharField(),
        )
    )  # fmt: skip


def totals(
    *,
    site: Site,
    plain: Collection[str],
    nameless: Collection[str],
    policy: RetentionPolicy,
    at: datetime,
) -> list[Total]:
    """The files that are here by reason, in the order of the reasons."""
    rows = (
        kept_images(site=site, plain=plain, nameless=nameless, policy=policy, at=at)
        .values("kept")
        .annotate(files=Count("pk"), size=Sum("size_bytes"), oldest=Min("received_at"))
        .order_by()
    )
    found = {row["kept"]: Total(Kept(row["kept"]), row["files"], row["size"], row["oldest"]) for row in rows}
    return [found[why] for why in Kept if why in found]


def not_safe(*, site: Site, plain: Collection[str], policy: RetentionPolicy, at: datetime) -> list[NotSafe]:
    """By destination, what keeps files here because it is not safe there."""
    rows = (
        Delivery.objects.filter(_unsafe(plain, policy, at), site=site, image__released_at=None)
        .exclude(image__path="")
        .exclude(image__fetched__isnull=False, image__state=ImageState.SENT)
        .filter(image__state__in=[ImageState.SENT, ImageState.MATCHED])
        .values("destination")
        .annotate(images=Count("pk"), oldest=Min("image__received_at"))
        .order_by("destination")
    )
    return [NotSafe(row["destination"], row["images"], row["oldest"]) for row in rows]


def used_bytes(site: Site) -> int:
    """How much room the files of a site take, in bytes; those that are about to be deleted too."""
    rows = Image.carried.filter(site=site).exclude(path="")
    return int(rows.aggregate(used=Sum(F("size_bytes")))["used"] or 0)
