"""A destination tells the desk which images can be read there (IHE RAD-49)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.imaging import notice_actions
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import DeliveryState
from xraydesk.journey import performing
from xraydesk.journey.distribute import images_reached
from xraydesk.siteplan.reading import from_json


@dataclass(frozen=True)
class Announced:
    """What a destination says of a study: the objects that can be read there now, and those that cannot (any more)."""

    online: frozenset[str]
    away: frozenset[str]


def announcing(site: Site) -> dict[str, list[str]]:
    """The destinations that tell the desk when images can be read there: their names by their AE titles."""
    found: dict[str, list[str]] = {}
    for destination in from_json(site.plan).destinations if site.plan else ():
        if destination.announces:
            found.setdefault(destination.ae_title, []).append(destination.name)
    return found


@transaction.atomic
def announced(
    *, site: Site, destinations: Collection[str], said: Announced, at: datetime, by: str
) -> list[int]:
    """Some destinations told which images can be read there: where those are all of an exam, it can be read.

    Objects that nobody sent there are passed over. The exams that the objects belong to.
    """
    exams: set[int] = set()
    for destination in sorted(destinations):
        close_items(site_id=site.pk, key=_silent_key(destination), at=at, by=by, how="it tells again")
        for uids, when in ((said.away, None), (said.online, at)):
            found = notice_actions.mark_available(
                site_id=site.pk, destination=destination, sop_instance_uids=uids, at=when
            )
            exams |= {*found}
        for exam in performing.lock_exams(exams):
            images_reached(exam=exam, destination=destination, at=at, by=by)
    return sorted(exams)


SILENCE_MINUTES_MAX = 10
"""A destination that announces and says nothing of an image for so long after it took it is not waited for any longer."""

SILENT_AT_ONCE_MAX = 500
"""So many images are looked at in one round; the next round takes the others."""


def take_silence(*, site: Site, at: datetime) -> int:
    """Count images as there that a destination took and never spoke of, and have a person see to that; their number.

    Whoever reads a STAT is called by what the desk knows, not kept waiting for a notice that somebody forgot to set up.
    """
    names = sorted(name for names in announcing(site).values() for name in names)
    silent = Delivery.objects.filter(
        site=site,
        destination__in=names,
        state=DeliveryState.SENT,
        available_at=None,
        sent_at__lte=at - timedelta(minutes=SILENCE_MINUTES_MAX),
        image__exam__isnull=False,
        image__fetched=None,
    )
    rows = silent.order_by("id").values_list("destination", "image__sop_instance_uid")[:SILENT_AT_ONCE_MAX]
    for destination, uids in _by_first(rows if names else ()).items():
        with transaction.atomic():
            exams = notice_actions.mark_available(
                site_id=site.pk, destination=destination, sop_instance_uids=uids, at=at
            )
            for exam in performing.lock_exams(exams):
                images_reached(exam=exam, destination=destination, at=at)
            raise_item(
                site_id=site.pk,
                kind=ItemKind.NOTICE_NOT_TAKEN,
                key=_silent_key(destination),
                at=at,
                text=f"{destination} took images and did not say within {SILENCE_MINUTES_MAX} minutes that they can be "
                "read there. Have it tell the desk, or take announces out of the site file.",
                data={"destination": destination},
            )
    return len(rows) if names else 0


def _by_first(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for first, second in rows:
        found.setdefault(first, []).append(second)
    return found


def _silent_key(destination: str) -> str:
    """The key of the item about a destination that does not announce what it took."""
    return f"silent:{destination}"
