"""The stage that people see, worked out from the small machines; never stored."""

from __future__ import annotations

from enum import StrEnum

from xraydesk.imaging.states import StepState
from xraydesk.orders.states import TriageState
from xraydesk.results.states import READ_STATES, ReportState
from xraydesk.scheduling.states import BookingState


class Stage(StrEnum):
    """Where an exam stands, in the contract's words."""

    ORDERED = "ordered"
    HELD = "held"
    SCHEDULED = "scheduled"
    ARRIVED = "arrived"
    BEGUN = "begun"
    ENDED = "ended"
    READ = "read"
    CANCELLED = "cancelled"
    DISCONTINUED = "discontinued"
    NO_SHOW = "no-show"


def stage_of(
    *,
    triage: TriageState,
    booking: BookingState | None,
    arrived: bool,
    step: StepState | None,
    report: ReportState | None = None,
) -> Stage:
    """The stage of an exam from its triage, its live booking, whether the patient is here, its newest step and its report.

    What was performed counts before what was planned: an exam that was begun is begun even
    where it was held or cancelled meanwhile. `step` is the deciding one (see
    `imaging.states.deciding_step`), voided ones left out. A final or corrected report makes it
    read, unless it is under way again. A discontinued exam that is to be
    done all the same keeps its booking, and so its place on the worklist.
    """
    match step:
        case StepState.IN_PROGRESS:
            return Stage.BEGUN
        case _ if report in READ_STATES:
            return Stage.READ
        case StepState.COMPLETED:
            return Stage.ENDED
        case StepState.DISCONTINUED:
            return Stage.DISCONTINUED
        case _:
            pass
    if triage is TriageState.CANCELLED:
        return Stage.CANCELLED
    if triage is TriageState.HELD:
        return Stage.HELD
    if booking is BookingState.NO_SHOW:
        return Stage.NO_SHOW
    if booking is BookingState.BOOKED:
        return Stage.ARRIVED if arrived else Stage.SCHEDULED
    return Stage.ORDERED
