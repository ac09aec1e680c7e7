"""Clears the spool of files that have no row: a crash between rename and commit (row 32 of the faults)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path

from xraydesk.imaging.models import Image

AGE_MIN = timedelta(hours=1)
"""A younger file may belong to an object that is being written down just now."""

DAYS_BACK = 3
"""Older days were swept before; the sweep stays short however much is kept."""

FILES_AT_ONCE = 1000
_NAME = re.compile(r"[0-9a-f]{32}\.dcm")


def sweep_kept(spool: Path, *, at: datetime) -> int:
    """Delete files of the last days that no row names and no machine heard Success for; the number deleted."""
    deleted = 0
    old = _old_files(spool, at=at)
    while batch := list(islice(old, FILES_AT_ONCE)):
        paths = {path.relative_to(spool).as_posix(): path for path in batch}
        known = set(Image.carried.filter(path__in=paths).values_list("path", flat=True))
        for relative, path in paths.items():
            if relative not in known:
                path.unlink(missing_ok=True)
                deleted += 1
    return deleted


def _old_files(spool: Path, *, at: datetime) -> Iterator[Path]:
    for back in range(DAYS_BACK):
        folder = spool / day_folder(at.date() - timedelta(days=back))
        if not folder.is_dir():
            continue
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and path.stat().st_mtime < (at - AGE_MIN).timestamp():
                yield path


def day_folder(day: date) -> str:
    """Where the objects of one day lie below the spool."""
    return f"{day:%Y/%m/%d}"
