"""`xraydesk media`: images of another house on a disc, in a folder or in a zip file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, SiteCode, column, desk, put_list, site_of, without_desk
from xraydesk.project.trouble import Trouble

if TYPE_CHECKING:
    from xraydesk.imaging.models import OutsideStudy
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


@media.command("look")
def look(medium: Medium, *, as_json: AsJson = False) -> None:
    """Show what is on a medium; nothing is kept, and no desk need run."""
    without_desk()
    from xraydesk.links.dicom.media import NoMedium
    from xraydesk.links.dicom.media import look as look_at

    try:
        told = look_at(medium)
    except NoMedium as why:
        raise Trouble(str(why)) from None
    put_list(_studies(told, {}), as_json=as_json, columns=COLUMNS)
    _say_what_was_left(told)


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
    """Keep the images on a medium in transit: what is certainly a patient's goes on, of the rest a person is asked."""
    with desk(home):
        from django.conf import settings

        from xraydesk.lib import clock
        from xraydesk.links.dicom.media import NoMedium, bring_in, offer_documents

        where = site_of(site)
        _refuse_another_user(Path(settings.XRAYDESK_SPOOL))
        try:
            told, studies = bring_in(medium, site=where, source=source, at=clock.now(), by=BY)
            offer_documents(told, studies, source=source, at=clock.now(), by=BY)
        except NoMedium as why:
            raise Trouble(str(why)) from None
        becomes = {(s.patient_id_said, s.study_instance_uid): s for s in studies}
        put_list(_studies(told, becomes), as_json=as_json, columns=COLUMNS)
    typer.echo(f"{told.kept} objects kept, {told.known} were here already.", err=True)
    if told.documents:
        typer.echo(
            f"{told.documents} documents lay beside them: say on its page whether they are its report.",
            err=True,
        )
    _say_what_was_left(told)


def _refuse_another_user(spool: Path) -> None:
    """The desk's own processes must be able to read what is kept."""
    owner = next((p.stat().st_uid for p in (spool, *spool.parents) if p.exists()), os.geteuid())
    if owner != os.geteuid():
        raise Trouble(
            "Ask as the user who started `xraydesk up`: the desk could not read what another user keeps"
        )


def _studies(told: Told, becomes: dict[tuple[str, str], OutsideStudy]) -> list[dict[str, Any]]:
    rows = []
    for key, found in told.studies.items():
        header = found.header
        study = becomes.get(key)
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
                "becomes": _becomes(study),
            }
        )
    return rows


def _becomes(study: OutsideStudy | None) -> str:
    if study is None:
        return ""
    return f"exam {study.exam.accession}" if study.exam else str(study.state)


def _say_what_was_left(told: Told) -> None:
    for why, count in sorted(told.left.items()):
        typer.echo(f"{count} left: {why}.", err=True)
    if told.missing:
        typer.echo(f"{told.missing} files that its DICOMDIR names are not on it.", err=True)
