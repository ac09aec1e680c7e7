"""The job that follows every fact."""

from __future__ import annotations

from procrastinate.contrib.django import app as jobs

from xraydesk.facts.actions import REACT_TASK
from xraydesk.journey.book import book_by_policy
from xraydesk.lib import clock
from xraydesk.reactions.run import react_to
from xraydesk.reactions.table import BOOK_TASK


@jobs.task(name=REACT_TASK, queue="reactions")
def react(fact_id: int) -> None:
    """Run whatever follows from one fact."""
    react_to(fact_id)


@jobs.task(name=BOOK_TASK, queue="reactions")
def book(exam_id: int) -> None:
    """Try again to give one exam a place."""
    book_by_policy(exam_id=exam_id, at=clock.now())
