"""Reading a TOML file that a person wrote, and telling everything that is wrong with it by line and field. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from xraydesk.siteplan.lines import line_of, lines_of
from xraydesk.siteplan.problems import Problem, SiteFileError, SiteFileErrors, field_name
from xraydesk.siteplan.table import Table

M = TypeVar("M")

FILE_BYTES_MAX = 1_048_576

_SYNTAX_LINE = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")


def text_of(path: Path) -> str:
    """The text of a file of at most 1 MiB. Raises SiteFileErrors where it is longer or no text, OSError where it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise SiteFileErrors((SiteFileError(1, "", f"the file is longer than {FILE_BYTES_MAX} bytes"),))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        line = raw.count(b"\n", 0, trouble.start) + 1
        raise SiteFileErrors((SiteFileError(line, "", "the file is not UTF-8 text"),)) from None


def made_of(text: str, make: Callable[[Table], M], check: Callable[[M], Iterable[Problem]]) -> M:
    """What `make` makes of a TOML text, once `check` finds nothing wrong with it.

    Raises SiteFileErrors with everything that either complains of, each with its line and field;
    where both complain of one field, what `make` says stands.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise SiteFileErrors((_syntax_error(str(trouble), text),)) from None
    top = Table((), data, [])
    made = make(top)
    top.nothing_else()
    problems = list(top.problems)
    known = {problem.path for problem in problems}
    problems += [p for p in check(made) if p.path not in known]
    if problems:
        lines = lines_of(text)
        errors = {SiteFileError(line_of(lines, p.path), field_name(p.path), p.what) for p in problems}
        raise SiteFileErrors(tuple(sorted(errors, key=lambda e: (e.line, e.field, e.what))))
    return made


def _syntax_error(words: str, text: str) -> SiteFileError:
    found = _SYNTAX_LINE.search(words)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    return SiteFileError(line, "", f"this is not TOML: {_SYNTAX_LINE.sub('', words)}")
