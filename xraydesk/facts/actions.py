"""Writing down what happened; anyone above may call this inside its own transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db import transaction

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.lib.prepared import insert

REACT_TASK = "react"
"""Name of the job that looks up what follows from a fact; `reactions` owns it."""

REACT_QUEUE = "reactions"

REACT_WITH_ROWS = (
    f"procrastinate_defer_jobs_v1(ARRAY[ROW('{REACT_QUEUE}', '{REACT_TASK}', 0, NULL, NULL,"
    " jsonb_build_object('fact_id', $::bigint), NULL)]::procrastinate_job_to_defer_v1[])"
)
"""The same job as the queue's own client defers, asked for in the statement that writes the fact."""


_heard: ContextVar[list[int] | None] = ContextVar("facts heard", default=None)


@contextmanager
def heard() -> Iterator[list[int]]:
    """Collect the keys of the facts that are recorded inside, so that whoever caused them can name them."""
    facts: list[int] = []
    token = _heard.set(facts)
    try:
        yield facts
    finally:
        _heard.reset(token)


class NotInTransaction(RuntimeError):
    """A fact was recorded outside the transaction of the thing it tells of."""


def record(
    *,
    site_id: int,
    kind: FactKind,
    at: datetime,
    by: str,
    accession: str = "",
    patient: int | None = None,
    room: str = "",
    data: Mapping[str, Any] | None = None,
    simulated: bool = False,
) -> Fact:
    """Write down one thing that happened and ask for what follows from it.

    Writes one immutable row and defers the job `react(fact_id)` in the same transaction,
    so that both are there or neither is. `at` is aware, in UTC.

    Raises NotInTransaction where no transaction is open.
    """
    if not transaction.get_connection().in_atomic_block:
        raise NotInTransaction(kind)
    fact = Fact(
        site_id=site_id,
        kind=kind,
        at=at,
        recorded_at=clock.now(),
        by=by,
        accession=accession,
        patient=patient,
        room=room,
        data=dict(data or {}),
        simulated=simulated,
    )
    insert(fact, *([REACT_WITH_ROWS] if kind.has_reactions else []))
    heard = _heard.get()
    if heard is not None:
        heard.append(fact.id)
    return fact
