"""What begins, ends and discontinues an exam, whoever tells of it; used by the steps of `perform`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, queries
from xraydesk.imaging.header import StepReport
from xraydesk.imaging.labelled_rules import heaviest_first, step_findings
from xraydesk.imaging.models import Image, PerformedStep
from xraydesk.imaging.rules import AfterDiscontinuation, after_discontinuation, is_of_voided_step
from xraydesk.imaging.states import ImageAction, ImageState, StepAction, StepState
from xraydesk.journey.check import check_missing_key, missing_checks
from xraydesk.journey.dose import assign_dose
from xraydesk.journey.errors import PlaceTaken, UnknownExam
from xraydesk.journey.policy import policies_of
from xraydesk.lib import locks
from xraydesk.orders import queries as orders
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Modality, Room
from xraydesk.safety.rules import in_words
from xraydesk.scheduling import actions as scheduling
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

TAKEN_OVER = "taken over by the modality's own step"
"""Why a step begun by hand no longer counts."""

_PLANNED = (BookingState.BOOKED, BookingState.NO_SHOW)


def lock_steps(site_id: int, uids: Iterable[str]) -> None:
    """One report of a performed step at a time (row 35 of the faults). Before any exam is locked."""
    locks.take(f"step:{site_id}:{uid}" for uid in uids)


def lock_exams(exam_ids: Iterable[int], *, shared: bool = False) -> list[Exam]:
    """The exams, locked in one order, by several at once where `shared`. Raises UnknownExam where one is not there."""
    wanted = set(exam_ids)
    exams = orders.lock_exams(wanted, shared=shared)
    if len(exams) != len(wanted):
        raise UnknownExam("There is no such exam here.")
    return exams


def room_of(site: Site, ae_title: str) -> Room | None:
    """The room that a machine stands in; None for a machine that the site file does not name."""
    if not ae_title:
        return None
    machine = Modality.objects.filter(site=site, ae_title=ae_title).select_related("room").first()
    return machine.room if machine else None


def planned_booking(exam: Exam) -> Booking | None:
    """The exam's place in the plan that is still ahead of it, locked."""
    return (
        Booking.objects.select_for_update(of=("self",))
        .select_related("room")
        .filter(exam=exam, state__in=_PLANNED)
        .first()
    )


def tell(
    exam: Exam,
    kind: FactKind,
    *,
    at: datetime,
    by: str,
    room: Room | None = None,
    data: dict[str, object] | None = None,
) -> None:
    """Record one fact about an exam."""
    record(
        site_id=exam.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        room=room.code if room else "",
        data=data,
        simulated=exam.simulated,
    )


def begin(exam: Exam, *, step: PerformedStep, at: datetime, by: str) -> None:
    """The exam has begun: its patient is here, its slot elsewhere is free, its missing check is an item."""
    settle_place(exam, step=step, at=at, by=by)
    tell(exam, FactKind.EXAM_BEGUN, at=at, by=by, room=step.room)
    missing = missing_checks(exam, at=at)
    if missing:
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.CHECK_MISSING,
            key=check_missing_key(exam.accession),
            at=at,
            text=f"Exam {exam.accession} began without a check of {in_words(missing)}. "
            "Ask now and write down the answer.",
            accession=exam.accession,
            patient=exam.patient_id,
            room=step.room.code if step.room else "",
            data={"checks": [str(kind) for kind in missing]},
        )


def doubt_patient(exam: Exam, *, report: StepReport, room: Room | None, at: datetime) -> None:
    """Put before a person that a machine has begun an exam and names another patient than the exam's.

    It is the last moment at which a wrong entry can be seen before the exposure; its images would be held later.
    """
    person = queries.person_of(exam.patient)
    findings = step_findings(report, person, policies_of(exam.site))
    if findings:
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.STEP_DOUBT,
            key=step_doubt_key(exam.accession),
            at=at,
            text=f"{report.ae_title or 'A machine'} began exam {exam.accession}, but "
            f"{'; '.join(finding.sentence for finding in heaviest_first(findings))}. "
            "Call the room at once: who is there? If the entry was picked by mistake, have it ended there as such.",
            accession=exam.accession,
            patient=exam.patient_id,
            room=room.code if room else "",
        )


def step_doubt_key(accession: str) -> str:
    """The key of the item about an exam that a machine has begun for another patient, as it says."""
    return f"step doubt:{accession}"


def settle_place(exam: Exam, *, step: PerformedStep, at: datetime, by: str) -> None:
    """Let the plan follow what is done: the exam's place moves to the step's room, and its patient is here.

    What was before is kept with the step, for the case that it was begun by mistake.
    """
    booking = planned_booking(exam)
    if booking is None:
        return
    if booking.state == BookingState.NO_SHOW:
        tell(exam, FactKind.NO_SHOW_UNDONE, at=at, by=by, room=booking.room)
    if step.room is not None and step.room.pk != booking.room_id:
        actions.note_of_exam(step, PLACE_BEFORE, exam_id=exam.pk, value=booking.pk)
        moved = bring_to_room(exam, booking, room=step.room, at=at, by=by, why="begun there")
    else:
        moved = _confirm(booking, at=at)
    if moved is not None and moved.arrived_at is None:
        actions.note_of_exam(step, ARRIVAL_IMPLIED, exam_id=exam.pk, value=True)
        scheduling.mark_arrived(moved, at=at)
        tell(exam, FactKind.PATIENT_ARRIVED, at=at, by=by, room=moved.room, data={"implied": True})


PLACE_BEFORE = "place before"
ARRIVAL_IMPLIED = "arrival implied"


def bring_to_room(
    exam: Exam, booking: Booking, *, room: Room, at: datetime, by: str, why: str
) -> Booking | None:
    """Move an exam's place to the room where it is done, which frees its slot; None where it only frees the slot."""
    data: dict[str, object] = {"from": booking.room.code, "to": room.code}
    tell(exam, FactKind.EXAM_TAKEN, at=at, by=by, room=room, data=data)
    try:
        with transaction.atomic():
            return scheduling.reassign_for_step(booking, exam=exam, room_id=room.pk, at=at, by=by, why=why)
    except scheduling.SlotTaken:
        # Only the patient's own other booking can be in the way; what is performed is never refused.
        scheduling.release(booking, at=at, why=why)
        return None


def place_now(exam: Exam, *, room: Room, at: datetime, by: str) -> Booking:
    """Give an exam without a place one in a room, from now. Raises PlaceTaken."""
    minutes = exam.procedure.minutes if exam.procedure else MINUTES_UNKNOWN
    place = Place(room.pk, at, at + timedelta(minutes=minutes))
    try:
        booking = scheduling.insert_booking(exam=exam, place=place, at=at, by=by, why=("taken there",))
    except scheduling.SlotTaken as taken:
        raise PlaceTaken(
            f"Exam {exam.accession} finds no place in {room.code} now: the {taken.what} is taken. "
            "Move the other exam, or choose a time on the board."
        ) from None
    data: dict[str, object] = {"from": "", "to": room.code}
    tell(exam, FactKind.EXAM_TAKEN, at=at, by=by, room=room, data=data)
    return booking


MINUTES_UNKNOWN = 15
"""How long an exam of no known procedure is taken to last."""


def _confirm(booking: Booking, *, at: datetime) -> Booking | None:
    """The booking as a firm one, or None where another took its time after a no-show."""
    if booking.state == BookingState.NO_SHOW:
        try:
            return scheduling.undo_miss(booking)
        except scheduling.SlotTaken:
            scheduling.release(booking, at=at, why="begun after another took its time")
            return None
    return booking


def put_back(exam: Exam, *, step: PerformedStep, at: datetime, by: str) -> None:
    """The exam was begun by mistake: its place and its patient's arrival are as before, where they still can be."""
    booking = planned_booking(exam)
    if booking and actions.note_about(step, ARRIVAL_IMPLIED, exam_id=exam.pk):
        scheduling.unmark_arrived(booking)
        tell(exam, FactKind.ARRIVAL_UNDONE, at=at, by=by, room=booking.room)
    before = Booking.objects.filter(
        pk=actions.note_about(step, PLACE_BEFORE, exam_id=exam.pk) or 0, exam=exam
    ).first()
    if before is None:
        return
    if booking is not None:
        scheduling.release(booking, at=at, why="begun there by mistake")
    with suppress(scheduling.SlotTaken):  # then it is booked anew, as a reaction to the fact
        scheduling.insert_booking(
            exam=exam,
            place=scheduling.place_of(before),
            at=at,
            by=by,
            why=before.why,
            time_was_given=before.time_was_given,
            arrived_at=before.arrived_at,
        )


def take_over_by_hand(exams: Iterable[Exam], *, step: PerformedStep, at: datetime) -> set[int]:
    """Let a modality's step stand for those pressed by hand for the same exams; the exams begun already.

    A step by hand is taken over while it is under way, or where it overlaps the modality's:
    both tell of one exposure. It stays on record, voided.
    """
    begun: set[int] = set()
    for exam in exams:
        links = exam.stepexam_set.filter(voided=False, step__by_hand=True).select_related("step")
        for other in [link.step for link in links]:
            if other.ended_at is not None and other.ended_at < step.started_at:
                continue
            begun.add(exam.pk)
            actions.void(other, exam_ids=[exam.pk])
            if other.state == StepState.IN_PROGRESS:
                report = StepReport(sop_instance_uid=other.sop_instance_uid, reason_text=TAKEN_OVER)
                actions.tell_step(other, action=StepAction.DISCONTINUE, report=report, ended_at=at)
                close_step_item(other, at=at, how=TAKEN_OVER)
    return begun


def complete(exams: Iterable[Exam], *, step: PerformedStep, at: datetime, by: str) -> None:
    """The step is completed: each of its exams has ended, unless another step of it goes on."""
    for exam in exams:
        if StepState.IN_PROGRESS in queries.standing_states(exam.pk):
            continue
        finish_place(exam, at=at)
        tell(exam, FactKind.EXAM_ENDED, at=at, by=by, room=step.room)
    close_step_item(step, at=at, how="it ended")


def discontinue(exams: Iterable[Exam], *, step: PerformedStep, at: datetime, by: str) -> None:
    """The step is discontinued: its exams end, keep their place, or stand as before, by the reason (row 36)."""
    after = after_discontinuation(step.reason_code)
    if after is AfterDiscontinuation.REOPEN:
        actions.void(step)
    for exam in exams:
        if after is AfterDiscontinuation.REOPEN:
            _reopen(exam, step=step, at=at, by=by)
            continue
        if StepState.IN_PROGRESS in queries.standing_states(exam.pk):
            continue
        if after is AfterDiscontinuation.END:
            finish_place(exam, at=at)
        tell(
            exam,
            FactKind.EXAM_DISCONTINUED,
            at=at,
            by=by,
            room=step.room,
            data={"reason": step.reason_code, "after": after},
        )
    close_step_item(step, at=at, how="it was discontinued")


def _reopen(exam: Exam, *, step: PerformedStep, at: datetime, by: str) -> None:
    put_back(exam, step=step, at=at, by=by)
    assign_dose(site_id=exam.site_id, sop_instance_uid=step.sop_instance_uid, exam=None)
    tell(exam, FactKind.EXAM_REOPENED, at=at, by=by, room=step.room, data={"reason": step.reason_code})
    for key in (check_missing_key(exam.accession), step_doubt_key(exam.accession)):
        close_items(site_id=exam.site_id, key=key, at=at, by=by, how="it was begun by mistake")
    spans = queries.step_spans(exam.pk)
    images = list(
        Image.objects.select_for_update(of=("self",)).filter(
            exam=exam, state__in=(ImageState.MATCHED, ImageState.SENT)
        )
    )
    wrong = [i for i in images if is_of_voided_step(i.sop_instance_uid, i.acquired_at, spans)]
    held = [i for i in wrong if i.state == ImageState.MATCHED]
    for image in held:
        hold_image(image, exam=exam, at=at, by=by)
    actions.withdraw_deliveries(image_ids=[i.pk for i in held])
    if wrong:
        raise_images_held(exam, at=at, left=len(wrong) - len(held))


def hold_image(image: Image, *, exam: Exam, at: datetime, by: str) -> None:
    """Keep a matched image back: it was taken on a worklist entry picked by mistake. Its dose counts for nobody yet."""
    actions.move_image(image, action=ImageAction.HOLD, at=at, by=by, why=HELD_WHY)
    assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=None)
    tell(exam, FactKind.IMAGE_HELD, at=at, by=by, data={"image": image.pk})


HELD_WHY = "taken on a worklist entry that was picked by mistake"


def raise_images_held(exam: Exam, *, at: datetime, left: int = 0) -> None:
    """Ask a person whose images these are. `left` have been sent on already."""
    gone = f" {left} of them left before this was known: tell the archive." if left else ""
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.IMAGES_HELD,
        key=images_held_key(exam.accession),
        at=at,
        text=f"Images were taken under exam {exam.accession}, picked by mistake on the worklist. "
        f"Say to which exam they belong, or reject them.{gone}",
        accession=exam.accession,
        patient=exam.patient_id,
    )


def images_held_key(accession: str) -> str:
    """The key of the item about an exam's held images."""
    return f"images held:{accession}"


def step_open_key(step: PerformedStep) -> str:
    """The key of the item about a step that never ended."""
    return f"step open:{step.pk}"


def close_step_item(step: PerformedStep, *, at: datetime, how: str) -> None:
    """A step that was flagged as open has ended after all."""
    close_items(site_id=step.site_id, key=step_open_key(step), at=at, by=step.by, how=how)


def finish_place(exam: Exam, *, at: datetime) -> None:
    """The exam's place in the plan is used up."""
    booking = planned_booking(exam)
    if booking is not None and booking.state == BookingState.BOOKED:
        scheduling.finish(booking, at=at)
    elif booking is not None:
        scheduling.release(booking, at=at, why="done")


def lock_steps_of_exam(exam_id: int) -> None:
    """The steps under way of one exam, before the exam itself is locked, in the order that reports take them."""
    found = PerformedStep.objects.filter(exams=exam_id, state=StepState.IN_PROGRESS)
    by_site: dict[int, list[str]] = {}
    for site_id, uid in found.values_list("site_id", "sop_instance_uid"):
        by_site.setdefault(site_id, []).append(uid)
    for site_id, uids in by_site.items():
        lock_steps(site_id, uids)
