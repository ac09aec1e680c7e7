"""The stage is a pure function of triage, booking, arrival and step."""

from __future__ import annotations

import itertools

import pytest

from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.journey.stage import Stage, stage_of
from xraydesk.orders.states import TriageState
from xraydesk.results.states import ReportState
from xraydesk.scheduling.states import BookingState

CASES = [
    (TriageState.WAITING, None, False, None, Stage.ORDERED),
    (TriageState.ACCEPTED, None, False, None, Stage.ORDERED),
    (TriageState.HELD, None, False, None, Stage.HELD),
    (TriageState.HELD, BookingState.BOOKED, True, None, Stage.HELD),
    (TriageState.ACCEPTED, BookingState.BOOKED, False, None, Stage.SCHEDULED),
    (TriageState.ACCEPTED, BookingState.BOOKED, True, None, Stage.ARRIVED),
    (TriageState.ACCEPTED, BookingState.HELD, False, None, Stage.ORDERED),
    (TriageState.ACCEPTED, BookingState.NO_SHOW, False, None, Stage.NO_SHOW),
    (TriageState.CANCELLED, None, False, None, Stage.CANCELLED),
    (TriageState.ACCEPTED, BookingState.BOOKED, True, StepState.IN_PROGRESS, Stage.BEGUN),
    (TriageState.ACCEPTED, BookingState.DONE, True, StepState.COMPLETED, Stage.ENDED),
    (TriageState.ACCEPTED, BookingState.BOOKED, True, StepState.DISCONTINUED, Stage.DISCONTINUED),
    (TriageState.CANCELLED, None, False, StepState.IN_PROGRESS, Stage.BEGUN),
    (TriageState.HELD, None, False, StepState.COMPLETED, Stage.ENDED),
]


@pytest.mark.parametrize(("triage", "booking", "arrived", "step", "stage"), CASES)
def test_the_stage_follows_from_the_small_machines(
    triage: TriageState, booking: BookingState | None, arrived: bool, step: StepState | None, stage: Stage
) -> None:
    assert stage_of(triage=triage, booking=booking, arrived=arrived, step=step) is stage


def test_what_was_performed_counts_before_what_was_planned() -> None:
    for triage, booking, arrived in itertools.product(TriageState, [None, *BookingState], [False, True]):
        for step, stage in (
            (StepState.IN_PROGRESS, Stage.BEGUN),
            (StepState.COMPLETED, Stage.ENDED),
            (StepState.DISCONTINUED, Stage.DISCONTINUED),
        ):
            assert stage_of(triage=triage, booking=booking, arrived=arrived, step=step) is stage


@pytest.mark.parametrize(
    ("states", "decides"),
    [
        ([], None),
        ([StepState.DISCONTINUED], StepState.DISCONTINUED),
        ([StepState.DISCONTINUED, StepState.COMPLETED], StepState.COMPLETED),
        ([StepState.COMPLETED, StepState.IN_PROGRESS, StepState.DISCONTINUED], StepState.IN_PROGRESS),
    ],
)
def test_the_step_under_way_decides_then_the_completed_one(
    states: list[StepState], decides: StepState | None
) -> None:
    assert deciding_step(states) is decides


def test_a_final_report_makes_an_exam_read_unless_it_is_under_way_again() -> None:
    def stage(step: StepState | None, report: ReportState) -> Stage:
        return stage_of(
            triage=TriageState.ACCEPTED, booking=BookingState.DONE, arrived=True, step=step, report=report
        )

    assert stage(StepState.COMPLETED, ReportState.FINAL) is Stage.READ
    assert stage(StepState.COMPLETED, ReportState.PRELIMINARY) is Stage.ENDED
    assert stage(StepState.IN_PROGRESS, ReportState.FINAL) is Stage.BEGUN
