"""`xraydesk media`: images of another house on a disc, in a folder or in a zip file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, SiteCode, column, desk, put_list, site_of, without_desk
from xraydesk.project.trouble import Trouble

if TYPE_CHECKING:
    from xraydesk.access.models import Site
    from xraydesk.imaging.models import Medium as Row
    from xraydesk.links.dicom.media import Told

media = typer.Typer(no_args_is_help=True, help="Images of another house, on a disc or in a folder.")
app.add_typer(media, name="media")

Medium = Annotated[
    Path, typer.Argument(metavar="PATH", help="A folder, a zip file or one file.", show_default=False)
]
BY = "command"

COLUMNS = (
    column("patient"),
    column("number", "patient_id"),
    column("born"),
    column("study", "words"),
    column("on"),
    column("modalities"),
    column("series"),
    column("objects"),
    column("becomes"),
)
MEDIA_COLUMNS = (
    column("id"),
    column("at"),
    column("from"),
    column("state"),
    column("read", "files_done"),
    column("of", "files"),
    column("kept"),
    column("left"),
    column("why"),
)


@media.command("look")
def look(medium: Medium, *, as_json: AsJson = False) -> None:
    """Show what is on a medium; nothing is kept, and no desk need run."""
    without_desk()
    from xraydesk.links.dicom.media import look as look_at
    from xraydesk.links.dicom.medium_files import NoMedium

    try:
        told = look_at(medium)
    except NoMedium as why:
        raise Trouble(str(why)) from None
    put_list(_studies(told), as_json=as_json, columns=COLUMNS)
    _say_what_was_left(told.left, told.missing)


@media.command("bring")
def bring(
    medium: Medium,
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="WORDS", help="Where it comes from.", show_default=False)
    ],
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Keep the images on a medium in transit: what is certainly a patient's goes on, of the rest a person is asked.

    Ctrl-C stops it. The same command goes on where it stood, after that and after a crash.
    """
    with desk(home):
        from django.conf import settings

        from xraydesk.imaging.models import Medium as Row
        from xraydesk.lib import clock
        from xraydesk.links.dicom.media import bring_in

        where = site_of(site)
        _refuse_another_user(Path(settings.XRAYDESK_SPOOL))
        asked = _asked(where, medium.absolute(), source)
        with _told_to_end() as is_told:
            bring_in(asked.pk, now=clock.now, leave=is_told, tell=_progress)
        row = Row.objects.get(pk=asked.pk)
        if row.state != "done":
            typer.echo(_counted(row), err=True)
            raise Trouble(
                row.why
                or f"It is {row.state} at {row.files_done} of {row.files} files. The same command goes on there."
            )
        put_list(_brought(row), as_json=as_json, columns=COLUMNS)
    typer.echo(_counted(row), err=True)
    if row.documents:
        typer.echo(
            f"{row.documents} documents lay beside them: say on its page whether they are its report.",
            err=True,
        )
    _say_what_was_left(row.left, row.missing)


@media.command("list")
def list_media(*, home: Home = None, site: SiteCode = None, as_json: AsJson = False) -> None:
    """Show the media that are or were brought in, the newest first."""
    with desk(home):
        from xraydesk.imaging.models import Medium as Row

        rows = Row.objects.filter(site=site_of(site)).order_by("-at", "-id")
        put_list([_row(row) for row in rows], as_json=as_json, columns=MEDIA_COLUMNS)


@media.command("stop")
def stop(
    number: Annotated[
        int, typer.Argument(metavar="ID", help="As `media list` shows it.", show_default=False)
    ],
    *,
    home: Home = None,
    site: SiteCode = None,
) -> None:
    """End a medium that is brought in: what is kept stays, and a person is asked about it."""
    with desk(home):
        from xraydesk.journey.medium import UnknownMedium, stop_bringing
        from xraydesk.lib import clock

        try:
            stop_bringing(site=site_of(site), medium_id=number, at=clock.now(), by=BY)
        except UnknownMedium as why:
            raise Trouble(str(why)) from None


def _asked(site: Site, path: Path, source: str) -> Row:
    """The row of a medium: the one that stands half read under this path, else a new one."""
    from xraydesk.imaging.medium_states import UNDER_WAY
    from xraydesk.imaging.models import Medium as Row
    from xraydesk.journey.medium import ask_to_bring
    from xraydesk.lib import clock

    half = Row.objects.filter(
        site=site, path=str(path), is_ours=False, state__in=[s.value for s in UNDER_WAY]
    ).first()
    return half or ask_to_bring(
        site=site, source=source, path=str(path), is_ours=False, at=clock.now(), by=BY
    )


@contextmanager
def _told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed or the process is told to end: then the file that is read is read to its end."""
    told = Event()
    before = {n: signal.signal(n, lambda *_: told.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(done: int, files: int) -> None:
    """How far it is, on a terminal."""
    if sys.stderr.isatty():
        print(
            f"\r{done:,} of {files:,} files", end="\n" if done == files else "", file=sys.stderr, flush=True
        )


def _counted(row: Row) -> str:
    return f"{row.kept} objects kept, {row.known} were here already."


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": row.at.isoformat(),
        "by": row.by,
        "from": row.source,
        "state": row.state,
        "files_done": row.files_done,
        "files": row.files,
        "kept": row.kept,
        "known": row.known,
        "left": sum(row.left.values()),
        "why": row.why,
    }


def _brought(row: Row) -> list[dict[str, Any]]:
    """The studies of a medium as they are kept here."""
    from django.contrib.postgres.aggregates import ArrayAgg
    from django.db.models import Count

    from xraydesk.lib import clock

    studies = row.studies.select_related("exam").annotate(
        holds=Count("images", distinct=True),
        series=Count("images__series_instance_uid", distinct=True),
        modalities=ArrayAgg("images__modality", distinct=True),
    )
    return [
        {
            "patient": study.patient_name,
            "patient_id": study.patient_id_said,
            "born": study.patient_birth_date.isoformat() if study.patient_birth_date else None,
            "study_instance_uid": study.study_instance_uid,
            "words": study.words,
            "on": clock.local_day(study.performed_at, row.site.timezone).isoformat()
            if study.performed_at
            else None,
            "modalities": " ".join(sorted(filter(None, study.modalities))),
            "series": study.series,
            "objects": study.holds,
            "becomes": f"exam {study.exam.accession}" if study.exam else str(study.state),
        }
        for study in studies.order_by("pk")
    ]


def _refuse_another_user(spool: Path) -> None:
    """The desk's own processes must be able to read what is kept."""
    owner = next((p.stat().st_uid for p in (spool, *spool.parents) if p.exists()), os.geteuid())
    if owner != os.geteuid():
        raise Trouble(
            "Ask as the user who started `xraydesk up`: the desk could not read what another user keeps"
        )


def _studies(told: Told) -> list[dict[str, Any]]:
    rows = []
    for found in told.studies.values():
        header = found.header
        rows.append(
            {
                "patient": header.patient_name,
                "patient_id": header.patient_id,
                "born": header.patient_birth_date.isoformat() if header.patient_birth_date else None,
                "study_instance_uid": header.study_instance_uid,
                "words": found.words,
                "on": header.acquired_at.date().isoformat() if header.acquired_at else None,
                "modalities": " ".join(sorted(found.modalities)),
                "series": len(found.series),
                "objects": found.objects,
                "becomes": "",
            }
        )
    return rows


def _say_what_was_left(left: Mapping[str, int], missing: int) -> None:
    for why, count in sorted(left.items()):
        typer.echo(f"{count} left: {why}.", err=True)
    if missing:
        typer.echo(f"{missing} files that its DICOMDIR names are not on it.", err=True)
