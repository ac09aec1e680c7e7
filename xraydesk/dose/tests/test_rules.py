"""Which account of a dose counts."""

from __future__ import annotations

import pytest

from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.dose.rules import NO_DOSE, dose_of, total_of


def header(uid: str, dap_gym2: float | None) -> DoseReport:
    return DoseReport(
        DoseSource.HEADER, uid, total_dap_gym2=dap_gym2, events=(DoseEvent(uid, dap_gym2=dap_gym2),)
    )


STEP = DoseReport(DoseSource.STEP, "2.25.9", total_dap_gym2=4e-5)
REPORT = DoseReport(DoseSource.REPORT, "2.25.8", total_dap_gym2=5e-5, events=(DoseEvent("2.25.81"),))


def test_no_account_means_no_dose() -> None:
    assert dose_of([]) == NO_DOSE


def test_headers_of_an_exam_add_up() -> None:
    dose = dose_of([header("2.25.1", 2.05e-5), header("2.25.2", 2.05e-5)])
    assert dose.total_dap_gym2 == pytest.approx(4.1e-5)
    assert dose.source is DoseSource.HEADER
    assert len(dose.events) == 2


def test_sources_are_never_added_to_each_other() -> None:
    dose = dose_of([header("2.25.1", 2.05e-5), STEP, REPORT])
    assert (dose.total_dap_gym2, dose.source) == (5e-5, DoseSource.REPORT)
    assert dose_of([header("2.25.1", 2.05e-5), STEP]).source is DoseSource.STEP


def test_a_report_without_a_total_is_added_up_from_its_events() -> None:
    report = DoseReport(
        DoseSource.REPORT,
        "2.25.8",
        events=(DoseEvent("1", dap_gym2=1e-5), DoseEvent("2"), DoseEvent("3", dap_gym2=2e-5)),
    )
    assert total_of(report) == pytest.approx(3e-5)


def test_a_source_that_gives_no_total_gives_way_to_one_that_does() -> None:
    mute = DoseReport(DoseSource.REPORT, "2.25.8", events=(DoseEvent("1"),))
    assert dose_of([mute, STEP]).source is DoseSource.STEP


def test_events_are_shown_even_where_nobody_gives_a_total() -> None:
    mute = DoseReport(DoseSource.HEADER, "2.25.8", events=(DoseEvent("1", exposure_index=300.0),))
    dose = dose_of([mute])
    assert (dose.total_dap_gym2, dose.source, len(dose.events)) == (None, DoseSource.HEADER, 1)
    assert total_of(mute) is None
