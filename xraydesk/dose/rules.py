"""Which of several accounts of one exam's dose counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource


@dataclass(frozen=True)
class ExamDose:
    """The dose of one exam: its total in Gy·m² (None where nobody says), from which source, and its events."""

    total_dap_gym2: float | None
    source: DoseSource | None
    events: tuple[DoseEvent, ...] = ()


NO_DOSE = ExamDose(None, None)


def total_of(report: DoseReport) -> float | None:
    """The total of one account: its own, else the sum over its events that give one."""
    if report.total_dap_gym2 is not None:
        return report.total_dap_gym2
    given = [event.dap_gym2 for event in report.events if event.dap_gym2 is not None]
    return sum(given) if given else None


def dose_of(reports: Sequence[DoseReport]) -> ExamDose:
    """The dose of an exam from all accounts of it.

    The best source that gives a total counts alone, since the others tell of the same
    exposures: a dose report before a performed step before image headers. Accounts of
    the same source are of different exposures and are added up. Where no source gives a
    total, the best one that has events is shown.
    """
    for source in DoseSource:
        same = [report for report in reports if report.source is source]
        totals = [total for total in map(total_of, same) if total is not None]
        if totals:
            return ExamDose(sum(totals), source, _events(same))
    for source in DoseSource:
        events = _events([report for report in reports if report.source is source])
        if events:
            return ExamDose(None, source, events)
    return NO_DOSE


def _events(reports: Sequence[DoseReport]) -> tuple[DoseEvent, ...]:
    return tuple(event for report in reports for event in report.events)
