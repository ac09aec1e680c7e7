"""What follows from a fact is tried in full, again, and in the end put before a person."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from tests.factories import AT, make_site
from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import SILENT, FactKind
from xraydesk.facts.models import Fact
from xraydesk.orders.models import Procedure
from xraydesk.reactions import jobs
from xraydesk.reactions.run import react_to
from xraydesk.reactions.table import REACTIONS

KIND = FactKind.ORDER_RECEIVED


def an_order_fact(site: Site) -> Fact:
    with transaction.atomic():
        return record(site_id=site.pk, kind=KIND, at=AT, by="link:T", accession="A1")


def retitle(text: str) -> Any:
    def reaction(fact: Fact) -> None:
        Procedure.objects.filter(site_id=fact.site_id, code="XRCHEST2").update(text=text)

    return reaction


def break_after_writing(fact: Fact) -> None:
    Procedure.objects.filter(site_id=fact.site_id).update(preparation="half done")
    raise ArithmeticError


@pytest.mark.django_db(transaction=True)
def test_a_failing_reaction_undoes_its_own_writing_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = make_site()
    monkeypatch.setitem(REACTIONS, KIND, (break_after_writing, retitle("done")))
    with pytest.raises(ArithmeticError):
        react_to(an_order_fact(site).id)
    procedure = Procedure.objects.get(site=site, code="XRCHEST2")
    assert (procedure.text, procedure.preparation) == ("done", "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("attempts", "items"), [(0, 0), (jobs.RETRIES_MAX - 1, 0), (jobs.RETRIES_MAX, 1)])
def test_only_the_last_failure_of_a_reaction_becomes_an_item(
    monkeypatch: pytest.MonkeyPatch, attempts: int, items: int
) -> None:
    site = make_site()
    monkeypatch.setitem(REACTIONS, KIND, (break_after_writing,))
    fact = an_order_fact(site)
    context = SimpleNamespace(job=SimpleNamespace(attempts=attempts))
    with pytest.raises(ArithmeticError):
        jobs.react.func(context, fact_id=fact.id)
    found = list(Item.objects.values_list("kind", "key", "accession"))
    assert found == [(ItemKind.REACTION_FAILED, f"reaction:{fact.id}", "A1")] * items


def test_every_kind_of_fact_has_a_reaction_or_is_silent() -> None:
    assert {kind for kind in FactKind if kind not in SILENT} == set(REACTIONS)
