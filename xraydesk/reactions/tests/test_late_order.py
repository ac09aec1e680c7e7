"""An exam is done without an order, and its order comes late: from the wire to the screen, and back to the EHR."""

from __future__ import annotations

import html
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.billing.models import Charge
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.states import StepState
from xraydesk.journey import late_order, triage
from xraydesk.journey.errors import AlreadyStarted, UnknownExam, WrongState
from xraydesk.journey.tests.performing import (
    begun,
    facts,
    header,
    minutes,
    received,
    stage,
    told,
)
from xraydesk.lib import clock
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.sent import order, result
from xraydesk.links.models import Message
from xraydesk.links.outgoing.tests.test_tell import told_site
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.states import OrderState, TriageState
from xraydesk.reactions.tests.test_orders import react_to_all
from xraydesk.reporting.story import Told, stories
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db

NOW = clock.now().replace(microsecond=0)
ADA = {
    "patient_id": "N1",
    "patient_id_issuer": "HOSP",
    "patient_name": "Prüfer^Ada",
    "patient_birth_date": date(1969, 5, 12),
    "patient_sex": "F",
}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return told_site()


def unordered(site: Site, *, ago: int = 30, images: int = 2, **said: Any) -> Exam:
    """An exam that XR1 did so many minutes ago for Ada, whom nobody had ordered one for."""
    at = NOW - minutes(ago)
    uid = begun(site, at=at, references=(), **(ADA | {"procedure_code": "XRCHEST2"} | said))
    exam = Exam.objects.latest("id")
    for view in ("PA", "LL", "AP", "OB")[:images]:
        received(site, header(None, **_of(exam), view_position=view), at=at + minutes(2))
    told(site, uid, StepState.COMPLETED, at=at + minutes(5))
    react_to_all()
    return Exam.objects.get(pk=exam.pk)


def _of(exam: Exam) -> dict[str, Any]:
    same = {key: ADA[key] for key in ("patient_id", "patient_name", "patient_birth_date", "patient_sex")}
    return same | {"study_instance_uid": exam.study_instance_uid, "accession": exam.accession}


def sent(message: str) -> list[str]:
    """A message as it comes over the wire, and everything that follows from it; the answer's segments."""
    answers = Receiver().receive(message.encode(), peer=Peer(), at=NOW)
    react_to_all()
    return [line for answer in answers for line in answer.decode().rstrip("\r").split("\r")]


def ordered(placer: str = "P1", **said: Any) -> Exam:
    """An order of the EHR that asks for the chest, now; the exam that it made."""
    last = Exam.objects.latest("id").pk
    extra = said.pop("extra", "")
    start = f"{clock.in_zone(NOW, 'America/New_York'):%Y%m%d%H%M%S}"
    message = order(placer=placer, start=said.pop("start", start), extra=extra, **said)
    assert "MSA|AA|" in "\r".join(sent(message))
    return Exam.objects.filter(pk__gt=last).select_related("order").get()


def joined(late: Exam, done: Exam) -> bool:
    late, done = Exam.objects.get(pk=late.pk), Exam.objects.get(pk=done.pk)
    return (
        late.joined_to_id == done.pk
        and late.triage == TriageState.CANCELLED
        and done.order_id == late.order_id
    )


def told_ehr(exam: Exam) -> list[tuple[str, str]]:
    """What went out about an exam: its type, with the number that it names it by: the order's, of a charge the exam's."""
    found = Message.objects.filter(direction="out", accession=exam.accession).exclude(type__startswith="MDM")
    rows = []
    for message in found.order_by("id"):
        lines = bytes(message.raw).decode().split("\r")
        named = next(line for line in lines if line.startswith(("ORC|", "FT1|", "SCH|")))
        status = named.split("|")[5] if message.type.startswith("ORM") else ""
        number = named.split("|")[{"ORC": 2, "SCH": 1, "FT1": 23}[named[:3]]].split("^")[0]
        rows.append((f"{message.type} {status}".strip(), number))
    return rows


def test_an_order_that_certainly_is_of_an_exam_done_before_is_joined_and_not_booked(site: Site) -> None:
    done = unordered(site)
    assert Charge.objects.get(exam=done).state == "held"
    late = ordered()
    assert joined(late, done)
    done = Exam.objects.select_related("order").get(pk=done.pk)
    assert (done.order.placer, done.accession, stage(done)) == ("P1", done.accession, "ended")
    assert not Booking.objects.exists()
    assert facts(late) == ["order received", "was done already"]
    why = Fact.objects.get(kind=FactKind.ORDER_JOINED).data["why"]
    assert "same patient, same procedure, 30 min apart" in why
    assert not Item.objects.filter(closed_at=None, key__startswith="unscheduled:").exists()
    assert set(Order.objects.exclude(placer="P1").values_list("state", flat=True)) == {OrderState.COMPLETED}
    shown = page(site, "exam", done.accession)
    assert "Its order came late" in shown
    assert "by rule: " in shown
    assert "by by" not in shown


def test_the_ehr_hears_the_whole_history_under_its_own_number_and_the_charge_follows(site: Site) -> None:
    done = unordered(site)
    assert sent(result(placer="", accession=done.accession, control="R1"))[1] == "MSA|AA|R1"
    assert "DFT^P03" not in dict(told_ehr(done))
    before = len(told_ehr(done))
    ordered()
    since = told_ehr(done)[before:]
    assert since == [
        ("ORM^O01 IP", "P1"),
        ("ORM^O01 CM", "P1"),
        ("ORU^R01", "P1"),
        ("DFT^P03", done.accession),
    ]
    begun_at = Fact.objects.get(accession=done.accession, kind=FactKind.EXAM_BEGUN).at
    again = Message.objects.filter(accession=done.accession, type="ORM^O01").order_by("id")[2]
    assert f"{clock.in_zone(begun_at, site.timezone):%Y%m%d%H%M}" in bytes(again.raw).decode()
    react_to_all(again=True)
    assert len(told_ehr(done)) == before + len(since)


def test_a_repeated_order_a_change_and_a_cancel_after_it_mean_the_exam_that_was_done(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    start = f"{clock.in_zone(NOW, 'America/New_York'):%Y%m%d%H%M%S}"
    assert "MSA|AA|" in "\r".join(sent(order(control="AGAIN", start=start)))
    assert Exam.objects.count() == 2
    assert "MSA|AE|" in "\r".join(sent(order(control="STOP", action="CA", start=start)))
    assert Item.objects.filter(
        kind="cancelled after it began", accession=done.accession, closed_at=None
    ).exists()
    assert joined(late, done)


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        ({"procedure_code": "", "procedure_text": "Chest"}, "did not say which procedure"),
        ({"ago": 200}, "hours apart"),
        ({"procedure_code": "XRCHEST1"}, "another procedure of the same part"),
    ],
)
def test_what_is_not_certain_is_not_booked_and_a_person_is_asked(
    site: Site, said: dict[str, Any], doubt: str
) -> None:
    done = unordered(site, **said)
    late = ordered()
    assert (stage(late), joined(late, done)) == ("held", False)
    assert not Booking.objects.exists()
    (item,) = Item.objects.filter(accession=late.accession, closed_at=None)
    assert (item.kind, doubt in item.text, done.accession in item.text) == (
        "order of an exam done already",
        True,
        True,
    )


def page(site: Site, name: str, *args: str) -> str:
    return html.unescape(signed_in(site).get(reverse(name, args=list(args))).content.decode())


def test_a_person_says_on_the_list_that_it_is_its_order(site: Site) -> None:
    done = unordered(site, procedure_code="")
    late = ordered()
    path = reverse("late-order-join", args=[late.accession])
    listed = page(site, "attention")
    assert path in listed
    assert "This is its order" in listed
    assert "It is another exam" in listed
    answer = signed_in(site).post(path)
    assert (answer.status_code, answer["Location"]) == (303, reverse("exam", args=[done.accession]))
    react_to_all()
    assert joined(late, done)
    assert (
        not Item.objects.filter(closed_at=None, accession__in=[late.accession, done.accession])
        .exclude(kind="begun without a safety check")
        .exists()
    )
    done = Exam.objects.get(pk=done.pk)
    assert (done.procedure_code, done.reason == late.reason) == ("XRCHEST2", True)
    assert "Its order came" in page(site, "exam", done.accession)
    assert done.accession in page(site, "exam", late.accession)


def test_a_person_says_that_it_is_another_exam_and_it_is_booked_and_never_asked_again(site: Site) -> None:
    done = unordered(site, procedure_code="")
    late = ordered()
    shown = page(site, "exam", late.accession)
    assert "Was it done already?" in shown
    assert done.accession in shown
    # Triage asks the same, and nothing of whoever ordered: they cannot know it.
    asked = signed_in(site).get(reverse("triage"), {"exam": late.accession}).content.decode()
    assert "Was it done already?" in asked
    assert reverse("late-order-another", args=[late.accession]) in asked
    assert "Question to" not in asked
    assert reverse("triage-accept", args=[late.accession]) not in asked
    assert signed_in(site).post(reverse("late-order-another", args=[late.accession])).status_code == 303
    react_to_all()
    assert stage(late) == "scheduled"
    triage.hold_exam(exam_id=late.pk, at=NOW, by="user:ann", why="wait")
    triage.reconsider_exam(exam_id=late.pk, at=NOW, by="user:ann")
    assert Exam.objects.get(pk=late.pk).triage == TriageState.ACCEPTED
    with pytest.raises(WrongState):
        triage.is_another_exam(exam_id=late.pk, at=NOW, by="user:ann")


def test_of_two_exams_without_an_order_a_person_chooses_one_on_the_page(site: Site) -> None:
    first, second = unordered(site, ago=50), unordered(site, ago=20)
    late = ordered()
    assert stage(late) == "held"
    path = reverse("late-order-join", args=[late.accession])
    signed_in(site).post(path)
    assert not joined(late, first)
    assert not joined(late, second)
    signed_in(site).post(path, {"done": first.accession})
    assert joined(late, first)
    assert signed_in(site).post(path, {"done": second.accession}).status_code == 303
    assert Exam.objects.get(pk=second.pk).order.placer != "P1"


def test_an_order_that_was_booked_before_can_be_joined_from_the_page_of_the_exam_that_was_done(
    site: Site,
) -> None:
    late_first = unordered(site, ago=700, patient_id="N2", patient_name="Other^Person")
    assert late_first.patient.family == "Other"
    sent(order(start=f"{clock.in_zone(NOW, 'America/New_York'):%Y%m%d%H%M%S}"))
    late = Exam.objects.get(order__placer="P1")
    assert stage(late) == "scheduled"
    done = unordered(site, ago=1)
    shown = page(site, "exam", done.accession)
    assert "Which order is its own?" in shown
    assert late.accession in shown
    signed_in(site).post(reverse("late-order-join", args=[late.accession]), {"done": done.accession})
    react_to_all()
    assert joined(late, done)
    assert not Booking.objects.filter(state="booked").exists()
    assert [kind for kind, _ in told_ehr(late)][-1:] in ([], ["SIU^S15"])
    # Somebody else's exam is never offered, nor taken.
    with pytest.raises(WrongState):
        late_order.join_order(exam_id=late.pk, done_id=late_first.pk, at=NOW, by="user:ann")


def test_what_cannot_be_joined_is_refused_and_nothing_changes(site: Site) -> None:
    done = unordered(site)
    other = unordered(site, ago=10, patient_id="N2", patient_name="Other^Person")
    late = ordered(start=f"{clock.in_zone(NOW + timedelta(days=2), 'America/New_York'):%Y%m%d%H%M%S}")
    assert stage(late) == "scheduled"
    for late_id, done_id in ((late.pk, late.pk), (late.pk, other.pk), (late.pk, None)):
        with pytest.raises(WrongState):
            late_order.join_order(exam_id=late_id, done_id=done_id, at=NOW, by="user:ann")
    with pytest.raises(AlreadyStarted):
        late_order.join_order(exam_id=done.pk, done_id=other.pk, at=NOW, by="user:ann")
    with pytest.raises(UnknownExam):
        late_order.join_order(exam_id=10**9, done_id=None, at=NOW, by="user:ann")
    late_order.join_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:ann")
    with pytest.raises(WrongState):
        late_order.join_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:ann")


def test_an_exam_that_was_joined_counts_once_and_with_its_orders_priority(site: Site) -> None:
    done = unordered(site)
    ordered()
    rows = Fact.objects.order_by("at", "id")
    told_of = stories(Told(f.kind, f.at, f.accession, f.room, f.data) for f in rows)
    assert list(told_of) == [done.accession]
    assert told_of[done.accession].patient_class == "O"


@pytest.mark.parametrize("name", ["late-order-join", "late-order-another"])
def test_a_stranger_another_role_and_another_site_decide_nothing(site: Site, name: str) -> None:
    unordered(site, procedure_code="")
    late = ordered()
    path = reverse(name, args=[late.accession])
    answer = Client().post(path)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse("sign-in"))
    for role in (Role.PORTER, Role.MANAGER, Role.SYSTEM, Role.TECHNOLOGIST):
        assert signed_in(site, role).post(path).status_code == 404
    assert signed_in(site).post(path, {"done": "NOBODYS"}).status_code == (
        404 if name.endswith("join") else 303
    )
    assert signed_in(site).get(path).status_code == 405
    assert Exam.objects.get(pk=late.pk).joined_to_id is None
