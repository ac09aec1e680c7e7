"""Deletes the files of images that were let go of: after the fact stands in the row, and crash-safe both ways.

A row that says released beside a file that is still there is finished by the next round; no file is ever
deleted while its row says that it is kept.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog
from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.imaging import retention_actions
from xraydesk.imaging.models import Image
from xraydesk.journey.retention import look_after_room, release_due
from xraydesk.lib import clock

log = structlog.get_logger(__name__)

FILES_AT_ONCE = 200
FILES_A_ROUND_MAX = 50_000


def let_go(spool: Path) -> int:
    """Let go of what may go, of every site, and delete what was let go of; the number of files deleted."""
    for site in Site.objects.order_by("id"):
        release_due(site=site, at=clock.now())
    return delete_released(spool)


def delete_released(spool: Path) -> int:
    """Delete the files whose rows say that they were let go of; the number. What the disk refuses stays for the next round."""
    deleted, last = 0, 0
    while deleted < FILES_A_ROUND_MAX:
        found = _delete_some(spool, after=last)
        if found is None:
            break
        last, count = found
        deleted += count
    return deleted


def _delete_some(spool: Path, *, after: int) -> tuple[int, int] | None:
    """Delete some files, and write down those that are gone; the last image looked at, and how many were."""
    with transaction.atomic():
        rows = list(
            Image.carried.select_for_update(of=("self",), skip_locked=True)
            .filter(released_at__isnull=False, pk__gt=after)
            .exclude(path="")
            .order_by("id")
            .only("pk", "path")[:FILES_AT_ONCE]
        )
        if not rows:
            return None
        gone = [image.pk for image in rows if _delete(spool / image.path)]
        retention_actions.file_deleted(gone)
    return rows[-1].pk, len(gone)


def _delete(file: Path) -> bool:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("image_file_not_deleted", error=type(error).__name__)
        return False
    return True


def look_after(spool: Path) -> None:
    """See whether room for images runs short anywhere."""
    free = free_bytes(spool)
    for site in Site.objects.exclude(plan={}).order_by("id"):
        look_after_room(site=site, free_bytes=free, at=clock.now())


def free_bytes(spool: Path) -> int:
    """What the disk has left where images are kept, or where they will be."""
    there = next(folder for folder in (spool, *spool.parents) if folder.exists())
    return shutil.disk_usage(there).free
