"""A proposal as the board shows it: who moves where and why, its ghosts on the lanes, and the form that accepts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from django.core import signing
from django.utils.safestring import SafeString

from xraydesk.access.members import Member
from xraydesk.access.models import Site
from xraydesk.desk import where
from xraydesk.desk.access import reaches, rooms_of
from xraydesk.desk.board_layout import Window
from xraydesk.desk.words import NO_NAME
from xraydesk.journey.planned_day import Event
from xraydesk.journey.propose import Proposal, Proposed, Step
from xraydesk.journey.rearrange import MOVES_MAX, WantedMove
from xraydesk.orders.models import Exam
from xraydesk.scheduling.autopilot_rules import Forbids, in_words
from xraydesk.scheduling.engine.problem import Job, Placed
from xraydesk.scheduling.models import Booking

SALT = "xraydesk.proposal"
READ_SECONDS_MAX = 1800
"""A proposal that lay open for longer is asked for anew."""

GHOST_LABEL_MINUTES = 60
GHOST_ROW = 4
GHOST_ROWS = 2
"""Proposed places stand in two rows below those that exams have."""


@dataclass(frozen=True)
class Row:
    """One exam of a proposal in a line: who, from where, to where."""

    accession: str
    url: str
    name: str
    was: str
    now: str
    minutes: int
    stays: bool
    technologist: str
    wanted: bool
    unseen: bool


@dataclass(frozen=True)
class Shown:
    """One proposal ready for a page. `number` counts from one; `next_url` is empty where there is no other."""

    number: int
    total: int
    headline: str
    reasons: tuple[str, ...]
    otherwise: tuple[str, ...]
    rows: tuple[Row, ...]
    form: str
    next_url: str = ""
    better: bool = False
    """True for one that a longer search found."""
    look_further: bool = False
    """True where a longer search could find a better one."""
    left: tuple[str, ...] = ()
    """Why the desk does not do this by itself; empty where it does nothing by itself."""


@dataclass(frozen=True)
class Asked:
    """What a form that accepts a proposal carries, as it was signed."""

    site_id: int
    moves: tuple[WantedMove, ...]
    start: datetime
    wanted: tuple[str, ...]
    asked: str
    why: tuple[str, ...]
    event: Event | None


def shown(
    proposed: Proposed,
    number: int,
    *,
    site: Site,
    asked: str,
    urls: Mapping[str, str],
    next_url: str = "",
    left: Iterable[Forbids] = (),
) -> Shown:
    """One of the proposals, counted from one. `urls` are addresses by accession; others lead to the exam's page.

    `left` are the limits that keep the desk from doing it by itself.
    """
    proposal = proposed.proposals[number - 1]
    names = _names(site, proposal)
    zone = ZoneInfo(site.timezone)
    return Shown(
        number=number,
        total=len(proposed.proposals),
        headline=proposal.told.headline,
        reasons=proposal.told.reasons,
        otherwise=proposal.told.otherwise,
        rows=tuple(
            Row(
                accession=step.accession,
                url=urls.get(step.accession) or where.exam(step.accession),
                name=names.get(step.accession, NO_NAME),
                was=_place(step.was_room, step.was_start, zone),
                now=_place(step.room, step.start, zone),
                minutes=step.minutes,
                stays=step.stays,
                technologist=step.technologist,
                wanted=step.accession in proposed.wanted,
                unseen=step.unseen,
            )
            for step in proposal.steps
        ),
        form=signed(proposed, proposal, site=site, asked=asked),
        next_url=next_url,
        better=proposal.better,
        look_further=proposed.look_further and number == 1,
        left=tuple(in_words(one, name=proposed.day.patients.get(one.accession, "")) for one in left),
    )


def _names(site: Site, proposal: Proposal) -> dict[str, str]:
    found = Exam.objects.filter(site=site, accession__in=[s.accession for s in proposal.steps])
    return {
        accession: ", ".join(part for part in (family, given) if part) or NO_NAME
        for accession, family, given in found.values_list("accession", "patient__family", "patient__given")
    }


def _place(room: str, start: datetime | None, zone: ZoneInfo) -> str:
    return f"{room} {start.astimezone(zone):%H:%M}" if start else ""


def ghosts(
    proposal: Proposal, window: Window, *, names: Mapping[str, str], zone: ZoneInfo
) -> dict[str, SafeString]:
    """Markup of the places that exams would take, by room: only those that would change room or time."""
    found: dict[str, list[str]] = {}
    for step in proposal.steps:
        if step.start is None or step.end is None or step.stays:
            continue
        cut = window.clipped(step.start, step.end)
        if cut:
            row = found.setdefault(step.room, [])
            row.append(
                _ghost(step, cut, names.get(step.accession, ""), zone, row=GHOST_ROW + len(row) % GHOST_ROWS)
            )
    return {room: SafeString("".join(parts)) for room, parts in found.items()}


def _ghost(step: Step, cut: tuple[int, int], name: str, zone: ZoneInfo, *, row: int) -> str:
    at = f"{step.start.astimezone(zone):%H:%M}" if step.start else ""
    moved = f'<span class="flag">{step.minutes:+d}</span>' if step.minutes else ""
    return (
        f'<li class="ghost" id="g-{escape(step.accession)}" data-live '
        f'style="--s:{cut[0]};--d:{cut[1]};--g:{GHOST_LABEL_MINUTES};--y:{row}"><span class="ex">'
        f'<span class="vh">Proposed:</span><span class="who">{escape(name.split(",", maxsplit=1)[0])}</span>{moved}'
        f'<time class="at">{at}</time></span></li>'
    )


# -- the form ------------------------------------------------------------------------------------------


def signed(proposed: Proposed, proposal: Proposal, *, site: Site, asked: str) -> str:
    """A proposal as a form carries it, so that what is accepted is what was shown."""
    event = asdict(proposed.event) if proposed.event else None
    return signing.dumps(
        {
            "site": site.pk,
            "moves": [_move(step) for step in proposal.steps],
            "start": proposed.day.start.isoformat(),
            "wanted": list(proposed.wanted),
            "asked": asked,
            "why": list(proposal.kept.sentences),
            "event": _event_out(event),
        },
        salt=SALT,
        compress=True,
    )


def _event_out(event: dict[str, Any] | None) -> dict[str, Any] | None:
    if event is None:
        return None
    for field in ("room_down", "room_back"):
        if event[field]:
            code, at = event[field]
            event[field] = [code, at.isoformat() if at else None]
    return event


def _move(step: Step) -> list[Any]:
    placed = step.move.after
    if placed is None:
        return [step.accession, step.booking_id, None]
    jobs = [[j.start, j.porter] if j else None for j in (placed.fetch, placed.back)]
    return [step.accession, step.booking_id, [placed.room, placed.start, placed.technologist, *jobs]]


def unsigned(form: str) -> Asked | None:
    """What a form carries; None where it was not signed here, or too long ago."""
    try:
        told = signing.loads(form, salt=SALT, max_age=READ_SECONDS_MAX)
    except signing.BadSignature:
        return None
    return Asked(
        site_id=told["site"],
        moves=tuple(_wanted(*move) for move in told["moves"][:MOVES_MAX]),
        start=datetime.fromisoformat(told["start"]),
        wanted=tuple(told["wanted"]),
        asked=told["asked"],
        why=tuple(told["why"]),
        event=_event_in(told["event"]),
    )


def may_touch(member: Member, asked: Asked) -> bool:
    """Whether all that a form would change is the member's: the site, and each room that an exam leaves or comes to."""
    if asked.site_id != member.site.pk:
        return False
    mine = set(rooms_of(member).values_list("code", flat=True))
    to = {m.after.room.partition("#")[0] for m in asked.moves if m.after}
    if asked.event:
        happened = (asked.event.room_down, asked.event.room_back)
        to |= {room[0] for room in happened if room}
    left = Booking.objects.filter(
        site=member.site, pk__in=[m.booking_id for m in asked.moves if m.booking_id]
    ).values_list("room_id", flat=True)
    return to <= mine and reaches(member, room_ids=left)


def _wanted(accession: str, booking_id: int | None, after: list[Any] | None) -> WantedMove:
    if after is None:
        return WantedMove(accession, booking_id, None)
    room, start, technologist, fetch, back = after
    jobs = [Job(*job) if job else None for job in (fetch, back)]
    return WantedMove(accession, booking_id, Placed(accession, room, start, technologist, *jobs))


def _event_in(told: dict[str, Any] | None) -> Event | None:
    if told is None:
        return None

    def moment(pair: list[Any] | None) -> Any:
        return (pair[0], datetime.fromisoformat(pair[1]) if pair[1] else None) if pair else None

    return Event(
        room_down=moment(told["room_down"]),
        room_back=moment(told["room_back"]),
        gone=told["gone"],
        porters_late_minutes=told["porters_late_minutes"],
        longer=tuple(told["longer"]) if told["longer"] else None,
    )
