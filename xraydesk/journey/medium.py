"""A medium that somebody brings in: asked for, read beside the pages, stopped, and taken up again where it stood."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.imaging import medium_actions
from xraydesk.imaging.medium_states import UNDER_WAY
from xraydesk.imaging.models import Medium
from xraydesk.journey import outside
from xraydesk.journey.errors import Refused

BRING_TASK = "bring_medium_in"
"""Name of the job that reads a medium; `links` owns it."""

BRING_QUEUE = "media"
BRING_LOCK = "medium"
"""One medium is read at a time: the disk and the database have other things to do."""

LEFT_HOURS = 1
"""An upload that no row names and that is older was left by a process that was killed."""


class UnknownMedium(Refused):
    """There is no such medium here, or it is over."""


@transaction.atomic
def ask_to_bring(*, site: Site, source: str, path: str, is_ours: bool, at: datetime, by: str) -> Medium:
    """Ask for a medium to be read: by the worker where it was uploaded, else by whoever asks."""
    medium = medium_actions.ask(site=site, source=source, path=path, is_ours=is_ours, at=at, by=by)
    if is_ours:
        _defer(medium.pk)
    return medium


def stop_bringing(*, site: Site, medium_id: int, at: datetime, by: str) -> Medium:
    """Nobody waits for the rest of it. What is kept stays, and is asked about. Raises UnknownMedium."""
    medium = Medium.objects.filter(site=site, pk=medium_id).first()
    if medium is None or not medium_actions.stop(medium_id=medium.pk, at=at, by=by):
        raise UnknownMedium("That medium is over already.")
    all_of_it_is_asked_about(medium=medium, at=at)
    drop_upload(medium)
    return medium


def all_of_it_is_asked_about(*, medium: Medium, at: datetime) -> None:
    """Each study that was kept of a medium is taken in where it is certain whose it is, else a person is asked."""
    for study_id in medium.studies.order_by("pk").values_list("pk", flat=True):
        outside.all_brought(study_id=study_id, at=at, by=medium.by)


def resume_media(*, at: datetime) -> None:
    """Uploads that are not read to their end and that nobody reads are read on; what a killed process left of others goes."""
    under_way = Medium.objects.filter(is_ours=True, state__in=[s.value for s in UNDER_WAY])
    for medium_id in under_way.order_by("pk").values_list("pk", flat=True):
        _defer(medium_id)
    folder = Path(settings.XRAYDESK_SPOOL) / "brought"
    if folder.is_dir():
        known = {Path(path).name for path in under_way.values_list("path", flat=True)}
        oldest = (at - timedelta(hours=LEFT_HOURS)).timestamp()
        for left in folder.iterdir():
            if left.name not in known and left.stat().st_mtime < oldest:
                shutil.rmtree(left, ignore_errors=True)


def drop_upload(medium: Medium) -> None:
    """An upload whose medium is over goes from the disk."""
    if medium.is_ours:
        shutil.rmtree(Path(settings.XRAYDESK_SPOOL) / medium.path, ignore_errors=True)


def _defer(medium_id: int) -> None:
    try:
        with transaction.atomic():
            jobs.configure_task(
                BRING_TASK, queue=BRING_QUEUE, lock=BRING_LOCK, queueing_lock=f"{BRING_TASK}:{medium_id}"
            ).defer(medium_id=medium_id)
    except job_errors.AlreadyEnqueued:
        pass
