"""Says why an exam is or is not on a modality's worklist, in a coordinator's words (`worklist explain`)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.links.dicom.elements import Element
from xraydesk.links.dicom.worklist import booked
from xraydesk.links.dicom.worklist_codec import STEPS
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Modality
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE, BookingState


def explain(*, site: Site, accession: str, ae_title: str, at: datetime) -> tuple[bool, str]:
    """Whether the worklist of `ae_title` lists an exam now, and why, as one sentence.

    The answer is the worklist's own, by the same query that a modality's C-FIND makes; the
    sentence is worked out afterwards. An unknown exam or AE title is a reason too.
    """
    exam = Exam.objects.select_related("order").filter(site=site, accession=accession).first()
    if exam is None:
        return False, f"There is no exam {accession} here."
    machine = (
        Modality.objects.select_related("room").filter(site=site, ae_title=ae_title, retired=False).first()
    )
    if machine is None:
        return False, f"{ae_title} is no modality of this site, so it may not ask for a worklist."
    entry = next(
        (
            entry
            for entry in booked(site, _query(accession, ae_title), ZoneInfo(site.timezone))
            if ae_title in entry.station_ae_titles
        ),
        None,
    )
    if entry is not None:
        when = _when(entry.start, site, at)
        return True, f"It is booked in {machine.room.code} {when} and waits there: {entry.status.lower()}."
    return False, _why_not(exam, machine, site, at)


def _query(accession: str, ae_title: str) -> dict[int, Element]:
    step = {0x00400001: Element("AE", (ae_title,))}
    return {0x00080050: Element("SH", (accession,)), STEPS: Element("SQ", items=(step,))}


def _why_not(exam: Exam, machine: Modality, site: Site, at: datetime) -> str:
    """The first reason that keeps it off, the most final one first."""
    step = _step_reason(exam, site, at)
    if step is not None:
        return step
    if exam.triage == TriageState.CANCELLED:
        when = f" {_when(exam.cancelled_at, site, at)}" if exam.cancelled_at else ""
        return f"It was cancelled{when}{_because(exam.cancelled_why)}."
    if exam.triage == TriageState.HELD:
        return f"It is held in triage{_because(_findings(exam))}; accept it first."
    if exam.triage == TriageState.WAITING:
        return "It waits for triage; accept it first."
    return _booking_reason(exam, machine, site, at)


def _step_reason(exam: Exam, site: Site, at: datetime) -> str | None:
    steps = [
        row.step
        for row in StepExam.objects.select_related("step__room")
        .filter(exam=exam, voided=False)
        .order_by("step__started_at")
    ]
    decided = deciding_step(StepState(step.state) for step in steps)
    if decided not in {StepState.IN_PROGRESS, StepState.COMPLETED}:
        return None
    step = [step for step in steps if step.state == decided][-1]
    where = step.room.code if step.room else step.ae_title or "another room"
    if decided is StepState.IN_PROGRESS:
        return (
            f"It was begun {_when(step.started_at, site, at)} in {where}, so no worklist shows it any more."
        )
    return f"It was done in {where} and ended {_when(step.ended_at or step.started_at, site, at)}."


def _booking_reason(exam: Exam, machine: Modality, site: Site, at: datetime) -> str:
    booking = (
        Booking.objects.select_related("room")
        .filter(exam=exam, state__in=[state.value for state in LIVE])
        .first()
    )
    if booking is None:
        return f"It is not booked{_because(exam.booking_blocked)}; give it a place first."
    when = _when(booking.during.lower, site, at)
    if booking.state == BookingState.NO_SHOW:
        return f"The patient did not come {when}; take the no-show back, or book it again."
    if booking.state == BookingState.DONE:
        return "It was discontinued, and is not to be done again."
    if booking.room_id != machine.room_id:
        return f"It is booked in {booking.room.code} {when}, not in {machine.room.code}, where {machine.ae_title} stands."
    others = ", ".join(
        Modality.objects.filter(room=booking.room, retired=False)
        .exclude(pk=machine.pk)
        .order_by("pk")
        .values_list("ae_title", flat=True)
    )
    kind = exam.procedure.modality if exam.procedure else "another machine"
    return f"It is booked in {booking.room.code} {when} for {kind}: it is on the worklist of {others}, not of {machine.ae_title}."


def _findings(exam: Exam) -> str:
    """The reasons that triage gave, as sentences."""
    texts = [str(one.get("sentence", "")) for one in exam.findings]
    return "; ".join(text.rstrip(".") for text in texts if text)


def _because(reason: str) -> str:
    return f" because: {reason.strip().rstrip('.')}" if reason.strip() else ""


def _when(moment: datetime, site: Site, at: datetime) -> str:
    """`at 10:02` today, `on 3 March at 10:02` on another day, by the site's clock."""
    zone = ZoneInfo(site.timezone)
    local = moment.astimezone(zone)
    if local.date() == at.astimezone(zone).date():
        return f"at {local:%H:%M}"
    return f"on {local.day} {local:%B} at {local:%H:%M}"
