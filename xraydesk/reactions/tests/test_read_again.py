"""What waited because of a record, or of a link's rules, is read again by itself once those are mended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories import AT
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.journey.load_site import load_site
from xraydesk.journey.merge import merge_by_hand, undo_merge
from xraydesk.lib import clock
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import adt, order, result
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.models import Patient
from xraydesk.reactions.run import react_to
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.link_plan import FieldRule, LinkField
from xraydesk.siteplan.reading import read_toml

pytestmark = pytest.mark.django_db
FILE = Path(__file__).parents[3] / "site" / "hospital.toml"
PLACER_IN_Z = FieldRule(LinkField.PLACER, ("ZDS-1",))


@pytest.fixture
def site() -> Site:
    load_site(plan=replace(read_toml(FILE), links=(EHR,)), at=clock.now(), by="test")
    return Site.objects.get()


def send(*messages: str) -> None:
    receiver = Receiver()
    for message in messages:
        receiver.receive(message.encode(), peer=Peer(), at=AT)


def message(control: str) -> Message:
    return Message.objects.get(control_id=control)


def react(kind: str) -> None:
    for key in Fact.objects.filter(kind=kind).order_by("id").values_list("pk", flat=True):
        react_to(key)


def rules(site: Site, *fields: FieldRule) -> None:
    links = (replace(EHR, fields=fields),)
    load_site(
        plan=replace(from_json(Site.objects.get(pk=site.pk).plan), links=links), at=clock.now(), by="ada"
    )


def record(number: str) -> Patient:
    return Patient.objects.get(identifiers__value=number)


OF_TWO = order(control="C3", placer="P3", patient="N1^^^HOSP^MR~N2")


def two_records() -> None:
    send(order(control="C1", placer="P1", patient="N1"), order(control="C2", placer="P2", patient="N2"))


def test_an_order_whose_patient_was_two_records_is_read_once_they_are_one(site: Site) -> None:
    two_records()
    send(OF_TWO)
    assert message("C3").state == "refused"
    react("records made one")
    assert message("C3").state == "refused"
    merge_by_hand(site=site, stays_id=record("N1").pk, goes_id=record("N2").pk, at=AT, by="user:ada")
    for _ in range(2):
        react("records made one")
    read = message("C3")
    assert (read.state, Exam.objects.filter(order__placer="P3").count()) == ("applied", 1)
    facts = Fact.objects.filter(pk__in=read.facts)
    assert "order received" in {fact.kind for fact in facts}
    (item,) = Item.objects.filter(message=read.pk)
    assert (item.closed_by, item.closed_how) == ("rule", "read again: the patient’s records changed")
    assert Order.objects.get(placer="P3").source == "link:EHR"


def test_a_report_of_another_record_is_read_once_both_are_one(site: Site) -> None:
    two_records()
    send(result(control="R1", placer="P1", patient="N2"))
    assert message("R1").state == "refused"
    merge_by_hand(site=site, stays_id=record("N1").pk, goes_id=record("N2").pk, at=AT, by="user:ada")
    react("records made one")
    assert message("R1").state == "applied"


def test_what_cannot_be_read_under_a_links_rules_is_read_once_they_change(site: Site) -> None:
    send(order(control="C1", placer="", extra="ZDS|Z1"), order(control="C2", placer="", extra="ZDS|"))
    stranger = order(control="C3", placer="P3", app="NEW")
    send(stranger)
    assert {m.state for m in Message.objects.all()} == {"refused"}
    react("site loaded")
    assert not Exam.objects.exists()
    rules(site, PLACER_IN_Z)
    for _ in range(2):
        react("site loaded")
    assert [message(c).state for c in ("C1", "C2", "C3")] == ["applied", "refused", "refused"]
    assert Item.objects.get(message=message("C1").pk).closed_how == "read again: the site’s file changed"
    assert Item.objects.get(message=message("C2").pk).closed_at is None
    plan = from_json(Site.objects.get().plan)
    new = replace(EHR, name="NEW", sending_application="NEW")
    load_site(plan=replace(plan, links=(*plan.links, new)), at=clock.now(), by="ada")
    react("site loaded")
    assert message("C3").state == "applied"


def test_what_was_overtaken_by_later_news_of_the_same_order_or_patient_stays_for_a_person(site: Site) -> None:
    send(
        order(control="C1", placer="P1", action="ZZ", start="202603021600"),
        adt("A08", control="A1", patient=""),
        order(control="C2", placer="P1"),
    )
    assert [message(c).state for c in ("C1", "A1", "C2")] == ["refused", "refused", "applied"]
    Message.objects.filter(control_id="C1").update(raw=order(control="C1", placer="P1", action="XO").encode())
    Message.objects.filter(control_id="A1").update(raw=adt("A08", control="A1", patient="N1").encode())
    rules(site, PLACER_IN_Z)
    react("site loaded")
    assert [message(c).state for c in ("C1", "A1")] == ["refused", "refused"]
    Message.objects.filter(control_id="C1").update(raw=b"noise", type="ORM^O01")
    rules(site)
    react("site loaded")
    assert message("C1").state == "refused"


def said(message: str, second: int) -> str:
    """The message as its sender made it at that second."""
    return message.replace("20260302100000", f"202603021000{second:02}", 1)


def test_what_overtook_its_order_is_done_once_the_order_comes(site: Site) -> None:
    send(
        said(order(control="C4", action="CA"), 4),
        said(order(control="C2", action="XO", start="202603031200"), 2),
        said(order(control="C3", placer="P2", action="CA"), 3),
        said(order(control="C5", placer="P3", action="CA"), 5),
        said(order(control="C1"), 1),
    )
    assert [message(c).state for c in ("C4", "C2", "C1")] == ["refused", "refused", "applied"]
    for _ in range(2):
        react("order received")
    assert [message(c).state for c in ("C2", "C4")] == ["applied", "applied"]
    exam = Exam.objects.get()
    assert (exam.triage, exam.asked["requested_at"]) == ("cancelled", "2026-03-03T17:00:00+00:00")
    ended = Item.objects.exclude(closed_at=None)
    assert {item.closed_how for item in ended} == {"applied: its order came after it"}
    assert ended.count() == 2
    # A resend of what was refused then is what it is of any cancellation that was done: nothing new.
    send(said(order(control="C4", action="CA"), 4))
    assert (message("C4").ack, Exam.objects.get().triage) == ("AA", "cancelled")


@pytest.mark.parametrize("second", [3, 4])
def test_what_was_not_said_after_its_order_stays_for_a_person(site: Site, second: int) -> None:
    send(said(order(control="C3", action="CA"), 3), said(order(control="C4"), second))
    react("order received")
    assert (message("C3").state, Exam.objects.get().cancelled_at) == ("refused", None)
    Message.objects.filter(control_id="C3").update(raw=b"noise")
    react("order received")
    assert message("C3").state == "refused"


def test_an_order_that_is_read_late_replaces_nothing_of_its_patients_record(site: Site) -> None:
    send(order(control="C1", placer="", extra="ZDS|Z1"))
    send(adt("A08", control="A1").replace("|F", "|F|||1 New St^^Town"))
    rules(site, PLACER_IN_Z)
    react("site loaded")
    assert message("C1").state == "applied"
    assert "New St" in Patient.objects.get().address


def test_parting_records_reads_again_too_and_other_news_of_a_patient_does_not(site: Site) -> None:
    two_records()
    merge = merge_by_hand(site=site, stays_id=record("N1").pk, goes_id=record("N2").pk, at=AT, by="user:ada")
    undo_merge(merge_id=merge.pk, at=AT, by="user:ada")
    send(OF_TWO)
    react("records parted again")
    assert message("C3").state == "refused"
    send(adt("A08", control="A1").replace("|F", "|F|||1 New St^^Town"))
    read_before = message("C3").replayed_at
    react("patient updated")
    assert message("C3").replayed_at == read_before is not None
    send(adt("A08", control="A2").replace("Prüfer^Ada", "Prüfer^Eva"))
    react("patient updated")
    assert message("C3").replayed_at > read_before
