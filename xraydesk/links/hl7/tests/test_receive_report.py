"""What becomes of a result message: the report of an exam, an item, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.factories import AT, make_patient, plan_with
from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.links.hl7.receive import Receiver
from xraydesk.links.hl7.tests.conftest import EHR, Listening
from xraydesk.links.hl7.tests.sent import adt, answers, code, framed, obr, order, result
from xraydesk.links.hl7.tests.test_report import document
from xraydesk.links.messages import apply_waiting, replay
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.reactions.run import react_to
from xraydesk.results.models import Document, Report, ReportVersion

Ask = Callable[..., list[str]]
RIS = replace(EHR, name="RIS", kind="results", sending_application="RIS")


@pytest.fixture
def ris(site: Site) -> Site:
    site.plan = plan_with(EHR, RIS)
    site.save()
    return site


@pytest.mark.django_db
@pytest.mark.parametrize("app", ["EHR", "RIS"])
def test_a_report_is_kept_with_its_exam_and_gets_aa(ris: Site, ask: Ask, app: str) -> None:
    ask(order(placer="P1"))
    exam = Exam.objects.get()
    segments = ask(result(control="R1", accession=exam.accession, app=app))
    assert segments[1] == "MSA|AA|R1"
    report = Report.objects.get()
    assert (report.exam, report.state, report.text) == (exam, "final", "No acute finding.")
    message = Message.objects.latest("id")
    assert (message.state, message.accession, message.patient) == ("applied", exam.accession, exam.patient_id)
    assert not Item.objects.exists()


@pytest.mark.django_db
def test_a_document_is_kept_as_the_report_with_its_pdf_beside_it(ris: Site, ask: Ask) -> None:
    ask(order(placer="P1"))
    exam = Exam.objects.get()
    pdf = "OBX|2|ED|PDF^Report||^application^pdf^Base64^JVBERi0xLjQgeA==||||||F"
    sent = document("OBX|1|TX|GDT||Clear.||||||F", pdf, number=exam.accession)
    assert ask(sent)[1] == "MSA|AA|D1"
    report = Report.objects.get(exam=exam)
    assert (report.state, report.text.partition("\n")[0]) == ("final", "Clear.")
    kept = Document.objects.get(exam=exam)
    assert (bytes(kept.content), kept.title, kept.state) == (b"%PDF-1.4 x", "Report", "kept")


@pytest.mark.django_db
def test_a_resend_and_the_same_report_again_leave_one_version(ask: Ask) -> None:
    ask(order())
    for control in ("R1", "R1", "R2"):
        assert ask(result(control=control))[1] == f"MSA|AA|{control}"
    assert ReportVersion.objects.count() == 1
    states = Message.objects.filter(type="ORU^R01").order_by("id").values_list("state", "seen")
    assert list(states) == [("applied", 2), ("kept, nothing to do", 1)]


@pytest.mark.django_db
def test_a_report_that_is_under_way_is_kept_and_changes_nothing(ask: Ask) -> None:
    ask(order())
    assert ask(result(control="R1", status="I"))[1] == "MSA|AA|R1"
    assert Message.objects.latest("id").state == "kept, nothing to do"
    assert not Report.objects.exists()


@pytest.mark.django_db
def test_a_report_that_comes_before_its_order_waits_and_is_applied_by_a_replay(ask: Ask) -> None:
    assert ask(result(control="R1"))[1] == "MSA|AA|R1"
    message, item = Message.objects.get(), Item.objects.get()
    assert (message.state, item.kind, item.message) == (
        "waiting for a person",
        ItemKind.REPORT_WITHOUT_EXAM,
        message.pk,
    )
    again = replay(message_id=message.pk, at=AT, by="user:c")
    assert again.state == "waiting for a person"
    assert Item.objects.get().closed_at is None
    ask(order())
    assert replay(message_id=message.pk, at=AT, by="user:c").state == "applied"
    item = Item.objects.get()
    assert (item.closed_by, item.closed_how) == ("user:c", "replayed")
    assert Report.objects.get().exam == Exam.objects.get()


@pytest.mark.django_db
def test_a_report_that_came_before_its_order_is_applied_when_the_order_comes(ask: Ask) -> None:
    ask(result(control="R1", placer="P1"))
    ask(result(control="R2", placer="P2"))
    ask(order(placer="P1"))
    fact = Fact.objects.get(kind=FactKind.ORDER_RECEIVED)
    for _ in range(2):
        react_to(fact_id=fact.pk)
    assert Report.objects.get().exam == Exam.objects.get()
    assert ReportVersion.objects.count() == 1
    ended, waits = Item.objects.filter(kind=ItemKind.REPORT_WITHOUT_EXAM).order_by("id")
    assert (ended.closed_by, ended.closed_how) == ("rule", "replayed")
    assert waits.closed_at is None
    assert waits.data == {"numbers": ["P2"]}


@pytest.mark.django_db
def test_without_a_number_nothing_that_waits_is_tried(site: Site, ask: Ask) -> None:
    ask(result())
    assert apply_waiting(site=site, numbers=("", ""), at=AT) == 0
    assert apply_waiting(site=site, numbers=("P1",), at=AT) == 0
    Message.objects.update(state="applied")
    assert apply_waiting(site=site, numbers=("P1",), at=AT) == 0


@pytest.mark.django_db
def test_a_report_of_another_patient_is_refused_and_put_before_a_person(site: Site, ask: Ask) -> None:
    ask(order(patient="N1"))
    make_patient(site, number="N2")
    segments = ask(result(control="R1", patient="N2"))
    assert segments[1].startswith("MSA|AE|R1|")
    assert segments[2].split("|")[2] == "PID^1^3"
    assert not Report.objects.exists()
    item = Item.objects.get()
    assert item.kind == ItemKind.MESSAGE_NOT_APPLIED
    assert "another patient" in item.text
    for private in ("N1", "N2", "Prüfer"):
        assert private not in item.text


@pytest.mark.django_db
def test_several_exams_of_a_message_are_all_read_or_none(ask: Ask) -> None:
    ask(order(placer="P1"))
    ask(order(placer="P2"))
    second = ("OBX|1|TX|GDT||Both clear.||||||F", obr(placer="P2"))
    ask(result(placer="P1", values=(*second[:1], obr(placer="P3"))))
    assert not Report.objects.exists()
    ask(result(placer="P1", values=second))
    assert list(Report.objects.values_list("text", flat=True)) == ["Both clear."] * 2


@pytest.mark.django_db
@pytest.mark.parametrize("message", [order(app="RIS"), adt("A08").replace("|EHR|", "|RIS|")])
def test_a_link_of_results_brings_nothing_else(ris: Site, ask: Ask, message: str) -> None:
    segments = ask(message)
    assert segments[1].startswith("MSA|AR|")
    assert "the site file says that RIS sends results" in segments[1]
    assert Message.objects.get().link == "RIS"
    assert not Exam.objects.exists()


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_a_report_comes_over_a_socket_and_the_exam_is_read(
    ris: Site, listen: Callable[..., Listening]
) -> None:
    connection = listen(Receiver()).connect()
    connection.sendall(framed(order(control="C1")))
    assert code(answers(connection)[0]) == ("AA", "C1")
    pages = ("OBX|1|ED|PDF^Report^L||^application^pdf^Base64^" + "QUJD" * 50_000 + "||||||F",)
    connection.sendall(framed(result(control="R1", app="RIS", text="", values=pages)))
    assert code(answers(connection)[0]) == ("AA", "R1")
    assert Report.objects.get().text.startswith("Kept with the message: application/pdf “Report”, mark ")
