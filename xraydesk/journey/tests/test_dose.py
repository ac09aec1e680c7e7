"""Dose goes on record once, with its source, for the exam that it belongs to."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_exam, make_site
from xraydesk.dose.models import DoseEventRecord, DoseRecord
from xraydesk.dose.queries import accounts_of_exam, dose_of_exam
from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import Header, StepReport
from xraydesk.journey.dose import assign_dose, record_dose, report_of_header, report_of_step

pytestmark = pytest.mark.django_db


def header(number: int, **fields: float | str) -> Header:
    return Header(f"2.25.{number}", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1", **fields)  # type: ignore[arg-type]


def test_two_image_headers_make_the_dose_of_an_exam() -> None:
    exam = make_exam(make_site())
    for number in (1, 2):
        report = report_of_header(header(number, dap_gym2=2.05e-5, exposure_index=286.8, view_position="PA"))
        record_dose(site_id=exam.site_id, exam=exam, report=report, at=AT, by="modality:XR1")
    dose = dose_of_exam(exam_id=exam.pk)
    assert dose.total_dap_gym2 == pytest.approx(4.1e-5)
    assert [event.view for event in dose.events] == ["PA", "PA"]
    assert Fact.objects.filter(kind="dose recorded", accession=exam.accession).count() == 2


def test_the_same_header_twice_counts_once() -> None:
    exam = make_exam(make_site())
    for _ in range(2):
        record_dose(
            site_id=exam.site_id,
            exam=exam,
            report=report_of_header(header(1, dap_gym2=1e-5)),
            at=AT,
            by="desk",
        )
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == 1e-5
    assert Fact.objects.filter(kind="dose recorded").count() == 1


def test_an_image_that_says_nothing_of_dose_leaves_no_record() -> None:
    exam = make_exam(make_site())
    assert (
        record_dose(site_id=exam.site_id, exam=exam, report=report_of_header(header(1)), at=AT, by="desk")
        is None
    )
    assert not DoseRecord.objects.exists()


def test_dose_of_a_quarantined_object_counts_once_a_person_decides() -> None:
    exam = make_exam(make_site())
    report = report_of_header(header(1, dap_gym2=1e-5))
    record_dose(site_id=exam.site_id, exam=None, report=report, at=AT, by="desk")
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None
    assign_dose(site_id=exam.site_id, sop_instance_uid="2.25.1", exam=exam)
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == 1e-5
    assign_dose(site_id=exam.site_id, sop_instance_uid="2.25.1", exam=None)
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None


def test_an_account_that_comes_again_for_an_exam_finds_its_exam() -> None:
    exam = make_exam(make_site())
    report = report_of_header(header(1, dap_gym2=1e-5))
    record_dose(site_id=exam.site_id, exam=None, report=report, at=AT, by="desk")
    record_dose(site_id=exam.site_id, exam=exam, report=report, at=AT, by="desk")
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == 1e-5


def test_a_step_may_correct_its_dose_until_it_ends() -> None:
    exam = make_exam(make_site())
    for dap_gym2 in (1e-5, 3e-5):
        report = report_of_step(StepReport("2.25.7", dap_gym2=dap_gym2))
        record_dose(site_id=exam.site_id, exam=exam, report=report, at=AT, by="modality:XR1")
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == 3e-5
    assert DoseRecord.objects.count() == 1


def test_every_account_is_kept_with_its_source_the_best_first() -> None:
    exam = make_exam(make_site())
    event = DoseEvent("2.25.81", protocol="CHEST", kvp=(90.0,), mas=0.8, dap_gym2=1.07e-5)
    rdsr = DoseReport(
        DoseSource.REPORT, "2.25.8", manufacturer="ACME", total_dap_gym2=1.07e-5, events=(event, event)
    )
    for report in (report_of_header(header(1, dap_gym2=1e-5)), rdsr):
        record_dose(site_id=exam.site_id, exam=exam, report=report, at=AT, by="desk")
    assert [a.source for a in accounts_of_exam(exam_id=exam.pk)] == [DoseSource.REPORT, DoseSource.HEADER]
    assert accounts_of_exam(exam_id=exam.pk)[0].events == (event,)
    assert DoseEventRecord.objects.filter(record__source=DoseSource.REPORT).count() == 1
