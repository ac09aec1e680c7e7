"""The exam is done: told by the modality (MPPS), or pressed by a technologist.

A modality's report is never refused for what the desk planned, because the exposure
happened. The desk's own Begin waits for the safety checks.

Where both tell of one exam they join: a modality's step takes over one begun by hand, and
stands for it from then on; a modality's step that a person ended because the machine kept
silent may still be ended by the machine, whose word then counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.imaging import actions, queries
from xraydesk.imaging.header import ScheduledReference, StepReport
from xraydesk.imaging.models import PerformedStep
from xraydesk.imaging.rules import named_exam, told_time
from xraydesk.imaging.states import StepAction, StepState
from xraydesk.journey import performing
from xraydesk.journey.book import hold_department
from xraydesk.journey.check import missing_checks
from xraydesk.journey.dose import record_dose, report_of_step
from xraydesk.journey.errors import (
    ChecksMissing,
    DuplicateStep,
    StepIsFinal,
    UnknownExam,
    UnknownStep,
    WrongState,
)
from xraydesk.journey.unscheduled import make_exam
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Modality, Room
from xraydesk.safety.rules import in_words

REFERENCES_MAX = 50
"""No step carries out more scheduled steps than this."""


@transaction.atomic
def begin_by_step(*, site: Site, report: StepReport, at: datetime, by: str) -> PerformedStep:
    """A modality has begun: every exam that its step references begins (PS3.4 F.7.2.1).

    A reference that names no exam here makes one without an order, and an item.

    Raises DuplicateStep (row 35 of the faults).
    """
    performing.lock_steps(site.pk, [report.sop_instance_uid])
    if PerformedStep.objects.filter(site=site, sop_instance_uid=report.sop_instance_uid).exists():
        raise DuplicateStep("A performed step with this UID is here already.")
    found, made = _exams_of(site, report, at=at, by=by)
    exams = performing.lock_exams([*found, *made])
    room = performing.room_of(site, report.ae_title)
    step = actions.insert_step(
        site=site,
        report=report,
        exams=exams,
        room=room,
        started_at=told_time(_utc(report.started_at, site), at=at),
        by=by,
        by_hand=False,
    )
    taken_over = performing.take_over_by_hand(exams, step=step, at=at)
    if len(exams) > 1:
        # The places of all of them are locked before the first booking changes, so that nothing deadlocks.
        hold_department(site=site, patient_id=exams[0].patient_id)
    for exam in exams:
        if exam.pk in taken_over:
            performing.settle_place(exam, step=step, at=at, by=by)
        else:
            performing.begin(exam, step=step, at=at, by=by)
        if exam.pk in found:
            performing.doubt_patient(exam, report=report, room=room, at=at)
    return step


def _exams_of(site: Site, report: StepReport, *, at: datetime, by: str) -> tuple[list[int], list[int]]:
    """The exams that a step references, and those made for each reference that names none here."""
    references = (report.references or (ScheduledReference(),))[:REFERENCES_MAX]
    candidates = queries.candidates_of_references(site=site, references=references)
    found: list[int] = []
    unknown: list[ScheduledReference] = []
    for reference in references:
        exam = named_exam(reference, candidates)
        if exam is None:
            unknown.append(reference)
        elif exam.exam_id not in found:
            found.append(exam.exam_id)
    # Beside known exams an empty reference says nothing; a strange accession number does.
    made = [r for r in dict.fromkeys(unknown) if not found or r.accession]
    return found, [make_exam(site=site, report=report, reference=r, at=at, by=by).pk for r in made]


@transaction.atomic
def update_step(*, site: Site, report: StepReport, at: datetime, by: str) -> PerformedStep:
    """A modality tells more of a step, or that it is completed or discontinued (PS3.4 F.7.2.2).

    Raises UnknownStep and StepIsFinal (row 35 of the faults).
    """
    performing.lock_steps(site.pk, [report.sop_instance_uid])
    step = (
        PerformedStep.objects.select_related("room")
        .filter(site=site, sop_instance_uid=report.sop_instance_uid)
        .first()
    )
    if step is None:
        raise UnknownStep("There is no performed step with this UID.")
    exams = performing.lock_exams(step.stepexam_set.filter(voided=False).values_list("exam", flat=True))
    if step.state != StepState.IN_PROGRESS and not actions.take_back_hand_ending(step):
        raise StepIsFinal("The performed step is completed or discontinued already.")
    _end(step, exams, report=report, at=at, by=by)
    # One total for the whole step (PS3.3 C.4.16); it stands with the first exam of the step that still is its.
    standing = step.stepexam_set.filter(voided=False).values_list("exam", flat=True)
    first = next((exam for exam in exams if exam.pk in standing), None)
    record_dose(
        site_id=site.pk,
        exam=first,
        report=report_of_step(report),
        at=at,
        by=by,
        simulated=step.simulated,
    )
    return step


_ACTIONS = {
    None: StepAction.UPDATE,
    StepState.IN_PROGRESS: StepAction.UPDATE,
    StepState.COMPLETED: StepAction.COMPLETE,
    StepState.DISCONTINUED: StepAction.DISCONTINUE,
}


def _end(step: PerformedStep, exams: Iterable[Exam], *, report: StepReport, at: datetime, by: str) -> None:
    """Apply what was told of a step, and let its exams follow."""
    action = _ACTIONS[report.state]
    ended_at = None
    if action is not StepAction.UPDATE:
        ended_at = told_time(_utc(report.ended_at, step.site), at=at, earliest=step.started_at)
    actions.tell_step(step, action=action, report=report, ended_at=ended_at)
    if action is StepAction.COMPLETE:
        performing.complete(exams, step=step, at=at, by=by)
    elif action is StepAction.DISCONTINUE:
        performing.discontinue(exams, step=step, at=at, by=by)


def _utc(wall: datetime | None, site: Site) -> datetime | None:
    return clock.at_wall_time(wall.date(), wall.time(), site.timezone) if wall else None


@transaction.atomic
def begin_by_hand(*, exam_id: int, room_id: int, at: datetime, by: str) -> PerformedStep:
    """A technologist presses Begin: only once every safety check is there.

    Raises UnknownExam, WrongState, ChecksMissing.
    """
    (exam,) = performing.lock_exams([exam_id])
    room = _room(exam, room_id)
    if exam.triage != TriageState.ACCEPTED:
        raise WrongState(f"Exam {exam.accession} is {exam.triage} in triage. Accept it there first.")
    if StepState.IN_PROGRESS in queries.standing_states(exam.pk):
        raise WrongState(f"Exam {exam.accession} has begun already.")
    missing = missing_checks(exam, at=at)
    if missing:
        raise ChecksMissing(f"Exam {exam.accession} waits for {in_words(missing)}. Check, then begin.")
    machine = Modality.objects.filter(room=room, retired=False).order_by("id").first()
    report = StepReport(
        sop_instance_uid=new_uid(),
        ae_title=machine.ae_title if machine else "",
        modality=machine.modality if machine else "",
    )
    step = actions.insert_step(
        site=exam.site, report=report, exams=[exam], room=room, started_at=at, by=by, by_hand=True
    )
    performing.begin(exam, step=step, at=at, by=by)
    return step


@transaction.atomic
def end_by_hand(*, exam_id: int, at: datetime, by: str) -> PerformedStep:
    """A person says that the exam has ended; for a modality's step too, where the machine keeps silent.

    Of several exams that one step carries out, this one alone.

    Raises UnknownExam, and WrongState where the exam is not under way.
    """
    return _finish_by_hand(exam_id, StepReport("", state=StepState.COMPLETED), at=at, by=by)


@transaction.atomic
def discontinue_by_hand(
    *, exam_id: int, reason_code: str, reason_text: str, at: datetime, by: str
) -> PerformedStep:
    """A person says that the exam was broken off, with a reason of PS3.16 CID 9300.

    Raises UnknownExam, and WrongState where the exam is not under way.
    """
    report = StepReport("", state=StepState.DISCONTINUED, reason_code=reason_code, reason_text=reason_text)
    return _finish_by_hand(exam_id, report, at=at, by=by)


def _finish_by_hand(exam_id: int, report: StepReport, *, at: datetime, by: str) -> PerformedStep:
    performing.lock_steps_of_exam(exam_id)
    (exam,) = performing.lock_exams([exam_id])
    link = (
        exam.stepexam_set.filter(voided=False, step__state=StepState.IN_PROGRESS)
        .select_related("step__room", "step__site")
        .order_by("-step__started_at", "-step_id")
        .first()
    )
    if link is None:
        raise WrongState(f"Exam {exam.accession} is not under way.")
    step = link.step
    if not step.by_hand and step.stepexam_set.filter(voided=False).exclude(exam=exam).exists():
        step = _apart(exam, step=step, by=by)
    attributes = {} if step.by_hand else {actions.ENDED_BY_HAND: by}
    exams = performing.lock_exams(step.stepexam_set.filter(voided=False).values_list("exam", flat=True))
    told = replace(report, sop_instance_uid=step.sop_instance_uid, attributes=attributes)
    _end(step, exams, report=told, at=at, by=by)
    return step


def _apart(exam: Exam, *, step: PerformedStep, by: str) -> PerformedStep:
    """Give one of several exams that a machine's step carries out a step of its own, so that it alone ends.

    The machine goes on with the others, and what it tells of its step at the end is about them.
    """
    report = StepReport(new_uid(), ae_title=step.ae_title, modality=step.modality)
    actions.part_from_step(step, exam_id=exam.pk)
    return actions.insert_step(
        site=step.site,
        report=report,
        exams=[exam],
        room=step.room,
        started_at=step.started_at,
        by=by,
        by_hand=True,
    )


@transaction.atomic
def take_here(*, exam_id: int, room_id: int, at: datetime, by: str) -> None:
    """A technologist takes an exam to another room before it begins: its place, and so its worklist entry, moves there.

    An exam without a place gets one there, from now.

    Raises UnknownExam, WrongState, and PlaceTaken where an exam without a place finds the room in use.
    """
    (exam,) = performing.lock_exams([exam_id])
    room = _room(exam, room_id)
    if exam.triage != TriageState.ACCEPTED:
        raise WrongState(f"Exam {exam.accession} is {exam.triage} in triage. Accept it there first.")
    if StepState.IN_PROGRESS in queries.standing_states(exam.pk):
        raise WrongState(f"Exam {exam.accession} has begun already.")
    booking = performing.planned_booking(exam)
    if booking is None:
        performing.place_now(exam, room=room, at=at, by=by)
    elif booking.room_id != room.pk:
        performing.bring_to_room(exam, booking, room=room, at=at, by=by, why="taken there")


def _room(exam: Exam, room_id: int) -> Room:
    room = Room.objects.filter(pk=room_id, site=exam.site_id, retired=False).first()
    if room is None:
        raise UnknownExam("There is no such room here.")
    return room
