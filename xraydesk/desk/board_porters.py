"""The porters' lanes below the rooms: each job a block from when somebody sets out to when the patient is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.html import escape
from django.utils.safestring import SafeString

from xraydesk.access.models import Site
from xraydesk.desk.board_layout import Window
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

JOBS_MAX = 300
"""Jobs of one day that are drawn."""

NOBODY = "none"


@dataclass(frozen=True)
class PorterLane:
    """One porter, or whoever is to take what nobody has taken yet."""

    code: str
    name: str
    line: SafeString


def porter_lanes(
    *, site: Site, window: Window, at: datetime, zone: ZoneInfo, link: Callable[[str], str]
) -> list[PorterLane]:
    """A lane for each porter who has a job in what is shown, one query; none where there are no jobs."""
    jobs = (
        TransportJob.objects.filter(
            site=site, due_at__gte=window.start, due_at__lt=window.end + timedelta(minutes=30)
        )
        .exclude(state__in=(JobState.CANCELLED, JobState.CANNOT))
        .select_related("porter", "exam")
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
        PorterLane(key, name, SafeString("".join(_block(job, window, zone, link) for job in found)))
        for key, (name, found) in named
    ]


def _block(job: TransportJob, window: Window, zone: ZoneInfo, link: Callable[[str], str]) -> str:
    start = job.picked_up_at or job.due_at - timedelta(minutes=job.minutes)
    end = job.ended_at or max(job.due_at, start + timedelta(minutes=job.minutes))
    shown = window.clipped(start, end)
    if shown is None:
        return ""
    stage = {JobState.DELIVERED: "read", JobState.WAITING: "scheduled"}.get(JobState(job.state), "fetching")
    word = "fetch" if job.kind == JobKind.FETCH else "back"
    where = f"{job.from_place} to {job.to_place}"
    return (
        f'<li id="j-{job.pk}" data-live style="--s:{shown[0]};--d:{max(1, shown[1])};--g:60">'
        f'<a class="ex" data-stage="{stage}" href="{escape(link(job.exam.accession))}">'
        f'<span class="cap" data-stage="{stage}"></span><span class="who">{word} {escape(job.to_place)}</span>'
        f'<span class="what">{escape(where)}</span><span class="st">{escape(job.state)}</span>'
        f'<time class="at">{job.due_at.astimezone(zone):%H:%M}</time></a></li>'
    )
