"""Reading the history."""

from __future__ import annotations

from django.db.models import Max, QuerySet

from xraydesk.facts.models import Fact
from xraydesk.lib.prepared import rows_with


def of_exam(*, site_id: int, accession: str) -> QuerySet[Fact]:
    """The history of one exam, oldest first."""
    return Fact.objects.filter(site_id=site_id, accession=accession).order_by("at", "id")


def with_site(fact_id: int) -> Fact:
    """One fact, and the site that it is of. Raises Fact.DoesNotExist."""
    found = rows_with(Fact, "id = $1", [fact_id], "site")
    if not found:
        raise Fact.DoesNotExist(fact_id)
    return found[0]


def revision(*, site_id: int) -> int:
    """The number of the newest fact of a site: what a board has seen when it has seen it."""
    newest = Fact.objects.filter(site_id=site_id).aggregate(newest=Max("id"))["newest"]
    return int(newest or 0)
