"""Reading the history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Max, QuerySet

from xraydesk.facts.models import Fact
from xraydesk.lib.prepared import rows_of, rows_with


def of_exam(*, site_id: int, accession: str) -> QuerySet[Fact]:
    """The history of one exam, oldest first."""
    return Fact.objects.filter(site_id=site_id, accession=accession).order_by("at", "id")


def told_of_exam(
    *,
    site_id: int,
    accession: str,
    kinds: Iterable[str],
    after: int,
    until: int,
    since: datetime,
    count_max: int,
) -> list[Fact]:
    """Facts of some kinds about an exam after one fact and up to another, as the desk learnt of them since a moment."""
    wanted = "site_id = $1 AND accession = $2 AND kind = ANY ($3::text[]) AND id > $4 AND id <= $5 AND recorded_at > $6"
    values = [site_id, accession, sorted(str(kind) for kind in kinds), after, until, since, count_max]
    return rows_of(Fact, f"{wanted} ORDER BY id LIMIT $7", values)


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
