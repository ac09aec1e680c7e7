"""The only writer of trials. Each may be called inside a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.lib import locks
from xraydesk.trials.models import Trial
from xraydesk.trials.states import TRANSITIONS, UNDER_WAY, TrialAction, TrialState

KEPT_MAX = 20
"""So many trials of a site are kept; with a new one the oldest are forgotten."""


class OneUnderWay(Exception):
    """The site has a trial that waits or runs already."""


def ask(
    *,
    site: Site,
    policies: Sequence[str],
    scenario: str,
    facts_days: int,
    load_percent: int,
    days: int,
    seed: int,
    at: datetime,
    by: str,
) -> Trial:
    """Keep one more trial, which waits to be run; the oldest beyond KEPT_MAX are forgotten. Raises OneUnderWay."""
    with transaction.atomic():
        locks.take([f"trials:{site.pk}"])
        mine = Trial.objects.filter(site=site)
        if mine.filter(state__in=[s.value for s in UNDER_WAY]).exists():
            raise OneUnderWay
        kept = list(mine.order_by("-at", "-id").values_list("pk", flat=True)[: KEPT_MAX - 1])
        mine.exclude(pk__in=kept).delete()
        return Trial.objects.create(
            site=site,
            policies=list(policies),
            scenario=scenario,
            facts_days=facts_days,
            load_percent=load_percent,
            days=days,
            seed=seed,
            at=at,
            by=by,
        )


def begin(*, trial_id: int) -> Trial | None:
    """It runs now, from its first day; None where it is over, or forgotten."""
    return _step(trial_id, TrialAction.BEGIN, days_done=0)


def learnt(*, trial_id: int, words: str) -> None:
    """Note what was learnt from facts."""
    Trial.objects.filter(pk=trial_id).update(learnt=words[:1000])


def days_are_done(*, trial_id: int, days: int) -> bool:
    """Note how far it is; False where nobody waits for it any more: it was stopped."""
    running = Trial.objects.filter(pk=trial_id, state=TrialState.RUNNING.value)
    return running.update(days_done=days) > 0


def finish(
    *,
    trial_id: int,
    report: dict[str, Any],
    charts: Sequence[Sequence[str]],
    workbook: bytes,
    at: datetime,
) -> Trial | None:
    """Keep what was found; None where it was stopped meanwhile."""
    return _step(
        trial_id,
        TrialAction.FINISH,
        report=report,
        charts=[list(pair) for pair in charts],
        workbook=workbook,
        days_done=report["days"],
        ended_at=at,
    )


def stop(*, trial_id: int, at: datetime, by: str) -> Trial | None:
    """Nobody waits for it any more; None where it was over already."""
    return _step(trial_id, TrialAction.STOP, ended_at=at, ended_by=by)


def fail(*, trial_id: int, why: str, at: datetime) -> Trial | None:
    """It ended without a report; None where it was stopped meanwhile."""
    return _step(trial_id, TrialAction.FAIL, why=why[:500], ended_at=at)


def _step(trial_id: int, action: TrialAction, **fields: Any) -> Trial | None:
    with transaction.atomic():
        trial = Trial.objects.select_for_update(of=("self",)).filter(pk=trial_id).first()
        after = TRANSITIONS.get((TrialState(trial.state), action)) if trial else None
        if trial is None or after is None:
            return None
        for name, value in {"state": after, **fields}.items():
            setattr(trial, name, value)
        trial.save()
        return trial
