"""`xraydesk doctor`: what is wrong with this desk, in sentences, and what of it can be mended at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, column, desk, put_list

IMAGES_LOOKED_AT_MAX = 10_000
"""The newest images whose files are looked for."""

NOT_SAFE_DAYS_MAX = 2
"""What is not safe at a destination for longer asks for a look."""

RELEASED_HOURS_MAX = 3
"""By then the hourly round has deleted what was let go of."""

JOB_WAITS_MINUTES_MAX = 5
"""A job that waits longer although its time has come says that no worker runs."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well, what to do where it is not, and whether it was mended."""

    check: str
    ok: bool
    words: str
    mended: bool = False


@app.command()
def doctor(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a decision.")] = False,
    connections: Annotated[
        bool, typer.Option("--connections", help="Try every machine and destination out as well.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Look this desk over: database, department, people, jobs, files of images, deliveries. Status 1 where something is wrong."""
    with desk(home):
        from xraydesk.lib import clock

        found = list(_findings(at=clock.now(), fix=fix))
        if connections:
            found += _connections()
    put_list(
        [asdict(finding) for finding in found],
        as_json=as_json,
        columns=(column("check"), column("ok"), column("words"), column("mended")),
    )
    if not all(finding.ok or finding.mended for finding in found):
        raise typer.Exit(1)


def _findings(*, at: datetime, fix: bool) -> Iterator[Finding]:
    from xraydesk.project.health import not_ready

    why = not_ready()
    yield Finding("ready", not why, "; ".join(why) or "The database answers, and there is room on the disk.")
    yield from _people()
    yield _jobs(at=at)
    yield _files()
    yield from _kept(at=at)
    yield _deliveries(at=at, fix=fix)


def _people() -> Iterator[Finding]:
    from xraydesk.access.models import Membership, Site
    from xraydesk.access.roles import Role

    sites = Site.objects.count()
    yield Finding(
        "department",
        sites > 0,
        f"{sites} loaded." if sites else "None is loaded: xraydesk site load FILE",
    )
    there = Membership.objects.filter(role=Role.ADMINISTRATOR, user__is_active=True).exists()
    yield Finding(
        "administrator",
        there,
        "There is one." if there else "There is none: xraydesk user create NAME --role administrator",
    )


def _jobs(*, at: datetime) -> Finding:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE j.status = 'failed'), count(*) FILTER (WHERE j.status = 'todo' "
            "AND coalesce(j.scheduled_at, e.at) < %s) FROM procrastinate_jobs j LEFT JOIN LATERAL "
            "(SELECT min(at) AS at FROM procrastinate_events WHERE job_id = j.id) e ON true",
            [at - timedelta(minutes=JOB_WAITS_MINUTES_MAX)],
        )
        failed, waiting = cursor.fetchone()
    if waiting:
        return Finding("jobs", False, f"{waiting} wait too long: see that `xraydesk worker` or `up` runs.")
    if failed:
        return Finding(
            "jobs", False, f"{failed} failed for good: what they were for is on the attention list."
        )
    return Finding("jobs", True, "None failed, none waits too long.")


def _files() -> Finding:
    from pathlib import Path

    from django.conf import settings

    from xraydesk.imaging.models import Image

    spool = Path(settings.XRAYDESK_SPOOL)
    # Those of the demonstration's days before it was started were never sent by anything: they have no file.
    sent = Image.carried.filter(released_at=None).exclude(path="", simulated=True)
    newest = sent.order_by("-id").values_list("path", "size_bytes")[:IMAGES_LOOKED_AT_MAX]
    gone = sum(not _is_whole(spool / path, size) for path, size in newest)
    if gone:
        return Finding(
            "image files",
            False,
            f"{gone} are missing or cut short in {spool}: bring them back from a backup.",
        )
    return Finding("image files", True, "Every image looked at has its whole file.")


def _kept(*, at: datetime) -> Iterator[Finding]:
    """Room for files of images, what no destination promised to keep for long, and files that should be gone."""
    from pathlib import Path

    from django.conf import settings

    from xraydesk.access.models import Site
    from xraydesk.imaging.models import Image
    from xraydesk.journey.retention import overview, room
    from xraydesk.links.dicom.release import free_bytes

    free = free_bytes(Path(settings.XRAYDESK_SPOOL))
    wrong = []
    for site in Site.objects.exclude(plan={}).order_by("id"):
        trouble = room(site=site, free_bytes=free).trouble
        wrong += [trouble] if trouble else []
        for one in overview(site=site, at=at).destinations:
            if one.oldest < at - timedelta(days=NOT_SAFE_DAYS_MAX):
                wrong.append(f"not safe at {one.name} yet: {one.images}, the oldest since {one.oldest:%d %b}")
    yield Finding(
        "room for images",
        not wrong,
        "; ".join([*wrong, "see What is kept"]) if wrong else "There is room, and what was sent is safe.",
    )
    left = (
        Image.carried.filter(released_at__lt=at - timedelta(hours=RELEASED_HOURS_MAX))
        .exclude(path="")
        .count()
    )
    yield Finding(
        "released files",
        not left,
        f"{left} were let go of and are not deleted: see that `xraydesk worker` or `up` runs, and the disk."
        if left
        else "What was let go of is deleted.",
    )


def _connections() -> Iterator[Finding]:
    """Each machine with an address, each destination, and each archive that is asked over the web: does it answer?"""
    from xraydesk.access.models import Site
    from xraydesk.links.dicom.probe import probe
    from xraydesk.links.dicomweb.probe import probe as probe_web
    from xraydesk.rooms.models import Modality
    from xraydesk.siteplan.reading import from_json

    for site in Site.objects.exclude(plan={}).order_by("id"):
        for machine in Modality.objects.filter(site=site, retired=False).order_by("ae_title"):
            if machine.host and machine.port:
                tried = probe(
                    host=machine.host, port=machine.port, called=machine.ae_title, calling=site.ae_title
                )
                yield Finding(f"{site.code} {machine.ae_title}", tried.echoed, tried.said)
        for to in from_json(site.plan).destinations:
            if to.takes_images:
                tried = probe(
                    host=to.host, port=to.port, called=to.ae_title, calling=site.ae_title, destination=to
                )
                yield Finding(f"{site.code} {to.name}", tried.echoed, tried.said)
            if to.web:
                tried = probe_web(to)
                yield Finding(f"{site.code} {to.name} over the web", tried.echoed, tried.said)


def _is_whole(path: object, size_bytes: int) -> bool:
    import os

    try:
        return os.stat(str(path)).st_size == size_bytes
    except FileNotFoundError:
        return False


def _deliveries(*, at: datetime, fix: bool) -> Finding:
    from xraydesk.imaging.models import Delivery
    from xraydesk.imaging.states import DeliveryState
    from xraydesk.journey.route import resume_deliveries

    late = Delivery.objects.filter(
        state=DeliveryState.WAITING, next_at__lt=at - timedelta(minutes=JOB_WAITS_MINUTES_MAX)
    ).count()
    if not late:
        return Finding("deliveries", True, "No image waits longer than it should.")
    words = f"{late} images wait longer than they should to be sent."
    if fix:
        return Finding(
            "deliveries", False, f"{words} They were asked for again.", resume_deliveries(at=at) > 0
        )
    return Finding("deliveries", False, f"{words} xraydesk doctor --fix asks for them again.")
