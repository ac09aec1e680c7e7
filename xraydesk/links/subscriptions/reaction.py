"""What a fact means to subscribers, where there are any: reading and searching FHIR is loaded by those alone who need it."""

from __future__ import annotations

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.links.subscriptions import standing
from xraydesk.links.subscriptions.topics import topics_of


def tell_subscribers(fact: Fact) -> None:
    """Queue what a fact means to each program that subscribed. Safe to run again: a fact is told once a Subscription."""
    topics = [topic.url for topic in topics_of(FactKind(fact.kind))]
    if fact.accession and standing.is_anybody_called(site_id=fact.site_id, topics=topics):
        from xraydesk.links.subscriptions import tell

        tell.tell_subscribers(fact)
