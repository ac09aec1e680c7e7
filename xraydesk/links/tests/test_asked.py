"""What machines were told by their worklist, now and before."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_site
from xraydesk.journey.tests.performing import minutes
from xraydesk.links import asked
from xraydesk.links.asked import Answered, keep, was_told
from xraydesk.links.models import WorklistQuery

pytestmark = pytest.mark.django_db


def told(site, *accessions: str, after: int = 0, **more) -> None:
    answer = Answered(0, count=more.pop("count", len(accessions)), accessions=accessions)
    keep(
        site=site,
        calling_ae=more.pop("ae", "XR1"),
        address="127.0.0.1",
        keys=more,
        answered=answer,
        at=AT + minutes(after),
    )


def test_an_exam_that_has_left_the_list_was_told_of_all_the_same() -> None:
    site = make_site()
    told(site, "A1", "A2")
    told(site, "A2", "A3", after=1)
    told(site, "A2", "A3", after=2)
    told(site, "A4", after=3)
    row = WorklistQuery.objects.get()
    assert (row.accessions, row.earlier) == (["A4"], ["A2", "A3", "A1"])
    found = {accession: was_told(site=site, accession=accession, at=AT) for accession in ("A1", "A4", "A9")}
    assert found == {"A1": {"XR1": True}, "A4": {"XR1": True}, "A9": {"XR1": False}}
    told(site, "A1", "A4", after=4)
    row.refresh_from_db()
    assert row.earlier == ["A2", "A3"]


def test_one_query_that_told_is_enough_and_each_machine_answers_for_itself() -> None:
    site = make_site()
    told(site, "A1", Modality="DX")
    told(site, Modality="CT")
    told(site, "A2", ae="XR2")
    assert was_told(site=site, accession="A1", at=AT) == {"XR1": True, "XR2": False}
    assert was_told(site=make_site("E"), accession="A1", at=AT) == {}


def test_nothing_is_said_of_a_machine_that_asked_long_ago_or_was_told_more_than_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = make_site()
    told(site, "A1")
    assert was_told(site=site, accession="A1", at=AT + minutes(13 * 60)) == {}
    told(site, "A1", "A2", ae="XR2", count=300)
    assert was_told(site=site, accession="A9", at=AT) == {"XR1": False}
    assert was_told(site=site, accession="A2", at=AT)["XR2"]
    monkeypatch.setattr(asked, "LISTED_MAX", 1)
    told(site, "A2", "A3", after=1)
    told(site, "A5", after=2)
    assert WorklistQuery.objects.get(calling_ae="XR1").earlier == ["A2"]
    assert "XR1" not in was_told(site=site, accession="A9", at=AT)
