"""What the commands that ask a desk share: its database, its sites, and how an answer is printed.

Nothing here imports Django before a command needs it, so that `xraydesk --help` is quick.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraydesk.project.trouble import Trouble

if TYPE_CHECKING:
    from xraydesk.access.models import Site

Home = Annotated[Path | None, typer.Option(help="The folder that the desk lives in.", show_default="./var")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
SiteCode = Annotated[
    str | None, typer.Option("--site", metavar="CODE", help="Which site, where there are several.")
]

NOT_FOUND = 1
"""Exit status where the answer is no."""

TABLE_WIDTH = 200
"""Columns of a printed list where nobody watches; a terminal's own width otherwise."""


@contextmanager
def desk(home: Path | None) -> Iterator[None]:
    """Within it, Django speaks to the database of the desk in `home`.

    Raises Trouble, in one sentence, where there is none or it does not answer.
    """
    folder = _open(home)
    from django.db import DatabaseError, InterfaceError, close_old_connections, connection

    if not connection.in_atomic_block:
        # A connection that PostgreSQL has dropped since the last question is noticed here, not in the middle.
        close_old_connections()
    try:
        yield
    except (DatabaseError, InterfaceError) as trouble:
        if not connection.in_atomic_block:
            connection.close()
        sentence = _sentence(trouble, folder)
        if sentence is None:
            raise
        raise Trouble(sentence) from None


def _open(home: Path | None) -> Path:
    from xraydesk.project.config import config, put_flags
    from xraydesk.project.database import database_settings
    from xraydesk.project.postgres import recorded

    if home is not None:
        put_flags({"home": home.absolute()})
    try:
        chosen = config()
    except ValueError as trouble:
        raise Trouble(f"The settings cannot be read: {' '.join(str(trouble).split())}") from None
    folder = chosen.home.absolute()
    try:
        known = bool(chosen.database_url) or recorded(chosen.home) is not None
    except PermissionError:
        raise Trouble(
            f"This user may not look into {folder}: ask as the user who started `xraydesk up`, or as root"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise Trouble(f"No desk runs in {folder}: start it with `xraydesk up`")
    without_desk()
    from django.conf import settings

    wanted, opened = database_settings(chosen), settings.DATABASES["default"]
    if (wanted.get("HOST"), wanted.get("PORT")) != (opened.get("HOST"), opened.get("PORT")):
        raise Trouble(f"This process asks another desk already: start another one for {folder}")
    return folder


def without_desk() -> None:
    """Make ready what commands are written with; no database is asked, and no desk need be there."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraydesk.project.settings")
    # A command signs nothing, and whoever asks need not be able to read the desk's own key.
    os.environ.setdefault("XRAYDESK_SECRET_KEY", os.urandom(32).hex())
    import django
    import structlog
    from django.apps import apps

    from xraydesk.project.logs import configure_logs

    if not structlog.is_configured():
        # What goes wrong in a command is told without words that may be somebody's, and never in what it prints as its answer.
        configure_logs("xraydesk", None, "WARNING")
    if not apps.ready:
        django.setup()


def _sentence(trouble: Exception, folder: Path) -> str | None:
    """What to tell of a database error; None where it is not the person's to mend."""
    from django.db import InterfaceError, OperationalError
    from psycopg.errors import UndefinedTable

    if isinstance(trouble.__cause__, UndefinedTable):
        return f"The desk in {folder} is not set up yet: start it once with `xraydesk up`"
    if isinstance(trouble, OperationalError | InterfaceError):
        if any(words in str(trouble) for words in ("authentication failed", "Permission denied")):
            return (
                f"This user may not open the database of the desk in {folder}: "
                "ask as the user who started `xraydesk up`, or as root"
            )
        return f"No desk runs in {folder}: start it with `xraydesk up`"
    return None


def site_of(code: str | None) -> Site:
    """The site of that code, or the only one. Raises Trouble where that says too little."""
    from xraydesk.access.models import Site

    sites = list(Site.objects.filter(code=code) if code else Site.objects.order_by("code")[:20])
    if len(sites) == 1:
        return sites[0]
    if code:
        raise Trouble(f"There is no site {code} here")
    if not sites:
        raise Trouble("There is no department here yet: load one with `xraydesk site load FILE`")
    raise Trouble(f"There are several sites here; name one with --site: {', '.join(s.code for s in sites)}")


Column = tuple[str, Callable[[Mapping[str, Any]], object]]


def column(name: str, *keys: str) -> Column:
    """A column with the value of a key; of a key inside another where several are given."""

    def value(row: Mapping[str, Any]) -> object:
        found: Any = row
        for key in keys or (name,):
            found = found[key]
        return found

    return name, value


def put_list(rows: Iterable[Mapping[str, Any]], *, as_json: bool, columns: tuple[Column, ...]) -> None:
    """Print a list: one JSON object a line, or a table that a person reads."""
    if as_json:
        for row in rows:
            put_json(row)
        return
    found = list(rows)
    if not found:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, _ in columns:
        table.add_column(name)
    for row in found:
        values = [value(row) for _, value in columns]
        table.add_row(*("" if value is None else Text(str(value)) for value in values))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table)


def put_one(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: one JSON object, or its fields a line each."""
    if as_json:
        put_json(row)
        return
    width = max((len(str(key)) for key in row), default=0)
    for key, value in row.items():
        lines = _lines(value)
        print(f"{key:<{width}}  {lines[0]}".rstrip())
        for line in lines[1:]:
            print(" " * (width + 2) + line)


def _lines(value: object) -> list[str]:
    if value is None:
        return [""]
    if isinstance(value, Mapping):
        return [", ".join(f"{key} {one}" for key, one in value.items() if one not in (None, "", []))]
    if isinstance(value, list):
        return [line for one in value for line in _lines(one)] or [""]
    return str(value).splitlines() or [""]


def put_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, ensure_ascii=False))


def no(sentence: str) -> typer.Exit:
    """Say on stderr why the answer is no; raise what it returns."""
    print(sentence, file=sys.stderr)
    return typer.Exit(NOT_FOUND)
