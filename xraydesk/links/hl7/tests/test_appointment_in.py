"""SIU messages of a system that gives appointments itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.cancel import cancel_exam
from xraydesk.journey.triage import hold_exam
from xraydesk.lib.ids import new_uid
from xraydesk.links.hl7.appointment_in import EVENTS, ORDERS_MAX, read_appointments
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.refusals import NeedsPerson, Rejected
from xraydesk.links.hl7.tests.sent import header, order
from xraydesk.links.models import Message
from xraydesk.orders.appointments import AppointmentKind, AppointmentNews, AskedStart, start_for
from xraydesk.orders.models import Exam
from xraydesk.reactions.run import react_to
from xraydesk.scheduling.models import Booking

from tests.factories import AT, make_booking, make_patient  # isort: skip

Ask = Callable[..., list[str]]
PID = "PID|1||N1^^^HOSP^MR||Prüfer^Ada||19690512|F"


def sch(placer: str = "P1^EHR", filler: str = "", timing: str = "") -> str:
    return f"SCH|A1||||||||||{timing}|||||||||||||||{placer}|{filler}"


def ais(start: str = "202603031400", code: str = "XRCHEST2^Chest 2 views^L") -> str:
    return f"AIS|1||{code}|{start}"


def siu(event: str = "S12", *, control: str = "", patient: str = "N1", segments: tuple[str, ...] = ()) -> str:
    lines = [header(f"SIU^{event}^SIU_S12", control), *(segments or (sch(), PID, "RGS|1", ais()))]
    return "\r".join(lines).replace("|N1^", f"|{patient}^") + "\r"


def read(*segments: str, event: str = "S12") -> tuple[AppointmentNews, ...]:
    raw = "\r".join((header(f"SIU^{event}", "C1"), *segments)).encode()
    return read_appointments(read_message(raw), event, "America/New_York")


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_says_what_happened_to_the_order(event: str) -> None:
    (news,) = read(sch(filler="F1"), PID, ais(), event=event)
    assert (news.kind, news.placer, news.placer_authority, news.filler) == (EVENTS[event], "P1", "EHR", "F1")
    assert news.patient.identifiers[0].value == "N1"
    wanted = [datetime(2026, 3, 3, 19, 0, tzinfo=UTC)] if news.kind is AppointmentKind.GIVEN else []
    assert [one.at for one in news.starts] == wanted


def test_an_appointment_without_an_order_is_none_of_ours() -> None:
    assert read(sch(placer=""), PID, ais()) == ()
    assert read(PID, ais()) == ()


def test_one_appointment_may_be_of_several_orders() -> None:
    assert [(n.placer, n.filler) for n in read(sch("P1^EHR~P2^EHR", "~F2"), PID, ais())] == [
        ("P1", ""),
        ("P2", "F2"),
    ]
    many = "~".join(f"P{n}" for n in range(ORDERS_MAX + 1))
    with pytest.raises(Rejected, match="in parts"):
        read(sch(many), PID, ais())


def test_a_time_is_taken_from_wherever_it_is_said() -> None:
    def start(*segments: str) -> str:
        return read(PID, *segments)[0].starts[0].as_sent

    timing = "^^30^20260303150000"
    assert start(sch(timing=timing), ais("")) == "20260303150000"
    assert start(sch(), "TQ1|1||||||202603031600") == "202603031600"
    assert start(sch(), ais("202603031400"), "TQ1|1||||||202603031600") == "202603031400"
    assert start(sch(placer=""), "ORC|SC|P7^EHR", "TQ1|1||||||202603031700") == "202603031700"


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ((sch(), PID), "no time"),
        ((sch(), PID, ais("soon")), "no time"),
        ((sch(), ais()), "PID"),
        ((sch("P" * 65), PID, ais()), "64"),
        ((sch("", "F" * 65), PID, ais()), "64"),
    ],
)
def test_what_the_sender_must_correct_is_refused(segments: tuple[str, ...], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        read(*segments)


def test_a_group_of_patients_is_for_a_person() -> None:
    with pytest.raises(NeedsPerson, match="several patients"):
        read(sch(), PID, PID, ais())


def test_each_exam_begins_when_its_own_code_is_said_to() -> None:
    first, second = AskedStart("A", AT, "1"), AskedStart("B", AT, "2")
    assert [start_for(code, (first, second)) for code in ("B", "C", "")] == [second, first, first]


def _exam() -> Exam:
    return Exam.objects.select_related("order", "patient").get()


@pytest.mark.django_db
def test_a_time_given_elsewhere_becomes_the_time_asked_for_and_frees_the_old_place(
    site: Site, ask: Ask
) -> None:
    ask(order(extra=""))
    exam = _exam()
    old = make_booking(exam)
    assert ask(siu(control="S1"))[1] == "MSA|AA|S1"
    exam = _exam()
    assert exam.requested_at == datetime(2026, 3, 3, 19, 0, tzinfo=UTC)
    assert (exam.priority, exam.procedure_code, exam.order.patient_class) == ("routine", "XRCHEST2", "O")
    old.refresh_from_db()
    assert old.state == "released"
    assert Message.objects.get(control_id="S1").accession == exam.accession
    ask(siu("S14", control="S2"))
    assert Message.objects.get(control_id="S2").state == "kept, nothing to do"
    ask(siu("S13", control="S3", segments=(sch("", exam.accession), PID, ais("202603041000"))))
    assert _exam().requested_at == datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


@pytest.mark.django_db
def test_an_appointment_called_off_frees_the_place_and_holds_the_exam_until_the_next(
    site: Site, ask: Ask
) -> None:
    ask(order())
    make_booking(_exam())
    ask(siu("S15", control="S1"))
    exam = _exam()
    assert (exam.triage, exam.requested_at) == ("held", None)
    assert Booking.objects.get().state == "released"
    assert "called off" in Item.objects.get().text
    ask(siu("S17", control="S2"))
    assert Message.objects.get(control_id="S2").state == "kept, nothing to do"
    ask(siu("S12", control="S3"))
    exam = _exam()
    assert (exam.triage, exam.findings) == ("waiting", [])
    assert exam.requested_at is not None
    ask(siu("S15", control="S4"))
    assert _exam().triage == "held"


@pytest.mark.django_db
def test_what_a_person_holds_stays_held_whatever_time_is_given(site: Site, ask: Ask) -> None:
    ask(order())
    hold_exam(exam_id=_exam().pk, at=AT, by="user:c", why="waits for a creatinine")
    ask(siu())
    assert _exam().triage == "held"


@pytest.mark.django_db
def test_called_off_while_the_patient_is_here_is_for_a_person(site: Site, ask: Ask) -> None:
    ask(order())
    exam = _exam()
    make_booking(exam, start=AT)
    Booking.objects.update(arrived_at=AT)
    assert ask(siu("S15", control="S1"))[1] == "MSA|AA|S1"
    assert Message.objects.get(control_id="S1").state == "waiting for a person"
    assert Booking.objects.get().state == "booked"
    assert "is here" in Item.objects.get().text


@pytest.mark.django_db
def test_who_did_not_come_is_a_no_show_here_too(site: Site, ask: Ask) -> None:
    ask(order())
    assert ask(siu("S26", control="S0"))[1].startswith("MSA|AE|S0|")
    make_booking(_exam(), start=AT - timedelta(hours=1))
    ask(siu("S26", control="S1"))
    assert Booking.objects.get().state == "no-show"
    ask(siu("S26", control="S2"))
    assert Message.objects.get(control_id="S2").state == "kept, nothing to do"


@pytest.mark.django_db
def test_an_appointment_that_came_before_its_order_is_applied_when_the_order_comes(
    site: Site, ask: Ask
) -> None:
    assert ask(siu(control="S1"))[1] == "MSA|AA|S1"
    assert Message.objects.get().state == "waiting for a person"
    ask(order())
    for _ in range(2):
        react_to(fact_id=Fact.objects.get(kind=FactKind.ORDER_RECEIVED).pk)
    assert _exam().requested_at == datetime(2026, 3, 3, 19, 0, tzinfo=UTC)
    assert Message.objects.get(control_id="S1").state == "applied"
    assert not Item.objects.filter(closed_at=None, message__isnull=False).exists()


@pytest.mark.django_db
def test_an_exam_that_began_or_was_cancelled_or_is_another_patients_is_not_given_a_time(
    site: Site, ask: Ask
) -> None:
    ask(order())
    exam = _exam()
    wished = exam.requested_at
    make_patient(site, number="N2")
    assert ask(siu(control="S1", patient="N2"))[1].startswith("MSA|AE|S1|")
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        ae_title="XR1",
        state=StepState.IN_PROGRESS,
        started_at=AT,
        by="modality:XR1",
    )
    link = StepExam.objects.create(step=step, exam=exam)
    assert ask(siu(control="S2"))[1].startswith("MSA|AE|S2|")
    link.delete()
    cancel_exam(exam_id=exam.pk, at=AT, by="user:c", why="not needed")
    assert ask(siu(control="S3"))[1].startswith("MSA|AE|S3|")
    assert _exam().requested_at == wished


@pytest.mark.django_db
def test_appointments_of_others_and_blocked_hours_are_kept_and_nothing_happens(site: Site, ask: Ask) -> None:
    ask(siu("S23", control="S1"))
    ask(siu("S12", control="S2", segments=(sch(""), PID, ais())))
    assert set(Message.objects.values_list("state", flat=True)) == {"kept, nothing to do"}
    assert not Item.objects.exists()
