"""A sender that tells every status of an order (ORC-1 SC) is heard quietly, as its link says; what contradicts is an item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.factories import AT, plan_with
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.journey.cancel import cancel_exam
from xraydesk.links.hl7.tests.conftest import EHR, HIS
from xraydesk.links.hl7.tests.sent import order
from xraydesk.links.hl7.tests.test_receive import begin
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import OrderControl

pytestmark = pytest.mark.django_db
Ask = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def says_sc(site: Site) -> None:
    words = {"SC": OrderControl.NEWS, "SC ER": OrderControl.CANCEL, "NW ORDERED": OrderControl.NEW}
    site.plan = plan_with(replace(EHR, controls=words), replace(HIS, controls=words))
    site.save()


def open_items() -> list[tuple[str, str]]:
    return list(Item.objects.filter(closed_at=None).order_by("id").values_list("kind", "accession"))


def state_of(control: str) -> str:
    return Message.objects.get(control_id=control).state


def test_what_says_no_more_than_the_desk_knows_changes_nothing_and_asks_nobody(ask: Ask) -> None:
    ask(order(status="ORDERED"))
    before = Exam.objects.values().get()
    for number, status in enumerate(("", "IP", "SC", "A")):
        said = order(
            action="SC", status=status, control=f"S{number}", name="Another^Name", start="202603030900"
        )
        assert ask(said)[1] == f"MSA|AA|S{number}"
        assert state_of(f"S{number}") == "kept, nothing to do"
        assert Message.objects.get(control_id=f"S{number}").accession == before["accession"]
    begin(Exam.objects.get())
    ask(order(action="SC", status="CM", control="S9"))
    assert Exam.objects.values().get() == before
    assert Patient.objects.get().family == "Prüfer"
    assert open_items() == []


def test_an_order_that_never_came_is_no_error_and_asks_nobody(ask: Ask) -> None:
    assert ask(order(action="SC", status="CM", control="S1"))[1] == "MSA|AA|S1"
    assert ask(order(action="SC", control="S2", app="HIS"))[2].startswith("ORC|OK|P1^HIS")
    assert (state_of("S1"), open_items(), Exam.objects.count()) == ("kept, nothing to do", [], 0)


def test_what_contradicts_is_one_item_of_the_exam_until_the_sender_agrees(ask: Ask) -> None:
    ask(order())
    accession = Exam.objects.get().accession
    for status, control in (("CM", "S1"), ("CM", "S2"), ("HD", "S3")):
        assert ask(order(action="SC", status=status, control=control))[1] == f"MSA|AA|{control}"
        assert state_of(control) == "applied"
    assert open_items() == [("order seen otherwise by its sender", accession)]
    assert "is completed" in Item.objects.get().text
    ask(order(action="SC", status="IP", control="S4"))
    assert (state_of("S4"), open_items()) == ("applied", [])


def test_the_item_ends_with_the_exam(ask: Ask) -> None:
    ask(order())
    ask(order(action="SC", status="CA"))
    assert [kind for kind, _ in open_items()] == ["order seen otherwise by its sender"]
    cancel_exam(exam_id=Exam.objects.get().pk, at=AT, by="t", why="done elsewhere")
    assert open_items() == []


def test_called_off_after_the_start_is_the_item_that_a_late_cancel_is(ask: Ask) -> None:
    ask(order())
    begin(Exam.objects.get())
    ask(order(action="SC", status="CA"))
    ask(order(action="CA"))
    assert [kind for kind, _ in open_items()] == ["cancelled after it began"]


def test_of_several_exams_the_one_that_is_named_is_meant(ask: Ask) -> None:
    second = "OBR|2|P1^EHR||XRHAND^Hand^L"
    ask(order(extra=second))
    _, exam = Exam.objects.order_by("sequence")
    ask(order(action="SC", status="CM").replace("OBR|1|P1^EHR||", f"OBR|1|P1^EHR|{exam.accession}|"))
    assert [accession for _, accession in open_items()] == [exam.accession]
    ask(order(action="SC", status="CM"))
    assert len(open_items()) == 2


def test_a_pair_that_the_link_gives_another_meaning_does_what_it_means(ask: Ask) -> None:
    ask(order())
    ask(order(action="SC", status="ER"))
    assert Exam.objects.get().cancelled_at is not None
