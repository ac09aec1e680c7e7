"""The department's codes beside those of others, as the site loaded them. The only writer of their tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.orders.code_table_rules import BODY_SITES, PROCEDURES, THE_SAME, Pair, read_table
from xraydesk.orders.models import CodePair, CodeTable, Procedure


def known_codes(site: Site, of: str) -> list[tuple[str, str]]:
    """The department's own codes, with their systems; of body sites the words of its procedures."""
    procedures = Procedure.objects.filter(site=site, retired=False)
    if of == BODY_SITES:
        parts = procedures.exclude(body_part="").values_list("body_part", flat=True).distinct()
        return [(part, "") for part in parts.order_by("body_part")]
    return list(procedures.values_list("code", "system"))


@transaction.atomic
def load(*, site: Site, of: str, system: str, version: str, text: str, at: datetime) -> CodeTable:
    """Put a table in the place of the one that was loaded before. Raises BadTable; then nothing was changed."""
    pairs = read_table(text, known_codes(site, of))
    CodeTable.objects.filter(site=site, of=of, system=system).delete()
    table = CodeTable.objects.create(site=site, of=of, system=system, version=version, at=at)
    CodePair.objects.bulk_create(_row(table, pair) for pair in pairs)
    return table


def _row(table: CodeTable, pair: Pair) -> CodePair:
    return CodePair(
        table=table,
        local=pair.local,
        local_system=pair.local_system,
        code=pair.code,
        display=pair.display,
        equivalence=pair.equivalence,
    )


def drop(*, site: Site, of: str, system: str) -> bool:
    """Forget a table; False where none was loaded."""
    return bool(CodeTable.objects.filter(site=site, of=of, system=system).delete()[0])


def pairs_of(site: Site, of: str) -> QuerySet[CodePair]:
    """Every pair of a sort of codes, in a fixed order."""
    return CodePair.objects.filter(table__site=site, table__of=of).select_related("table").order_by("id")


def of_local(site: Site, asked: Mapping[str, Collection[str]]) -> list[CodePair]:
    """What some of the department's codes, by their sort, are elsewhere: what is the same alone. One query for all sorts."""
    meant = Q(pk__in=())
    for of, locals_ in asked.items():
        if locals_:
            meant |= Q(table__of=of, local__in=set(locals_))
    if meant == Q(pk__in=()):
        return []
    found = CodePair.objects.filter(meant, table__site=site, equivalence__in=THE_SAME)
    return list(found.select_related("table").order_by("id"))


def own_procedure(site: Site, told: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The department's code, with its system, that codes of others as (system, code) stand for; None where it is none, or several."""
    meant = Q(pk__in=())
    for system, code in told:
        meant |= Q(table__system=system, code=code)
    found = pairs_of(site, PROCEDURES).filter(meant, equivalence__in=THE_SAME)
    own = set(found.values_list("local", "local_system").order_by()[:2])
    return own.pop() if len(own) == 1 else None
