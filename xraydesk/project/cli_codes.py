"""`xraydesk codes`: tables of codes that others keep, which a site loads under its own licence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import (
    AsJson,
    Home,
    SiteCode,
    column,
    desk,
    no,
    put_list,
    put_one,
    site_of,
)
from xraydesk.project.trouble import Trouble

codes = typer.Typer(
    no_args_is_help=True, help="Codes of LOINC, RadLex or SNOMED beside the department's own."
)
app.add_typer(codes, name="codes")

SYSTEM_LENGTH_MAX = 200
VERSION_LENGTH_MAX = 64


class Of(StrEnum):
    """Which codes of the department a table is about."""

    PROCEDURES = "procedures"
    BODY_SITES = "body-sites"


File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file.", show_default=False)]
System = Annotated[str, typer.Option("--system", help="The URI of the other table.", show_default=False)]
About = Annotated[Of, typer.Option("--of", help="Whose codes they stand beside.")]


@codes.command("load")
def load(
    file: File,
    system: System,
    *,
    of: About = Of.PROCEDURES,
    version: Annotated[str, typer.Option(help="The version of the other table.")] = "",
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Put a table in the place of the one that was loaded before; nothing changes where a line is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as trouble:
        raise Trouble(f"{file} cannot be read: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise no(f"{file} is no text in UTF-8.") from None
    if ":" not in system or len(system) > SYSTEM_LENGTH_MAX or len(version) > VERSION_LENGTH_MAX:
        raise no("--system is a URI, such as http://loinc.org, and --version a short word.")
    with desk(home):
        from xraydesk.lib import clock
        from xraydesk.orders import code_tables
        from xraydesk.orders.code_table_rules import BadTable

        try:
            table = code_tables.load(
                site=site_of(site), of=of.value, system=system, version=version, text=text, at=clock.now()
            )
        except BadTable as bad:
            raise no("\n".join(f"{file}: {problem}" for problem in bad.problems)) from None
        count = table.pairs.count()
    put_one({"of": of.value, "system": system, "version": version, "pairs": count}, as_json=as_json)


@codes.command("list")
def list_tables(home: Home = None, site: SiteCode = None, as_json: AsJson = False) -> None:
    """The tables that are loaded."""
    with desk(home):
        from django.db.models import Count

        from xraydesk.orders.models import CodeTable

        tables = CodeTable.objects.filter(site=site_of(site)).annotate(count=Count("pairs")).order_by("id")
        rows = [
            {
                "of": row.of,
                "system": row.system,
                "version": row.version,
                "pairs": row.count,
                "at": row.at.isoformat(),
            }
            for row in tables
        ]
    names = ("of", "system", "version", "pairs", "at")
    put_list(rows, as_json=as_json, columns=tuple(column(name) for name in names))


@codes.command("drop")
def drop(system: System, of: About = Of.PROCEDURES, home: Home = None, site: SiteCode = None) -> None:
    """Forget a table."""
    with desk(home):
        from xraydesk.orders import code_tables

        if not code_tables.drop(site=site_of(site), of=of.value, system=system):
            raise no(f"No table of {of.value} for {system} is loaded.")
