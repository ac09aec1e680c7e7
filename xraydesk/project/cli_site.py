"""`xraydesk site`: a department as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, column, desk, no, put_list
from xraydesk.project.trouble import Trouble

if TYPE_CHECKING:
    from xraydesk.siteplan.plan import SitePlan
    from xraydesk.siteplan.problems import SiteFileErrors

site = typer.Typer(no_args_is_help=True, help="A department as a TOML file.")
app.add_typer(site, name="site")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A site file.", show_default=False)]


def _read(file: Path) -> SitePlan:
    from xraydesk.attention.kinds import ItemKind
    from xraydesk.siteplan.reading import read_toml

    try:
        return read_toml(file, item_kinds=[kind.value for kind in ItemKind])
    except OSError as trouble:
        raise Trouble(f"{file} cannot be read: {trouble.strerror}") from None


def _report(file: Path, errors: SiteFileErrors) -> str:
    return "\n".join(f"{file}: {error}" for error in errors.errors)


@site.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Tell everything that is wrong with a site file, with line and field; needs no database.

    Exit status 1 where something is. With --json one object a problem, nothing where there is none.
    """
    from xraydesk.siteplan.reading import SiteFileErrors

    try:
        plan = _read(file)
    except SiteFileErrors as errors:
        rows = [
            {"file": str(file), "line": error.line, "field": error.field, "text": error.what}
            for error in errors.errors
        ]
        put_list(
            rows, as_json=as_json, columns=(column("line"), column("field"), column("what is wrong", "text"))
        )
        raise typer.Exit(1) from None
    if not as_json:
        print(
            f"{file} is right: {plan.name}, {len(plan.rooms)} rooms, {len(plan.procedures)} procedures, "
            f"{len(plan.technologists)} technologists."
        )


@site.command()
def load(file: File, home: Home = None, as_json: AsJson = False) -> None:
    """Bring the desk to what a site file says, all of it or nothing, and print what changed.

    Exit status 1, with the reasons, where the file is wrong or something it drops is still needed.
    """
    from xraydesk.siteplan.reading import SiteFileErrors

    try:
        plan = _read(file)
    except SiteFileErrors as errors:
        raise no(_report(file, errors)) from None
    with desk(home):
        from xraydesk.journey.errors import Refused
        from xraydesk.journey.load_site import load_site
        from xraydesk.lib import clock

        try:
            lines = load_site(plan=plan, at=clock.now(), by="desk")
        except Refused as refused:
            raise no(str(refused)) from None
    if as_json:
        put_list([{"change": line} for line in lines], as_json=True, columns=())
    else:
        print("\n".join(lines) or "Nothing changed.")
