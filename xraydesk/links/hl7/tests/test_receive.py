"""What becomes of a message: its rows, its items and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from tests.factories import AT, make_site, plan_with
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey import errors
from xraydesk.journey.receive import receive_order
from xraydesk.lib import prepared
from xraydesk.lib.ids import new_uid
from xraydesk.lib.networks import is_loopback
from xraydesk.links.hl7 import apply as hl7_apply
from xraydesk.links.hl7.apply import Steps
from xraydesk.links.hl7.framing import Broken, Fault
from xraydesk.links.hl7.partners import may_send
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import adt, header, order
from xraydesk.links.messages import NotReplayable, UnknownMessage, as_json, get_message, list_messages, replay
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.models import Patient, Visit
from xraydesk.siteplan.link_plan import LinkPlan

pytestmark = pytest.mark.django_db
Ask = Callable[..., list[str]]


def begin(exam: Exam) -> None:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        ae_title="XR1",
        state=StepState.IN_PROGRESS,
        started_at=AT,
        by="modality:XR1",
    )
    StepExam.objects.create(step=step, exam=exam)


def test_an_order_makes_patient_order_and_exam_and_gets_aa(ask: Ask) -> None:
    assert ask(order(control="C1"))[1] == "MSA|AA|C1"
    exam = Exam.objects.get()
    assert (exam.procedure_code, exam.order.placer, exam.order.placer_authority) == ("XRCHEST2", "P1", "EHR")
    assert exam.patient.family == "Prüfer"
    message = Message.objects.get()
    assert (message.state, message.ack, message.accession) == ("applied", "AA", exam.accession)
    assert message.patient == exam.patient_id
    assert not Item.objects.exists()


def test_a_resend_is_answered_as_before_and_stored_once(ask: Ask) -> None:
    """Row 2: killed after the commit and before the ACK; the resend gets AA again, and there is one order."""
    first = ask(order(control="C1"))
    later = order(control="C1").replace("20260302100000", "20260302100500", 1)  # MSH-7 is of the resend
    assert ask(later) == first
    assert Message.objects.get().seen == 2
    assert Order.objects.count() == 1


def test_another_body_under_a_known_control_id_is_applied_and_becomes_an_item(ask: Ask) -> None:
    """Row 3: both kept; a conflict item."""
    ask(order(control="C1", placer="P1"))
    assert ask(order(control="C1", placer="P2"))[1] == "MSA|AA|C1"
    assert Message.objects.count() == 2
    assert Order.objects.count() == 2
    item = Item.objects.get()
    assert item.kind == "two messages with one number"
    assert item.message == Message.objects.latest("id").pk


def test_a_message_refused_at_first_is_read_anew_when_it_is_sent_again(ask: Ask) -> None:
    change = order(control="C1", action="XO")
    assert ask(change)[1].startswith("MSA|AE|C1|")
    ask(order(control="C2"))
    assert ask(change)[1] == "MSA|AA|C1"
    message = Message.objects.get(control_id="C1")
    assert (message.state, message.ack, message.seen) == ("applied", "AA", 2)
    assert not Item.objects.filter(closed_at=None).exists()


def test_an_unknown_pair_of_order_control_and_status_is_refused_at_its_place(ask: Ask) -> None:
    """Row 16: AE with ERR-3 103 at ORC^1^1, and an item."""
    segments = ask(order(control="C1", action="NW", status="CM"))
    assert segments[1].startswith("MSA|AE|C1|")
    error = segments[2].split("|")
    assert error[0] == "ERR"
    assert (error[2], error[3]) == ("ORC^1^1", "103^Table value not found^HL70357")
    assert "NW" in error[8]
    assert Item.objects.get().control_id == "C1"
    assert Message.objects.get().state == "refused"


def test_a_cancel_after_the_start_is_refused_and_the_exam_goes_on(ask: Ask) -> None:
    """Row 17: AE, an item; the exam goes on."""
    ask(order(control="C1"))
    exam = Exam.objects.get()
    begin(exam)
    assert ask(order(control="C2", action="CA"))[1].startswith("MSA|AE|C2|")
    item = Item.objects.get()
    assert (item.kind, item.accession) == ("cancelled after it began", exam.accession)
    exam.refresh_from_db()
    assert exam.cancelled_at is None


def test_of_an_order_with_several_exams_the_one_that_is_named_is_held_or_cancelled(ask: Ask) -> None:
    """Row 17: the other one has begun, and goes on."""
    chest, hand = "XRCHEST2^Chest 2 views^L", "XRHAND^Hand^L"
    ask(order(extra=f"OBR|2|P1^EHR||{hand}"))
    begun, other = Exam.objects.order_by("sequence")
    begin(begun)
    assert ask(order(action="HD").replace(chest, hand))[1].startswith("MSA|AA")
    assert ask(order(action="CA").replace(chest, hand))[1].startswith("MSA|AA")
    assert [e.triage for e in Exam.objects.order_by("sequence")] == ["waiting", "cancelled"]
    assert (Order.objects.get().state, other.order_id) == ("active", begun.order_id)
    assert ask(order(action="CA"))[1].startswith("MSA|AE")
    StepExam.objects.update(voided=True)
    assert ask(order(action="CA"))[1].startswith("MSA|AA")
    assert Order.objects.get().state == "cancelled"


def test_steps_that_share_an_accession_number_are_cancelled_by_their_own_ids(ask: Ask) -> None:
    """Row 15: one exam for each IPC. That another order's step has the same ID changes nothing."""
    steps = [f"IPC|AC1|RP1|1.2.3|SPS{n}|DX" for n in (1, 2)]
    ask(order(placer="P0", extra="IPC|AC0|RP0|1.2.4|SPS2|DX"))
    ask(order(extra="\r".join(steps)))
    assert ask(order(action="CA", extra=steps[1]))[1].startswith("MSA|AA")
    exams = Exam.objects.filter(order__placer="P1").order_by("sequence")
    assert [e.triage for e in exams] == ["waiting", "cancelled"]
    assert Exam.objects.get(order__placer="P0").cancelled_at is None


@pytest.mark.parametrize(
    ("named", "then", "code"), [("EPC", "", "AA"), ("", "EPC", "AA"), ("EPC", "LAB", "AE")]
)
def test_an_issuer_that_is_named_once_and_left_out_once_is_of_one_order(
    ask: Ask, named: str, then: str, code: str
) -> None:
    ask(order().replace("P1^EHR", f"P1^{named}"))
    assert ask(order(action="CA").replace("P1^EHR", f"P1^{then}"))[1].startswith(f"MSA|{code}")
    assert (Exam.objects.get().cancelled_at is not None) is (code == "AA")


def test_a_number_without_an_issuer_that_two_orders_have_names_neither(ask: Ask) -> None:
    for issuer in ("EPC", "LAB"):
        ask(order().replace("P1^EHR", f"P1^{issuer}"))
    assert ask(order(action="CA").replace("P1^EHR", "P1"))[1].startswith("MSA|AE")
    assert not Exam.objects.exclude(cancelled_at=None).exists()


def test_a_change_after_the_start_is_refused_and_becomes_an_item_of_the_exam(ask: Ask) -> None:
    ask(order(control="C1"))
    exam = Exam.objects.get()
    begin(exam)
    assert ask(order(control="C2", action="XO", start="202603030900"))[1].startswith("MSA|AE|C2|")
    item = Item.objects.get()
    assert (item.kind, item.accession) == ("message could not be applied", exam.accession)
    assert Message.objects.get(control_id="C2").accession == exam.accession


def test_a_link_that_asks_for_replies_is_told_that_the_order_was_not_cancelled(ask: Ask) -> None:
    """Row 17: AA with ORR^O02, ORC-1 UC, where the link asks for application replies."""
    assert ask(order(control="C1", app="HIS"))[2].startswith("ORC|OK|P1^HIS|")
    begin(Exam.objects.get())
    segments = ask(order(control="C2", action="CA", app="HIS"))
    assert "|ORR^O02^ORR_O02|" in segments[0]
    assert segments[1] == "MSA|AA|C2"
    assert segments[2].startswith("ORC|UC|P1^HIS")
    assert Item.objects.filter(kind="cancelled after it began").count() == 1


def test_a_link_that_asks_for_replies_is_told_what_else_was_refused(ask: Ask) -> None:
    segments = ask(order(control="C2", action="XO", app="HIS"))
    assert segments[1].startswith("MSA|AE|C2")
    assert segments[-1].startswith("ORC|UX|P1^HIS")


def test_a_cancel_in_time_cancels(ask: Ask) -> None:
    ask(order(control="C1"))
    assert ask(order(control="C2", action="CA"))[1] == "MSA|AA|C2"
    assert Order.objects.get().state == "cancelled"


def test_a_cancel_by_filler_number_after_the_start_names_the_exam(ask: Ask) -> None:
    ask(order(control="C1").replace("|P1^EHR|||", "|P1^EHR|F1||"))
    begin(Exam.objects.get())
    ask(order(control="C2", action="CA").replace("|P1^EHR|||", "||F1||").replace("|P1^EHR|", "|||"))
    assert Item.objects.get().accession == Exam.objects.get().accession


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("", "iso8859-1"),
        ("UNICODE UTF-8", "iso8859-1"),
        ("8859/1", "iso8859-1"),
        ("8859/1", "utf-8"),
        ("", "utf-8"),
    ],
)
def test_a_name_is_read_right_whatever_is_said_of_the_character_set(
    ask: Ask, charset: str, encoding: str
) -> None:
    """Row 13: MSH-18 says Latin-1, lies, or is absent; the raw bytes are kept."""
    raw = order(control="C1", name="Prüfer^Ñandú", charset=charset).encode(encoding)
    assert ask(raw)[1] == "MSA|AA|C1"
    patient = Patient.objects.get()
    assert (patient.family, patient.given) == ("Prüfer", "Ñandú")
    assert bytes(Message.objects.get().raw) == raw


def test_several_obr_are_one_exam_each(ask: Ask) -> None:
    """Row 15."""
    ask(order(control="C1", extra="OBR|2|P1^EHR||XRKNEE2^Knee 2 views^L|||||||||||^^^^LT"))
    assert [(e.procedure_code, e.laterality) for e in Exam.objects.order_by("sequence")] == [
        ("XRCHEST2", ""),
        ("XRKNEE2", "L"),
    ]


@pytest.mark.parametrize(
    ("start", "moment"),
    [
        ("202603021030", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
        ("202603021030+0100", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_of_the_sites_zone(ask: Ask, start: str, moment: datetime) -> None:
    """Row 22: no offset, or a foreign one; the site's zone applied, the original kept."""
    ask(order(control="C1", start=start))
    assert Exam.objects.get().requested_at == moment
    assert start.encode() in bytes(Message.objects.get().raw)


def test_an_inpatient_is_admitted_moves_and_leaves(ask: Ask) -> None:
    assert ask(adt("A01", control="C1"))[1] == "MSA|AA|C1"
    visit = Visit.objects.get()
    assert (visit.ward, visit.bed, visit.state) == ("W3", "12-B", "active")
    ask(adt("A02", pv1="PV1|1|I|W4^2^A|||||||||||||||||VN1"))
    ask(adt("A03", pv1="PV1|1|I|W4^2^A|||||||||||||||||VN1"))
    visit.refresh_from_db()
    assert (visit.ward, visit.state) == ("W4", "ended")
    assert Message.objects.filter(state="applied", patient=visit.patient_id).count() == 3


def test_an_event_without_meaning_here_is_kept_and_acknowledged(ask: Ask) -> None:
    assert ask(adt("A25", control="C1"))[1] == "MSA|AA|C1"
    assert Message.objects.get().state == "kept, nothing to do"
    assert not Item.objects.exists()


def test_a_deletion_waits_for_a_person(ask: Ask) -> None:
    assert ask(adt("A29", control="C1"))[1] == "MSA|AA|C1"
    assert "delete" in Item.objects.get().text


@pytest.mark.parametrize(
    ("type_", "condition"),
    [("ORU^W01", "200"), ("DFT^P03", "200"), ("", "200"), ("ADT^A99", "201"), ("SIU^S99", "201")],
)
def test_a_type_that_is_not_taken_is_kept_and_refused(ask: Ask, type_: str, condition: str) -> None:
    segments = ask(header(type_, "C1") + "\rPID|1||N1\r")
    assert segments[1].startswith("MSA|AR|C1|")
    assert segments[2].split("|")[3].startswith(condition)
    assert Message.objects.get().state == "refused"
    assert Item.objects.count() == 1


def test_an_answer_is_never_answered(ask: Ask) -> None:
    assert ask(header("ACK", "C1") + "\rMSA|AA|X1\r") == []
    assert Message.objects.get().state == "kept, nothing to do"


def test_a_message_without_a_control_id_is_refused(ask: Ask) -> None:
    message = order(control="C1").replace("|C1|", "||", 1)
    assert ask(message)[2].split("|")[2:4] == ["MSH^1^10", "101^Required field missing^HL70357"]
    assert Item.objects.count() == 1


def test_a_patients_number_too_long_to_be_kept_is_told_as_that(ask: Ask) -> None:
    refused = ask(order(control="C1", patient="9" * 400))
    assert refused[1].startswith("MSA|AE|C1")
    assert refused[2].split("|")[2] == "PID^1^3"
    assert "its patient has a number of more than 64 characters" in Item.objects.get().text
    assert "has a number of more than 64" in ask(adt("A08", control="C2", patient="9" * 400))[2]


def test_a_control_id_too_long_to_be_kept_is_refused(ask: Ask) -> None:
    assert ask(order(control="C" * 300))[2].split("|")[2] == "MSH^1^10"


def test_a_stranger_is_refused_and_his_message_kept_until_the_link_is_there(ask: Ask, site: Site) -> None:
    assert ask(order(control="C1", app="LAB"))[2].split("|")[2:4] == [
        "MSH^1^3",
        "204^Unknown key identifier^HL70357",
    ]
    message = Message.objects.get()
    assert (message.link, message.state) == ("", "refused")
    with_lab = plan_with(EHR, replace(EHR, name="LAB", sending_application="LAB"))
    site.plan = with_lab
    site.save()
    replay(message_id=message.pk, at=AT, by="user:c")
    assert Exam.objects.count() == 1
    assert Item.objects.get().closed_by == "user:c"


def test_who_does_not_say_who_sends_is_told_so(ask: Ask) -> None:
    ask(order(control="C1", app="").replace("|HOSP|", "||", 1))
    assert "MSH-3 and MSH-4 are empty" in Message.objects.get().why


def test_bytes_that_are_no_message_are_kept_and_refused(ask: Ask) -> None:
    assert ask("hello")[1].startswith("MSA|AR||")
    assert "no MSH" in Item.objects.get().text
    assert bytes(Message.objects.get().raw) == b"hello"
    with pytest.raises(NotReplayable):
        _applied_again(Message.objects.get())


def _applied_again(message: Message) -> None:
    replay(message_id=message.pk, at=AT, by="user:c")
    assert Item.objects.get().closed_at is None
    raise NotReplayable


def test_a_message_for_nobody_is_refused(db: None) -> None:
    segments = Receiver().receive(order(control="C1").encode(), peer=Peer(), at=AT)[0].decode().split("\r")
    assert segments[1].startswith("MSA|AR|C1|")
    assert not Message.objects.exists()


def test_a_stranger_among_several_sites_is_kept_where_he_names_the_receiver(ask: Ask, site: Site) -> None:
    other = make_site("U")
    other.plan = plan_with(replace(EHR, receiving_application="OTHER"))
    other.save()
    ask(order(control="C1", app="LAB"))
    assert Message.objects.get().site == site
    ask(order(control="C2", app="LAB").replace("XRAYDESK", "OTHER"))
    assert Message.objects.get(control_id="C2").site == other
    assert ask(order(control="C3", app="LAB").replace("XRAYDESK", "NOBODY"))[1].startswith("MSA|AR")
    assert not Message.objects.filter(control_id="C3").exists()


def test_an_unexpected_failure_keeps_the_message_and_acknowledges_it(site: Site) -> None:
    def broken(**asked: Any) -> Any:
        with transaction.atomic():
            Patient.objects.create(site=site, created_at=AT)
            raise KeyError("Prüfer")

    raw = order(control="C1").encode()
    answer = Receiver(Steps(order=broken)).receive(raw, peer=Peer(), at=AT)[0]
    assert b"MSA|AA|C1" in answer
    assert not Patient.objects.exists()
    item = Item.objects.get()
    assert "KeyError" in item.text
    assert "Prüfer" not in item.text
    message = Message.objects.get()
    assert message.state == "waiting for a person"
    replay(message_id=message.pk, at=AT, by="user:c")
    message.refresh_from_db()
    assert (message.state, message.replayed_at) == ("applied", AT)
    item.refresh_from_db()
    assert (item.closed_by, item.closed_how) == ("user:c", "replayed")


def test_only_what_came_in_and_was_not_applied_can_be_replayed(ask: Ask) -> None:
    ask(order(control="C1"))
    message = Message.objects.get()
    with pytest.raises(NotReplayable):
        replay(message_id=message.pk, at=AT, by="user:c")
    Message.objects.update(direction="out", state="sent")
    with pytest.raises(NotReplayable):
        replay(message_id=message.pk, at=AT, by="user:c")
    with pytest.raises(UnknownMessage):
        replay(message_id=0, at=AT, by="user:c")


def test_one_order_of_several_that_is_refused_undoes_them_all(ask: Ask) -> None:
    both = order(control="C1") + "ORC|XO|P2^EHR\rOBR|1|P2^EHR||XRCHEST2\r"
    assert ask(both)[1].startswith("MSA|AE|C1|")
    assert not Order.objects.exists()
    assert not Patient.objects.exists()


def test_a_batch_is_answered_as_a_batch_and_a_resend_of_it_is_recognised(ask: Ask) -> None:
    batch = (
        "FHS|^~\\&|EHR|HOSP|XRAYDESK|XRAY\rBHS|^~\\&|EHR|HOSP|XRAYDESK|XRAY\r"
        + order(control="C1")
        + order(control="C2", placer="P2")
        + "BTS|2\rFTS|1\r"
    )
    segments = ask(batch)
    assert segments[0] == "FHS|^~\\&|XRAYDESK|XRAY|EHR|HOSP"
    assert [s for s in segments if s.startswith("MSA")] == ["MSA|AA|C1", "MSA|AA|C2"]
    assert segments[-2:] == ["BTS|2", "FTS|1"]
    assert ask(batch) == segments
    assert Order.objects.count() == 2


def test_a_batch_that_came_in_part_is_taken_as_far_as_it_came_and_a_person_is_told_once(ask: Ask) -> None:
    """What its sender counted and what came differ: nothing that came is lost, and somebody asks for the rest."""
    batch = "BHS|^~\\&|EHR|HOSP|||||||B1\r" + order(control="B1") + "BTS|3\r"
    for _ in range(2):
        segments = ask(batch)
        assert [s[:6] for s in segments if s[:3] in ("BHS", "MSA", "BTS")] == ["BHS|^~", "MSA|AA", "BTS|1|"]
        assert "3 messages, and 1 came" in segments[-1]
    (item,) = Item.objects.filter(closed_at=None)
    assert "3 messages, and 1 came" in item.text
    assert Order.objects.count() == 1


def test_two_messages_in_one_frame_are_answered_one_by_one(ask: Ask) -> None:
    segments = ask(order(control="C1") + order(control="C2", placer="P2"))
    assert [s for s in segments if s.startswith("MSA")] == ["MSA|AA|C1", "MSA|AA|C2"]


@pytest.mark.parametrize(
    ("accept", "application", "codes"),
    [
        ("AL", "NE", ["CA"]),
        ("AL", "AL", ["CA", "AA"]),
        ("NE", "AL", ["AA"]),
        ("NE", "NE", []),
        ("SU", "ER", ["CA"]),
        ("ER", "", []),
    ],
)
def test_the_enhanced_mode_answers_as_it_is_asked(
    ask: Ask, accept: str, application: str, codes: list[str]
) -> None:
    message = order(control="C1", accept=accept, application=application)
    first = ask(message)
    assert [s.split("|")[1] for s in first if s.startswith("MSA")] == codes
    assert ask(message) == first


def test_a_sender_in_clear_from_elsewhere_needs_its_link_to_allow_it(ask: Ask, site: Site) -> None:
    """Row 59: in clear only from an address that the link names, with `insecure = true`."""
    assert ask(order(control="C1"), Peer("10.0.0.9"))[1].startswith("MSA|AR")
    assert ask(order(control="C2"), Peer("10.0.0.9", encrypted=True))[1] == "MSA|AA|C2"
    site.plan = plan_with(replace(EHR, insecure=True, peers=("10.0.0.9",)))
    site.save()
    receiver = Receiver()
    answer = receiver.receive(order(control="C3").encode(), peer=Peer("10.0.0.9"), at=AT)[0]
    assert b"MSA|AA|C3" in answer


def test_messages_are_listed_and_shown_as_the_contract_says(ask: Ask, site: Site) -> None:
    ask(order(control="C1"))
    ask(order(control="C2", placer="P2"))
    assert [m.control_id for m in list_messages(site=site)] == ["C2", "C1"]
    assert [m.control_id for m in list_messages(site=site, direction="in", control_id="C1")] == ["C1"]
    assert not list_messages(site=site, direction="out")
    assert len(list_messages(site=site, limit=1)) == 1
    shown = as_json(get_message(site=site, message_id=Message.objects.latest("id").pk), whole=True)
    assert {"id", "direction", "link", "control_id", "type", "at", "state", "ack"} <= set(shown)
    assert (shown["direction"], shown["link"], shown["type"], shown["ack"]) == ("in", "EHR", "ORM^O01", "AA")
    assert shown["raw"].startswith("MSH|")
    assert shown["read"][0]["orders"][0]["placer"] == "P2"
    with pytest.raises(UnknownMessage):
        get_message(site=make_site("U"), message_id=Message.objects.latest("id").pk)


def test_bytes_that_cannot_be_read_are_shown_all_the_same(ask: Ask, site: Site) -> None:
    ask(b"\xff\xfe no message")
    shown = as_json(Message.objects.get(), whole=True)
    assert shown["read"] == []
    assert "no message" in shown["raw"]


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (errors.IncompleteOrder, "ORC^1"),
        (errors.NoPatientNumber, "PID^1^3"),
        (errors.UnknownOrder, "ORC^1^2"),
        (errors.PatientConflict, "PID^1^3"),
        (errors.WrongState, "ORC^1^1"),
        (errors.AlreadyStarted, "ORC^1^1"),
    ],
)
def test_what_a_step_refuses_is_an_error_with_its_place_and_an_item(
    site: Site, error: type[errors.Refused], where: str
) -> None:
    def refuse(**asked: Any) -> Any:
        raise error("This cannot be done.")

    receiver = Receiver(Steps(order=refuse, patient=refuse))
    for number, message in enumerate((order(), adt("A08"))):
        answer = receiver.receive(message.encode(), peer=Peer(), at=AT)[0].decode().split("\r")
        assert answer[1].startswith("MSA|AE|")
        assert answer[2].split("|")[2] == where
        assert Item.objects.count() == number + 1
    assert set(Item.objects.values_list("text", flat=True)) == {"This cannot be done."}


def test_a_number_that_is_asked_for_is_given_and_asked_again_it_is_the_same(ask: Ask) -> None:
    answer = ask(order(control="C1", action="SN"))
    assert "|ORR^O02^ORR_O02|" in answer[0]
    assert answer[1] == "MSA|AA|C1"
    number = answer[2].split("|")[3]
    assert answer[2] == f"ORC|NA|P1^EHR|{number}"
    assert ask(order(control="C2", action="SN"))[2] == answer[2]
    assert ask(order(control="C3", placer="P2", action="SN"))[2] != answer[2]
    assert not Order.objects.exists()
    ask(order(control="C4").replace("ORC|NW|P1^EHR||", f"ORC|NW|P1^EHR|{number}|", 1))
    assert Exam.objects.get().filler == number
    assert ask(order(control="C5", action="SN"))[2] == answer[2]
    imaging = ask(order(control="C6", placer="P3", action="SN", type_="OMI^O23^OMI_O23"))
    assert "|ORI^O24^ORI_O24|" in imaging[0]


def test_a_number_for_no_order_is_refused_and_one_beside_other_wishes_too(ask: Ask) -> None:
    nameless = order(control="C1", action="SN").replace("|P1^EHR|", "||")
    assert ask(nameless)[1].startswith("MSA|AE|C1|")
    mixed = order(control="C2", action="SN", extra="ORC|NW|P2^EHR\rOBR|1|P2^EHR||XRCHEST2")
    assert ask(mixed)[2].split("|")[3].startswith("103^")


def test_a_number_for_an_order_of_ours_waits_for_a_person(ask: Ask) -> None:
    assert ask(order(control="C1", action="NA"))[1] == "MSA|AA|C1"
    assert "keep the number they have" in Item.objects.get().text


def test_a_replay_finds_a_message_that_no_link_brings_any_more(ask: Ask, site: Site) -> None:
    ask(adt("A24", control="C1"))
    site.plan = plan_with(replace(EHR, sending_application="ELSEWHERE"))
    site.save()
    assert replay(message_id=Message.objects.get().pk, at=AT, by="user:c").why.startswith("No link")


def test_the_same_broken_bytes_are_kept_once_and_others_by_themselves(ask: Ask, receiver: Receiver) -> None:
    for payload in (b"noise", b"noise", b"other noise"):
        broken = Broken(Fault.NO_START, payload, answered=False)
        assert receiver.receive_broken(broken, peer=Peer("10.0.0.9"), at=AT) == ()
    assert sorted(Message.objects.values_list("seen", flat=True)) == [1, 2]
    assert Item.objects.count() == 1


def test_broken_bytes_for_no_site_are_refused_all_the_same(db: None) -> None:
    broken = Broken(Fault.NOT_ENDED, b"MSH|^~\\&|A|||||||C1")
    (answer,) = Receiver().receive_broken(broken, peer=Peer(), at=AT)
    assert b"MSA|AR|C1" in answer


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", False),
        ("10.0.0.9", False),
        ("localhost", True),
        ("", False),
    ],
)
def test_an_address_of_this_machine_is_told_from_others(address: str, answer: bool) -> None:
    assert is_loopback(address) is answer


def test_of_two_links_with_one_sender_the_one_with_the_receiver_named_is_meant(ask: Ask, site: Site) -> None:
    other = replace(EHR, name="OTHER", receiving_application="PACS")
    site.plan = plan_with(other, EHR)
    site.save()
    ask(order(control="C1"))
    assert Message.objects.get().link == "EHR"
    ask(order(control="C2", placer="P2").replace("XRAYDESK", "NOBODY"))
    assert Message.objects.get(control_id="C2").link == "OTHER"


@pytest.mark.parametrize(
    ("peer", "address", "welcome"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.2.3", False),
        ("fd00::/8", "10.1.2.3", False),
        ("engine.example", "10.1.2.3", False),
    ],
)
def test_peers_in_clear_are_addresses_or_networks(peer: str, address: str, welcome: bool) -> None:
    """Row 59."""
    link = LinkPlan("L", "orders", "EHR", "HOSP", insecure=True, peers=(peer,))
    assert may_send(link, address, encrypted=False) is welcome


def test_a_new_order_is_asked_about_in_one_round_trip_and_written_in_another(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked ahead is what the steps ask: a question that is put otherwise there would be asked a second time."""
    trips: list[int] = []
    real = prepared._ask

    def counted(questions: list[prepared.Question], **how: bool) -> Any:
        trips.append(len(questions))
        return real(questions, **how)

    monkeypatch.setattr(prepared, "_ask", counted)
    assert ask(order(control="C1"))[1] == "MSA|AA|C1"
    assert trips == [7, 1]
    trips.clear()
    assert ask(order(control="C2", placer="P2", extra="ZDS|1.2.3^EHR^Application^DICOM"))[1] == "MSA|AA|C2"
    assert trips == [8, 1, 1], (
        "the row of a patient who is known is read once the number is known to be theirs"
    )
    assert Exam.objects.filter(patient=Patient.objects.get()).count() == 2


def test_an_order_that_a_quick_try_cannot_take_is_taken_with_care(site: Site) -> None:
    """What a step left before it failed is undone; the message is kept, answered, and put before a person."""

    def fails(**said: Any) -> Any:
        with prepared.step():
            receive_order(**said)
            raise ZeroDivisionError

    answer = Receiver(Steps(order=fails)).receive(order(control="C1").encode(), peer=Peer(), at=AT)
    assert b"MSA|AA|C1" in answer[0]
    assert Item.objects.get().message == Message.objects.get().pk
    assert not Order.objects.exists()
    assert not Patient.objects.exists()


def test_an_order_that_cannot_even_be_read_by_a_fault_of_ours_is_kept_and_put_before_a_person(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(message: object, *, zone: str) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(hl7_apply, "read_requisitions", fails)
    assert ask(order(control="C1"))[1] == "MSA|AA|C1"
    assert Item.objects.get().message == Message.objects.get().pk
