"""Running reactions, each in a transaction of its own."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts import queries as facts
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.reactions.table import REACTIONS


def react_to(fact_id: int) -> None:
    """Run every reaction to a fact, in the table's order.

    One that fails undoes nothing of the others, and the first failure is raised when all
    were tried: the job is retried and runs all of them again, which changes nothing where
    they were done.
    """
    fact = facts.with_site(fact_id)
    failures: list[Exception] = []
    for reaction in REACTIONS.get(FactKind(fact.kind), ()):
        try:
            with transaction.atomic():
                reaction(fact)
        except Exception as wrong:  # kept, and raised below for the queue to retry; the other reactions go on
            failures.append(wrong)
    if failures:
        raise failures[0]


def give_up(fact_id: int, at: datetime) -> None:
    """Put before a person that what follows from a fact could not be done."""
    with transaction.atomic():
        fact = Fact.objects.get(pk=fact_id)
        raise_item(
            site_id=fact.site_id,
            kind=ItemKind.REACTION_FAILED,
            key=f"reaction:{fact.id}",
            at=at,
            text=f"After “{fact.kind}” the desk could not take the next step by itself: look after this exam by hand",
            accession=fact.accession,
            patient=fact.patient,
            room=fact.room,
        )
