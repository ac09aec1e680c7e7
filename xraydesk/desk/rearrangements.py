"""What was rearranged, as a list shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from xraydesk.access.models import Site
from xraydesk.desk import where
from xraydesk.desk.words import NO_NAME, who
from xraydesk.journey.autopilot import BY_AUTOPILOT
from xraydesk.journey.rearranged import undoable
from xraydesk.orders.models import Exam
from xraydesk.scheduling.models import Rearrangement


@dataclass(frozen=True)
class Moved:
    """One exam of it: whose, and from where to where; empty where it had, or has, no place."""

    url: str
    name: str
    was: str
    now: str


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    kept: Rearrangement
    who: str
    by_itself: bool
    undone_who: str
    moves: tuple[Moved, ...]
    undoable: bool


def as_rows(found: Sequence[Rearrangement], *, site: Site) -> list[Row]:
    """Rearrangements of one site as lines, in the order given."""
    can = undoable(found)
    names = _names(site, {move["accession"] for kept in found for move in kept.moves})
    zone = ZoneInfo(site.timezone)
    return [
        Row(
            kept=kept,
            who=who(kept.by),
            by_itself=kept.by == BY_AUTOPILOT,
            undone_who=who(kept.undone_by),
            moves=tuple(
                Moved(
                    url=where.board(exam=move["accession"]),
                    name=names.get(move["accession"], NO_NAME),
                    was=_place(move["before"], zone),
                    now=_place(move["after"], zone),
                )
                for move in kept.moves
            ),
            undoable=kept.pk in can,
        )
        for kept in found
    ]


def _names(site: Site, accessions: set[str]) -> dict[str, str]:
    found = Exam.objects.filter(site=site, accession__in=accessions)
    return {
        accession: ", ".join(part for part in (family, given) if part) or NO_NAME
        for accession, family, given in found.values_list("accession", "patient__family", "patient__given")
    }


def _place(kept: dict[str, Any] | None, zone: ZoneInfo) -> str:
    if kept is None:
        return ""
    return f"{kept['room']} {datetime.fromisoformat(kept['start']).astimezone(zone):%H:%M}"
