"""A report comes, is corrected, taken back; it is kept with the exam and the patient it is of, or not at all."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from tests.factories import AT, load_demo_site, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey import exam_view
from xraydesk.journey.errors import PatientConflict, UnknownExam
from xraydesk.journey.report import ReceivedReport, receive_report, receive_reports
from xraydesk.journey.stage import Stage
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.results.models import Finding, Report, ReportVersion
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.rules import Outcome
from xraydesk.results.states import Category, ReportAction, ReportState

pytestmark = pytest.mark.django_db
P, F, C, X = (ReportAction.PRELIMINARY, ReportAction.FINAL, ReportAction.CORRECT, ReportAction.CANCEL)


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def exam(site: Site) -> Exam:
    return make_exam(site, patient=make_patient(site, number="N1"))


def said(exam: Exam, action: ReportAction = F, text: str = "Clear lungs.", **more: Any) -> SaidReport:
    return SaidReport(SaidExam(accession=exam.accession), action, text, said_at=AT, **more)


def receive(site: Site, report: SaidReport, minutes: int = 0) -> ReceivedReport:
    return receive_report(
        site=site, report=report, link="RIS", by="link:RIS", at=AT + timedelta(minutes=minutes)
    )


def stage(exam: Exam) -> Stage:
    view = exam_view.find(site=exam.site, accession=exam.accession)
    assert view is not None
    return view.stage


def who(number: str = "N1", **more: Any) -> Demographics:
    return Demographics(identifiers=(Identifier(number, "HOSP", "MR"),), **more)


def test_a_report_goes_from_preliminary_over_final_and_corrected_to_cancelled(site: Site, exam: Exam) -> None:
    before = stage(exam)
    receive(site, said(exam, P, "A nodule?"))
    assert stage(exam) is before
    receive(site, said(exam, F, "No nodule.", radiologist_id="99", radiologist_name="Reader^Rita"), 5)
    assert stage(exam) is Stage.READ
    receive(site, said(exam, C, "A nodule."), 10)
    assert stage(exam) is Stage.READ
    receive(site, said(exam, X, ""), 15)
    assert stage(exam) is before
    report = Report.objects.get()
    assert (report.state, report.version, report.text) == (ReportState.CANCELLED, 4, "")
    assert (report.radiologist_id, report.radiologist_name) == ("99", "Reader^Rita")
    assert report.changed_at == AT + timedelta(minutes=15)
    versions = ReportVersion.objects.order_by("version").values_list("state", "text")
    assert list(versions) == [
        ("preliminary", "A nodule?"),
        ("final", "No nodule."),
        ("corrected", "A nodule."),
        ("cancelled", ""),
    ]
    facts = Fact.objects.filter(kind=FactKind.REPORT_RECEIVED).order_by("id").values_list("data", flat=True)
    assert [f["state"] for f in facts] == ["preliminary", "final", "corrected", "cancelled"]
    assert facts[1] == {"state": "final", "version": 2, "category": None}


def test_a_final_report_with_other_words_after_a_final_one_is_a_correction(site: Site, exam: Exam) -> None:
    receive(site, said(exam, F, "Clear."))
    assert receive(site, said(exam, F, "A nodule."), 1).outcome is Outcome.NEW_VERSION
    assert Report.objects.get().state == ReportState.CORRECTED
    assert Report.objects.get().read_at == AT


def test_the_very_same_report_again_changes_nothing(site: Site, exam: Exam) -> None:
    receive(site, said(exam))
    again = receive(site, said(exam), 5)
    assert again.outcome is Outcome.SAME
    assert again.report == Report.objects.get()
    assert ReportVersion.objects.count() == Fact.objects.filter(kind=FactKind.REPORT_RECEIVED).count() == 1


def test_a_late_preliminary_report_changes_nothing(site: Site, exam: Exam) -> None:
    receive(site, said(exam))
    assert receive(site, said(exam, P, "A nodule?"), 5).outcome is Outcome.LATE
    assert Report.objects.get().text == "Clear lungs."


def test_what_was_never_said_is_not_taken_back(site: Site, exam: Exam) -> None:
    taken_back = receive(site, said(exam, X, ""))
    assert (taken_back.outcome, taken_back.report) == (Outcome.NOTHING, None)
    assert not Report.objects.exists()


def test_a_reader_cannot_have_read_in_the_future(site: Site, exam: Exam) -> None:
    receive(site, replace(said(exam), said_at=AT + timedelta(hours=1)))
    assert Report.objects.get().said_at == Report.objects.get().read_at == AT


def test_a_cancelled_exam_keeps_its_report_and_counts_as_read(site: Site, exam: Exam) -> None:
    Exam.objects.update(triage=TriageState.CANCELLED)
    receive(site, said(exam))
    assert stage(exam) is Stage.READ


def test_an_exam_that_was_read_waits_for_no_place(site: Site, exam: Exam) -> None:
    assert list(exam_view.waiting_for_a_place(site=site)) == [exam]
    receive(site, said(exam, P))
    assert list(exam_view.waiting_for_a_place(site=site)) == [exam]
    receive(site, said(exam))
    assert list(exam_view.waiting_for_a_place(site=site)) == []


@pytest.mark.parametrize(
    "by", ["accession", "filler", "accession as filler", "study", "placer", "any placer"]
)
def test_any_of_its_numbers_finds_the_exam(site: Site, exam: Exam, by: str) -> None:
    Exam.objects.update(filler="F1")
    numbers = {
        "accession": SaidExam(accession=exam.accession),
        "filler": SaidExam(filler="F1"),
        "accession as filler": SaidExam(filler=exam.accession),
        "study": SaidExam(study_instance_uid=exam.study_instance_uid, filler="of the reporting system"),
        "placer": SaidExam(placer=exam.order.placer, placer_authority="EHR"),
        "any placer": SaidExam(placer=exam.order.placer),
    }
    assert receive(site, replace(said(exam), exam=numbers[by])).exam == exam


@pytest.mark.parametrize(
    "numbers",
    [
        {"accession": "A0"},
        {},
        {"placer_authority": "OTHER", "placer": "of the order"},
    ],
)
def test_a_report_without_an_exam_is_kept_nowhere(site: Site, exam: Exam, numbers: dict[str, str]) -> None:
    if "placer" in numbers:
        numbers = numbers | {"placer": exam.order.placer}
    with pytest.raises(UnknownExam, match="no exam here has these numbers"):
        receive(site, replace(said(exam), exam=SaidExam(**numbers)))
    assert not Report.objects.exists()


def test_another_sites_exam_is_no_exam_here(site: Site, exam: Exam) -> None:
    other = make_site("U")
    with pytest.raises(UnknownExam):
        receive(other, said(exam))


def test_numbers_of_two_exams_are_put_before_a_person(site: Site, exam: Exam) -> None:
    other = make_exam(site)
    numbers = SaidExam(accession=exam.accession, study_instance_uid=other.study_instance_uid)
    with pytest.raises(UnknownExam, match="different exams"):
        receive(site, replace(said(exam), exam=numbers))


def test_exams_of_one_order_are_told_apart_by_their_procedure(site: Site, exam: Exam) -> None:
    knee = make_exam(site, patient=exam.patient, code="XRKNEE2")
    Exam.objects.filter(pk=knee.pk).update(order=exam.order, sequence=2)
    order = SaidExam(placer=exam.order.placer, procedure_code="XRKNEE2")
    assert receive(site, replace(said(exam), exam=order)).exam == knee
    with pytest.raises(UnknownExam, match="several exams"):
        receive(site, replace(said(exam), exam=replace(order, procedure_code="")))


@pytest.mark.parametrize(
    "patient",
    [
        None,
        who(),
        who(name=Name("Neumann", "Ada"), birth_date=date(1969, 5, 12)),
        Demographics(identifiers=(Identifier("N1", "", ""),)),
        Demographics(identifiers=(Identifier("V1", "HOSP", "VN"),), name=Name("Prufer", "Ada")),
    ],
)
def test_a_report_of_the_exams_patient_is_kept(site: Site, exam: Exam, patient: Demographics | None) -> None:
    assert receive(site, said(exam, patient=patient)).outcome is Outcome.NEW_VERSION


@pytest.mark.parametrize(
    "patient",
    [
        who("N2"),
        who("N9"),
        Demographics(identifiers=(Identifier("N1", "HOSP", "MR"), Identifier("N2", "HOSP", "MR"))),
        who(name=Name("Neumann", "Nora"), birth_date=date(2001, 1, 1)),
        Demographics(identifiers=(Identifier("V1", "HOSP", "VN"),), name=Name("Neumann", "Nora")),
    ],
)
def test_a_report_of_another_patient_is_kept_nowhere(site: Site, exam: Exam, patient: Demographics) -> None:
    make_patient(site, number="N2")
    with pytest.raises(PatientConflict, match="another patient"):
        receive(site, said(exam, patient=patient))
    assert not Report.objects.exists()


def test_a_merged_record_is_the_one_that_stays(site: Site, exam: Exam) -> None:
    stays = make_patient(site, number="N2")
    exam.patient.merged_into = stays
    exam.patient.save()
    for number, action in (("N1", P), ("N2", F)):
        assert receive(site, said(exam, action, patient=who(number))).outcome is Outcome.NEW_VERSION


def test_reports_that_come_together_are_all_kept_or_none(site: Site, exam: Exam) -> None:
    other = make_exam(site, patient=exam.patient)
    both = [said(exam), said(other)]
    lost = replace(said(exam), exam=SaidExam(accession="A0"))
    with pytest.raises(UnknownExam):
        receive_reports(site=site, reports=[*both, lost], link="RIS", by="link:RIS", at=AT)
    assert not Report.objects.exists()
    receive_reports(site=site, reports=both, link="RIS", by="link:RIS", at=AT)
    assert Report.objects.count() == 2


def test_a_flag_is_told_once_where_two_exams_share_a_report() -> None:
    site = load_demo_site()
    first = make_exam(site, code="XRCHEST2")
    second = make_exam(site, patient=first.patient, code="XRCHEST2")
    receive_reports(
        site=site,
        reports=[
            said(first, text="Tension pneumothorax.", category=Category.MINUTES),
            said(second, text="Tension pneumothorax.", shares=True),
        ],
        link="RIS",
        by="link:RIS",
        at=AT,
    )
    assert Finding.objects.get().exam == first
    assert Report.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_report_over_many_connections_at_once_is_one_version() -> None:
    site = make_site()
    exam, other = make_exam(site), make_exam(site)
    together = Barrier(8)
    both = [said(exam), said(other)]

    def send(number: int) -> list[Outcome]:
        try:
            together.wait(10)
            reports = both if number % 2 else both[::-1]
            found = receive_reports(site=site, reports=reports, link="RIS", by="link:RIS", at=AT)
            return [one.outcome for one in found]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        outcomes = Counter(outcome for found in threads.map(send, range(8)) for outcome in found)
    assert outcomes == {Outcome.NEW_VERSION: 2, Outcome.SAME: 14}
    assert ReportVersion.objects.count() == 2
