"""What was rearranged on a day: by whom, and whether it can still be undone as a whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.autopilot import BY_AUTOPILOT
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.states import LIVE

SHOWN_MAX = 200
"""So many of a day are listed, the newest first."""


def rearranged(
    *, site: Site, since: datetime, until: datetime, room_ids: Collection[int] | None = None
) -> list[Rearrangement]:
    """What was accepted between two moments, the newest first; with `room_ids` only what lies in those rooms alone."""
    found = Rearrangement.objects.filter(site=site, at__gte=since, at__lt=until).order_by("-at", "-id")
    mine = None if room_ids is None else set(room_ids)
    return [kept for kept in found[:SHOWN_MAX] if mine is None or kept.room_ids <= mine]


def done_by_itself(
    *, site: Site, since: datetime, until: datetime, room_ids: Collection[int] | None = None
) -> int:
    """How often the desk let others give way by itself between two moments, and nobody took it back."""
    if room_ids is not None:
        found = rearranged(site=site, since=since, until=until, room_ids=room_ids)
        return sum(kept.by == BY_AUTOPILOT and kept.undone_at is None for kept in found)
    return Rearrangement.objects.filter(
        site=site, by=BY_AUTOPILOT, at__gte=since, at__lt=until, undone_at=None
    ).count()


def undoable(rearrangements: Sequence[Rearrangement]) -> frozenset[int]:
    """Keys of those of one site that can be undone: nothing of them has begun, and nobody moved their exams since. Two queries."""
    open_ones = [kept for kept in rearrangements if kept.undone_at is None]
    names = {move["accession"] for kept in open_ones for move in kept.moves}
    site_id = open_ones[0].site_id if open_ones else None
    now = dict(
        Booking.objects.filter(
            site=site_id, exam__accession__in=names, state__in=[s.value for s in LIVE]
        ).values_list("exam__accession", "pk")
    )
    begun = set(
        StepExam.objects.filter(
            step__site=site_id,
            exam__accession__in=names,
            voided=False,
            step__state__in=[StepState.IN_PROGRESS.value, StepState.COMPLETED.value],
        ).values_list("exam__accession", flat=True)
    )
    return frozenset(
        kept.pk
        for kept in open_ones
        if all(
            move["accession"] not in begun
            and now.get(move["accession"]) == (move["after"] or {}).get("booking")
            for move in kept.moves
        )
    )
