"""An order was joined to the wrong exam, or an exam's patient is identified by its order: done, told and taken back."""

from __future__ import annotations

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
from xraydesk.journey import late_order, part_order, triage
from xraydesk.journey.charge import review_charge
from xraydesk.journey.errors import PersonDecides, Refused, UnknownExam, WrongState
from xraydesk.journey.merge import undo_merge
from xraydesk.journey.tests.performing import facts, stage
from xraydesk.journey.tests.test_booking_races import at_once
from xraydesk.lib import clock
from xraydesk.links.hl7.tests.sent import order, result
from xraydesk.links.models import Message
from xraydesk.links.outgoing.tests.test_tell import told_site
from xraydesk.orders.models import Exam, Joining
from xraydesk.orders.states import OrderState, TriageState
from xraydesk.patients.models import Merge, Patient
from xraydesk.reactions.tests.test_late_order import (
    NOW,
    joined,
    ordered,
    page,
    sent,
    told_ehr,
    unordered,
)
from xraydesk.reactions.tests.test_orders import react_to_all
from xraydesk.reporting.story import Told, stories
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db


OWN = (
    "order_id", "sequence", "filler", "asked", "procedure_id", "procedure_code", "procedure_text",
    "procedure_system", "laterality", "priority", "reason", "clinical_information", "requested_at", "due_at",
)  # fmt: skip
UNKNOWN = {"patient_id": "", "patient_id_issuer": "", "patient_name": "UNK^UNK", "patient_birth_date": None}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return told_site()


def kept(exam: Exam) -> Exam:
    return Exam.objects.select_related("order", "patient").get(pk=exam.pk)


def open_items(exam: Exam) -> set[str]:
    found = Item.objects.filter(accession=exam.accession, closed_at=None)
    return set(found.values_list("kind", flat=True)) - {"begun without a safety check"}


def part(exam: Exam) -> Joining:
    parted = part_order.part_order(exam_id=exam.pk, at=NOW, by="user:ann")
    react_to_all()
    return parted


def test_a_joining_by_rule_is_taken_back_whole_and_both_wait_for_a_person(site: Site) -> None:
    done = unordered(site)
    own = {name: getattr(kept(done), name) for name in OWN}
    late = ordered()
    assert joined(late, done)
    sequence = kept(done).sequence
    parted = part(done)
    assert (parted.undone_by, parted.done_id, parted.late_id) == ("user:ann", done.pk, late.pk)
    done, late = kept(done), kept(late)
    assert {name: getattr(done, name) for name in OWN} == own
    assert done.order.state == OrderState.ACTIVE
    assert (late.joined_to_id, late.triage, late.sequence) == (None, TriageState.HELD, sequence)
    assert (late.cancelled_at, late.cancelled_why) == (None, "")
    assert open_items(done) == {"exam without an order"}
    assert open_items(late) == {"order of an exam done already"}
    assert Charge.objects.get(exam=done).state == "held"
    assert facts(late)[-2:] == ["was not done already", "held in triage"]
    assert "was not its order" in facts(done)


def test_no_rule_joins_again_what_a_person_parted_but_a_person_may(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    part(late)
    triage.reconsider_exam(exam_id=late.pk, at=NOW, by="user:ann")
    react_to_all(again=True)
    assert not joined(late, done)
    assert "somebody said already that this is not its order" in str(kept(late).findings)
    Exam.objects.filter(pk=late.pk).update(triage=TriageState.WAITING)
    assert not late_order.join_by_rule(exam_id=late.pk, at=NOW)
    Exam.objects.filter(pk=late.pk).update(triage=TriageState.HELD)
    signed_in(site).post(reverse("late-order-join", args=[late.accession]), {"done": done.accession})
    assert joined(late, done)
    part(done)
    assert Joining.objects.exclude(undone_at=None).count() == 2


def test_the_ehr_hears_that_its_order_waits_and_the_exam_under_the_desks_own_number(site: Site) -> None:
    done = unordered(site)
    own = kept(done).order.placer
    late = ordered()
    before = len(told_ehr(done))
    part(done)
    assert told_ehr(late) == [("ORM^O01 HD", "P1")]
    assert told_ehr(done)[before:] == [("ORM^O01 IP", own), ("ORM^O01 CM", own)]
    (letter,) = Message.objects.filter(accession=late.accession, direction="out")
    obr = next(line for line in bytes(letter.raw).decode().split("\r") if line.startswith("OBR|"))
    assert (obr.split("|")[18], obr.split("|")[25]) == (late.accession, "O")
    react_to_all(again=True)
    assert len(told_ehr(late)) == 1


def test_what_is_still_to_be_done_is_booked_when_a_person_says_so(site: Site) -> None:
    unordered(site)
    late = ordered()
    part(late)
    assert not Booking.objects.exists()
    signed_in(site).post(reverse("late-order-another", args=[late.accession]))
    react_to_all()
    assert stage(late) == "scheduled"


def test_an_exam_settled_before_is_not_asked_about_again(site: Site) -> None:
    done = unordered(site)
    Item.objects.filter(key=f"unscheduled:{done.accession}").update(closed_at=NOW, closed_by="user:ann")
    late = ordered()
    late_order.join_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:ann")
    part(done)
    assert open_items(done) == set()


def test_a_joining_that_was_taken_back_counts_both_exams(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    part(done)
    told = (Told(f.kind, f.at, f.accession, f.room, f.data) for f in Fact.objects.order_by("at", "id"))
    assert set(stories(told)) == {done.accession, late.accession}


def test_a_report_stands_in_the_way_until_it_is_withdrawn(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    sent(result(placer="P1", accession=done.accession, control="R1"))
    with pytest.raises(WrongState, match=r"went out under order P1.*report went to order P1"):
        part(done)
    shown = page(site, "exam", done.accession)
    assert "It cannot be taken back now." in shown
    assert "the reporting system has to withdraw it first" in shown
    assert reverse("late-order-undo", args=[done.accession]) not in shown
    answer = signed_in(site).post(reverse("late-order-undo", args=[late.accession]), follow=True)
    assert "This cannot be taken back now." in answer.content.decode()
    assert joined(late, done)
    sent(result(placer="P1", accession=done.accession, control="R2", status="X"))
    assert Charge.objects.filter(exam=done, state="credited").exists()
    part(done)
    assert not joined(late, done)


def test_a_cancel_of_its_sender_and_an_exam_to_be_done_again_stand_in_the_way(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    sent(order(control="STOP", action="CA"))
    with pytest.raises(WrongState, match="asked to cancel it"):
        part(late)
    Item.objects.filter(accession=done.accession).update(closed_at=NOW, closed_by="user:ann")
    done.stepexam_set.update(voided=True)
    with pytest.raises(WrongState, match="is to be done again"):
        part(late)


def test_what_is_not_joined_cannot_be_taken_back(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    part(done)
    for exam in (done, late):
        with pytest.raises(WrongState, match="joined to no other"):
            part(exam)
    with pytest.raises(UnknownExam):
        part_order.part_order(exam_id=10**9, at=NOW, by="user:ann")


def test_a_person_takes_it_back_on_either_page_and_by_the_undo_that_is_offered(site: Site) -> None:
    done = unordered(site, procedure_code="")
    late = ordered()
    path = reverse("late-order-undo", args=[done.accession])
    answer = signed_in(site).post(reverse("late-order-join", args=[late.accession]), follow=True)
    assert f'action="{path}"' in answer.content.decode()
    assert "This is not its order" in page(site, "exam", late.accession)
    assert "Its order came late" in page(site, "exam", done.accession)
    assert signed_in(site).post(path).status_code == 303
    assert "Was it done already?" in page(site, "exam", late.accession)
    assert "It was not its order: taken back" in page(site, "exam", done.accession)
    Exam.objects.filter(pk=done.pk).update(triage=TriageState.CANCELLED)
    assert "It is another exam" in page(site, "exam", late.accession)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_it_back_and_one_who_joins_anew_each_leaves_one_truth(site: Site) -> None:
    done = unordered(site)
    late = ordered()
    answers = at_once(
        [
            lambda: part_order.part_order(exam_id=late.pk, at=NOW, by="user:ann"),
            lambda: part_order.part_order(exam_id=done.pk, at=NOW, by="user:ben"),
            lambda: late_order.join_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:cyd"),
            lambda: review_charge(exam_id=done.pk, at=NOW),
            lambda: sent(result(placer="P1", accession=done.accession, control="R1")),
        ]
    )
    refusals = [a for a in answers if isinstance(a, Refused)]
    rows = list(Joining.objects.order_by("id"))
    assert [row.undone_at is None for row in rows[:-1]] == [False] * (len(rows) - 1)
    assert joined(late, done) == (rows[-1].undone_at is None)
    assert kept(late).order.exams.count() == (2 if joined(late, done) else 1)
    parted = sum(isinstance(answer, Joining) for answer in answers)
    assert parted == sum(row.undone_at is not None for row in rows)
    assert len(refusals) == 3 - parted - (len(rows) - 1)


def unidentified(site: Site, **said: object) -> Exam:
    """An exam of somebody who was brought in without a name or number, done half an hour ago."""
    done = unordered(site, images=0, **(UNKNOWN | said))
    assert part_order.may_be_identified(kept(done))
    return done


def test_an_unidentified_patient_is_identified_with_the_order_and_both_go_back_by_one_undo(
    site: Site,
) -> None:
    done = unidentified(site)
    unknown = kept(done).patient
    late = ordered()
    assert stage(late) == "scheduled"
    shown = page(site, "exam", done.accession)
    path = reverse("late-order-identify", args=[done.accession, late.accession])
    assert "Whose exam is it?" in shown
    assert path in shown
    compared = page(site, "late-order-identify", done.accession, late.accession)
    assert "This is its order, and its patient" in compared
    assert "1969" in compared
    assert signed_in(site).post(path).status_code == 303
    react_to_all()
    done = kept(done)
    assert joined(late, done)
    assert done.patient_id == late.patient_id == done.order.patient_id
    assert not Booking.objects.filter(state="booked").exists()
    assert ("ORM^O01 CM", "P1") in told_ehr(done)
    merge = Merge.objects.get(undone_at=None)
    assert merge.why == "identified by order P1"
    # The record's own button would leave the exam without its order.
    with pytest.raises(PersonDecides, match="has got its order since"):
        undo_merge(merge_id=merge.pk, at=NOW, by="user:ann")
    assert "identified with it" in page(site, "exam", done.accession)
    assert signed_in(site).post(reverse("late-order-undo", args=[done.accession])).status_code == 303
    react_to_all()
    done, late = kept(done), kept(late)
    assert (done.patient_id, done.order.patient_id) == (unknown.pk, unknown.pk)
    assert late.patient_id != unknown.pk
    assert Patient.objects.get(pk=unknown.pk).merged_into_id is None
    assert (late.joined_to_id, late.triage) == (None, TriageState.HELD)
    assert FactKind.PATIENTS_PARTED in Fact.objects.values_list("kind", flat=True)
    assert "Whose exam is it?" in page(site, "exam", done.accession)


def test_no_rule_ever_identifies_anybody(site: Site) -> None:
    done = unidentified(site)
    late = ordered()
    assert (stage(late), joined(late, done)) == ("scheduled", False)
    assert not Merge.objects.exists()


def test_an_order_that_is_not_offered_is_found_by_its_number(site: Site) -> None:
    done = unidentified(site, procedure_code="XRKNEE2")
    late = ordered()
    assert part_order.orders_that_may_be(kept(done)) == []
    path = reverse("late-order-find", args=[done.accession])
    there = reverse("late-order-identify", args=[done.accession, late.accession])
    for typed in ("P1", late.accession.lower()):
        assert signed_in(site).post(path, {"number": typed})["Location"] == there
    for typed in ("", "NONE", done.accession):
        answer = signed_in(site).post(path, {"number": typed}, follow=True)
        assert "No order or exam here has that number" in answer.content.decode()


def test_somebody_who_is_known_is_not_identified_again_and_nothing_changes(site: Site) -> None:
    done = unidentified(site)
    late = ordered()
    known = unordered(site, patient_id="N2", patient_name="Other^Person")
    Exam.objects.filter(pk=known.pk).update(order=late.order, sequence=7)
    for late_id, done_id, refusal in (
        (late.pk, late.pk, UnknownExam),
        (late.pk, 10**9, UnknownExam),
        (done.pk, late.pk, WrongState),
        (known.pk, done.pk, Refused),
    ):
        with pytest.raises(refusal):
            part_order.identify_by_order(exam_id=late_id, done_id=done_id, at=NOW, by="user:ann")
    assert not Merge.objects.exists()
    assert not part_order.may_be_identified(kept(late))
    answer = signed_in(site).post(
        reverse("late-order-identify", args=[late.accession, done.accession]), follow=True
    )
    assert "is identified already" in answer.content.decode()
    assert part_order.orders_that_may_be(kept(late)) == []


@pytest.mark.django_db(transaction=True)
def test_identifying_twice_while_its_exam_is_told_leaves_one_patient_and_one_order(site: Site) -> None:
    done = unidentified(site)
    late, second = ordered(), ordered("P2", patient_id="N7")
    answers = at_once(
        [
            lambda: part_order.identify_by_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:ann"),
            lambda: part_order.identify_by_order(exam_id=second.pk, done_id=done.pk, at=NOW, by="user:ben"),
            lambda: review_charge(exam_id=done.pk, at=NOW),
            lambda: triage.hold_exam(exam_id=late.pk, at=NOW, by="user:cyd", why="wait"),
        ]
    )
    assert sum(isinstance(answer, Refused) for answer in answers[:2]) == 1
    done = kept(done)
    assert Merge.objects.count() == Joining.objects.count() == 1
    assert done.patient_id == done.order.patient_id
    part(done)
    assert kept(done).patient_id != Exam.objects.get(pk=late.pk).patient_id


@pytest.mark.parametrize("name", ["late-order-undo", "late-order-find", "late-order-identify"])
def test_a_stranger_another_role_and_another_site_change_nothing(site: Site, name: str) -> None:
    done = unidentified(site)
    late = ordered()
    more = [late.accession] if name.endswith("identify") else []
    path = reverse(name, args=[done.accession, *more])
    if name.endswith("undo"):
        part_order.identify_by_order(exam_id=late.pk, done_id=done.pk, at=NOW, by="user:ann")
    answer = Client().post(path)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse("sign-in"))
    for role in (Role.PORTER, Role.MANAGER, Role.SYSTEM, Role.TECHNOLOGIST):
        assert signed_in(site, role).post(path).status_code == 404
    elsewhere = reverse(name, args=["NOBODYS", *more])
    assert signed_in(site).post(elsewhere).status_code == 404
    if name.endswith("identify"):
        assert signed_in(site).get(reverse(name, args=[done.accession, "NOBODYS"])).status_code == 404
    else:
        assert signed_in(site).get(path).status_code == 405
    assert joined(late, done) == name.endswith("undo")
