"""Running reactions, each in a transaction of its own."""

from __future__ import annotations

from django.db import transaction

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.reactions.table import REACTIONS


def react_to(fact_id: int) -> None:
    """Run every reaction to a fact, in the table's order.

    One that fails leaves those before it done; the job is retried and runs all of them
    again, which changes nothing where they were done.
    """
    fact = Fact.objects.get(pk=fact_id)
    for reaction in REACTIONS.get(FactKind(fact.kind), ()):
        with transaction.atomic():
            reaction(fact)
