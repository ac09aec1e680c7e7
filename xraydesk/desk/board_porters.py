"""The porters' lanes below the rooms: each job a block from when somebody sets out to when the patient is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.html import escape
from django.utils.safestring import SafeString

from xraydesk.access.models import Site
from xraydesk.desk.board_layout import FOLDED_MIN, LABEL_MINUTES_MAX, LABEL_MINUTES_MIN, Window, folded
from xraydesk.desk.board_markup import cap, many
from xraydesk.desk.words import GLYPHS, NO_NAME
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

JOBS_MAX = 300
"""Jobs of one day that are drawn."""

ROWS = 2
"""Jobs of one porter take turns in so many rows, so that each has room for where it leads."""

LABEL_MINUTES = 40
"""So much of the day a job's label takes before the next one goes into another row."""

NOBODY = "none"


@dataclass(frozen=True)
class PorterLane:
    """One porter, or whoever is to take what nobody has taken yet."""

    code: str
    name: str
    line: SafeString


def porter_lanes(
    *,
    site: Site,
    window: Window,
    at: datetime,
    zone: ZoneInfo,
    link: Callable[[str], str],
    jobs_url: str = "",
) -> list[PorterLane]:
    """A lane for each porter who has a job in what is shown, one query; none where there are no jobs.

    What is done leads to `jobs_url`, the list of all jobs; empty for a role that does not see it.
    """
    jobs = (
        TransportJob.objects.filter(
            site=site, due_at__gte=window.start, due_at__lt=window.end + timedelta(minutes=30)
        )
        .exclude(state__in=(JobState.CANCELLED, JobState.CANNOT))
        .select_related("porter", "exam", "patient")
        .order_by("due_at", "id")[:JOBS_MAX]
    )
    lanes: dict[str, tuple[str, list[TransportJob]]] = {}
    for job in jobs:
        if job.porter is None and job.state == JobState.DELIVERED:
            continue
        key, name = (job.porter.code, job.porter.name) if job.porter else (NOBODY, "No porter yet")
        lanes.setdefault(key, (name, []))[1].append(job)
    named = sorted(lanes.items(), key=lambda one: (one[0] == NOBODY, one[0]))
    return [
        PorterLane(key, name, SafeString("".join(_line(key, found, window, zone, link, jobs_url=jobs_url))))
        for key, (name, found) in named
    ]


def _line(
    key: str,
    jobs: Sequence[TransportJob],
    window: Window,
    zone: ZoneInfo,
    link: Callable[[str], str],
    *,
    jobs_url: str,
) -> list[str]:
    """What is done folded into one block, then the jobs that are under way or to come, in order of time."""
    shown = [(job, found) for job in jobs if (found := window.clipped(*_stretch(job)))]
    done = [found for job, found in shown if job.state == JobState.DELIVERED]
    if len(done) < FOLDED_MIN:
        done = []
    drawn = sorted(
        ((found, job) for job, found in shown if not (done and job.state == JobState.DELIVERED)),
        key=lambda one: (one[0][0], one[1].pk),
    )
    # The row of a folded block is the first one: it is free again where the block ends.
    free, parts = [0] * ROWS, []
    rows: list[int] = []
    for (start, length), _ in drawn:
        row = min(range(ROWS), key=lambda n: (free[n] > start, free[n] if free[n] > start else 0, n))
        free[row] = start + max(length, LABEL_MINUTES)
        rows.append(row)
    after = [window.minutes] * ROWS
    for ((start, length), job), row in reversed(list(zip(drawn, rows, strict=True))):
        label = max(LABEL_MINUTES_MIN, min(after[row] - start, max(LABEL_MINUTES_MAX, length)))
        after[row] = start
        parts.append(_block(job, start, length, label=label, row=row, zone=zone, link=link))
    if done:
        parts.append(many(folded(done, until=after[0]), number=f"p-{key}", href=jobs_url, what="jobs done"))
    return parts[::-1]


def _stretch(job: TransportJob) -> tuple[datetime, datetime]:
    start = job.picked_up_at or job.due_at - timedelta(minutes=job.minutes)
    return start, job.ended_at or max(job.due_at, start + timedelta(minutes=job.minutes))


def _block(
    job: TransportJob,
    start: int,
    length: int,
    *,
    label: int,
    row: int,
    zone: ZoneInfo,
    link: Callable[[str], str],
) -> str:
    state = JobState(job.state)
    stage = {JobState.DELIVERED: "read", JobState.WAITING: "scheduled"}.get(state, "fetching")
    name = job.patient.family or job.patient.given or NO_NAME
    if job.kind == JobKind.FETCH:
        way, whom = f"{_short(job.from_place)}→", f"{job.to_place} {name}"
    else:
        way, whom = f"→{_short(job.to_place)}", name
    down = f";--y:{row}" if row else ""
    return (
        f'<li id="j-{job.pk}" data-live style="--s:{start};--d:{length};--g:{label}{down}">'
        f'<a class="ex" data-stage="{stage}" href="{escape(link(job.exam.accession))}">'
        f'{cap(stage, GLYPHS[stage])}<span class="who">{escape(way)}</span>'
        f'<span class="what">{escape(whom)}</span><span class="st">{escape(state)}</span>'
        f'<time class="at">{job.due_at.astimezone(zone):%H:%M}</time></a></li>'
    )


def _short(place: str) -> str:
    """A place without its bed: where the porter walks to."""
    return place.partition(",")[0]
