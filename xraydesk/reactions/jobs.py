"""The job that follows every fact."""

from __future__ import annotations

from procrastinate.contrib.django import app as jobs

from xraydesk.facts.actions import REACT_TASK
from xraydesk.reactions.run import react_to


@jobs.task(name=REACT_TASK, queue="reactions")
def react(fact_id: int) -> None:
    """Run whatever follows from one fact."""
    react_to(fact_id)
