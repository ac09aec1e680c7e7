"""Facts are written with what they tell of, and never change."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from xraydesk.access.models import Site
from xraydesk.facts.actions import NotInTransaction, record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return Site.objects.create(
        code="T", name="Test", timezone="UTC", assigning_authority="HOSP", ae_title="XRAYDESK"
    )


def jobs_deferred() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (args->>'fact_id')::bigint FROM procrastinate_jobs WHERE task_name = 'react'")
        return [row[0] for row in cursor.fetchall()]


def test_a_fact_defers_its_job_in_the_same_transaction(site: Site) -> None:
    fact = record(site_id=site.pk, kind=FactKind.ORDER_RECEIVED, at=clock.now(), by="link:T", accession="A1")
    assert jobs_deferred() == [fact.id]


def test_a_fact_that_is_rolled_back_leaves_no_job(site: Site) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record(site_id=site.pk, kind=FactKind.ORDER_RECEIVED, at=clock.now(), by="link:T")
        raise RuntimeError
    assert jobs_deferred() == []
    assert not Fact.objects.exists()


def test_a_fact_cannot_be_changed_or_deleted(site: Site) -> None:
    fact = record(site_id=site.pk, kind=FactKind.NOTE_WRITTEN, at=clock.now(), by="user:a")
    with pytest.raises(IntegrityError), transaction.atomic():
        Fact.objects.filter(pk=fact.pk).update(by="user:b")
    with pytest.raises(IntegrityError), transaction.atomic():
        Fact.objects.filter(pk=fact.pk).delete()


@pytest.mark.django_db(transaction=True)
def test_a_fact_outside_a_transaction_is_refused() -> None:
    with pytest.raises(NotInTransaction):
        record(site_id=1, kind=FactKind.NOTE_WRITTEN, at=clock.now(), by="user:a")
