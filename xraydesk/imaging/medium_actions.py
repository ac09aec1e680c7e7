"""The only writers of media that are brought in. Each may be called inside a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.imaging.medium_states import TRANSITIONS, UNDER_WAY, MediumAction, MediumState
from xraydesk.imaging.models import Medium

KEPT_MAX = 50
"""So many media of a site that are over are remembered; with a new one the oldest are forgotten. Their studies stay."""


@transaction.atomic
def ask(*, site: Site, source: str, path: str, is_ours: bool, at: datetime, by: str) -> Medium:
    """Note a medium that somebody brings."""
    over = Medium.objects.filter(site=site).exclude(state__in=[s.value for s in UNDER_WAY])
    kept = list(over.order_by("-at", "-id").values_list("pk", flat=True)[: KEPT_MAX - 1])
    over.exclude(pk__in=kept).delete()
    return Medium.objects.create(site=site, source=source[:120], path=path, is_ours=is_ours, at=at, by=by)


@transaction.atomic
def begin(*, medium_id: int, mark: str, files: int, size_bytes: int) -> Medium | None:
    """It is read now, from where it stood where it is the same as then; None where it is over.

    Whoever read it before is overtaken: what it still writes is refused.
    """
    medium = Medium.objects.select_for_update(of=("self",)).filter(pk=medium_id).first()
    after = TRANSITIONS.get((MediumState(medium.state), MediumAction.BEGIN)) if medium else None
    if medium is None or after is None:
        return None
    medium.breaks = medium.breaks + 1 if medium.state == MediumState.RUNNING else 0
    medium.state, medium.why, medium.run = after, "", medium.run + 1
    if medium.mark != mark:
        medium.mark, medium.files, medium.size_bytes = mark, files, size_bytes
        medium.files_done = medium.kept = medium.known = medium.documents = medium.breaks = 0
        medium.left, medium.loose = {}, []
    medium.save()
    return medium


def went_on(*, medium_id: int, run: int, **fields: Any) -> bool:
    """Note how far a run is; False where it was stopped, or another run overtook it."""
    mine = Medium.objects.filter(pk=medium_id, run=run, state=MediumState.RUNNING.value)
    return mine.update(breaks=0, **fields) > 0


def pause(*, medium_id: int, run: int, why: str) -> bool:
    """It goes on later where it stands; False where the run was over already."""
    return _end_run(medium_id, run, MediumAction.PAUSE, why=why[:300])


def finish(
    *, medium_id: int, run: int, documents: int, left: Mapping[str, int], missing: int, at: datetime
) -> bool:
    """All of it was read; False where the run was over already."""
    return _end_run(
        medium_id,
        run,
        MediumAction.FINISH,
        documents=documents,
        left=dict(left),
        missing=missing,
        ended_at=at,
    )


def fail(*, medium_id: int, why: str, at: datetime) -> bool:
    """It cannot be read; what was kept stays. False where it was over already."""
    return _step(medium_id, MediumAction.FAIL, why=why[:300], ended_at=at)


def stop(*, medium_id: int, at: datetime, by: str) -> bool:
    """Nobody waits for the rest of it; False where it was over already."""
    return _step(medium_id, MediumAction.STOP, ended_at=at, ended_by=by)


def _end_run(medium_id: int, run: int, action: MediumAction, **fields: Any) -> bool:
    with transaction.atomic():
        mine = Medium.objects.select_for_update(of=("self",)).filter(pk=medium_id, run=run)
        return mine.exists() and _step(medium_id, action, **fields)


def _step(medium_id: int, action: MediumAction, **fields: Any) -> bool:
    with transaction.atomic():
        medium = Medium.objects.select_for_update(of=("self",)).filter(pk=medium_id).first()
        after = TRANSITIONS.get((MediumState(medium.state), action)) if medium else None
        if medium is None or after is None:
            return False
        for name, value in {"state": after, **fields}.items():
            setattr(medium, name, value)
        medium.save()
        return True
