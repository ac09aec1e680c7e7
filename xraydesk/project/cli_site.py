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

VERSIONS_SHOWN_MAX = 200

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


def _plan(file: Path) -> SitePlan:
    from xraydesk.siteplan.reading import SiteFileErrors

    try:
        return _read(file)
    except SiteFileErrors as errors:
        raise no(_report(file, errors)) from None


@site.command()
def load(file: File, home: Home = None, as_json: AsJson = False) -> None:
    """Bring the desk to what a site file says, all of it or nothing, and print what changed.

    Exit status 1, with the reasons, where the file is wrong or something it drops is still needed.
    """
    plan = _plan(file)
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


@site.command("try")
def try_(
    file: File,
    message: Annotated[
        int, typer.Argument(metavar="ID", help="A message that came, as `message list` names it.")
    ],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Tell how a message that is kept would be read under a site file, before the file is loaded; nothing is changed.

    Prints what differs from today. Exit status 1 where the message, or its link in the file, is unknown.
    """
    plan = _plan(file)
    with desk(home):
        from xraydesk.links.messages import tried
        from xraydesk.links.models import Message
        from xraydesk.siteplan.reading import from_json

        kept = Message.objects.select_related("site").filter(pk=message, site__code=plan.code).first()
        if kept is None:
            raise no(f"There is no message {message} of site {plan.code} here.")
        links = {link.name: link for link in plan.links}
        if kept.link not in links:
            raise no(f"{file} has no link {kept.link or 'for its sender'}.")
        today = {link.name: link for link in from_json(kept.site.plan).links} if kept.site.plan else {}
        then = links[kept.link]
        rows = [
            {"place": place, "today": was, "then": now}
            for place, was, now in tried(kept, today=today.get(kept.link, then), then=then)
        ]
    put_list(
        rows,
        as_json=as_json,
        columns=(column("place"), column("today"), column("under the file", "then")),
    )
    if not rows and not as_json:
        print("It is read as it is today.")


@site.command()
def versions(home: Home = None, as_json: AsJson = False) -> None:
    """List the versions of the site file that were loaded, the newest first."""
    with desk(home):
        from xraydesk.access.models import SiteVersion

        rows = [
            {"site": row.site.code, "version": row.number, "at": row.at.isoformat(), "by": row.by}
            for row in SiteVersion.objects.select_related("site").order_by("-at", "-number")[
                :VERSIONS_SHOWN_MAX
            ]
        ]
    put_list(rows, as_json=as_json, columns=(column("site"), column("version"), column("at"), column("by")))


@site.command()
def back(
    code: Annotated[str, typer.Argument(metavar="SITE", help="Code of the site.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="As `site versions` lists it.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Load a version of the site file that was in force before, as a new one, and print what changed."""
    with desk(home):
        from xraydesk.access.models import SiteVersion
        from xraydesk.journey.errors import Refused
        from xraydesk.journey.load_site import load_site
        from xraydesk.lib import clock
        from xraydesk.siteplan.reading import from_json

        kept = SiteVersion.objects.filter(site__code=code, number=version).first()
        if kept is None:
            raise no(f"Site {code} has no version {version}.")
        try:
            lines = load_site(plan=from_json(kept.plan), at=clock.now(), by="desk")
        except Refused as refused:
            raise no(str(refused)) from None
    if as_json:
        put_list([{"change": line} for line in lines], as_json=True, columns=())
    else:
        print("\n".join(lines) or "Nothing changed.")
