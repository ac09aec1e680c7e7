"""Another system gives the appointments: its times are the orders' wishes, and follow when they change."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.book import mark_no_show
from xraydesk.journey.cancel import begun, refuse_begun
from xraydesk.journey.change import free_place
from xraydesk.journey.errors import PersonDecides, UnknownOrder, WrongState
from xraydesk.journey.performing import planned_booking, tell
from xraydesk.journey.policy import policies_of
from xraydesk.journey.receive import Outcome, Received, lock_names, order_meant, patient_of_order
from xraydesk.journey.told import order_told
from xraydesk.journey.triage import hold
from xraydesk.lib import locks
from xraydesk.orders import actions, queries
from xraydesk.orders.appointments import AppointmentKind, AppointmentNews, AskedStart, start_for
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import Requisition
from xraydesk.orders.rules import Code, Finding, Level
from xraydesk.orders.states import TriageAction, TriageState
from xraydesk.scheduling import actions as scheduling
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.link_plan import OrderControl

CALLED_OFF = "the appointment was called off where it was given"


@transaction.atomic
def receive_appointment(
    *, site: Site, news: AppointmentNews, link: str, at: datetime, by: str, simulated: bool = False
) -> Received:
    """Do what news of an appointment asks of one order. Triage and booking follow as reactions.

    A time that is given becomes the time that the order asks for, and is booked as the site's policies say. Where the
    appointment was called off the place is free, and the exams are held until another time or a person comes.

    Raises UnknownOrder, AlreadyStarted, WrongState, PatientConflict, and PersonDecides where the patient is here already.
    """
    asked = Requisition(
        control=OrderControl.CHANGE,
        patient=news.patient,
        placer=news.placer,
        placer_authority=news.placer_authority or link,
        exams=(),
        filler=news.filler,
    )
    locks.take(lock_names(site, asked, link=link))
    order = order_meant(site, asked, link=link)
    if order is None:
        raise UnknownOrder(
            f"Order {news.placer or news.filler} never came here, so its appointment waits for it."
        )
    patient_of_order(site, asked, order, link=link, at=at, by=by, simulated=simulated, vouched=True)
    exams = _meant(order, news)
    done = [_follow(exam, news, at=at, by=by) for exam in exams]
    return Received(order, tuple(exams), Outcome.CHANGED if any(done) else Outcome.UNCHANGED)


def _follow(exam: Exam, news: AppointmentNews, *, at: datetime, by: str) -> bool:
    match news.kind:
        case AppointmentKind.GIVEN:
            return _given(exam, start_for(exam.asked.get("code", ""), news.starts), at=at, by=by)
        case AppointmentKind.CALLED_OFF:
            return _called_off(exam, at=at, by=by)
        case AppointmentKind.MISSED:
            return _missed(exam, at=at, by=by)


def _meant(order: Order, news: AppointmentNews) -> list[Exam]:
    """The exams that still wait to be done: the one that is named, else all of the order. Raises AlreadyStarted, WrongState."""
    exams = queries.exams_of(order)
    named = [exam for exam in exams if news.filler and news.filler in (exam.accession, exam.filler)]
    standing = [exam for exam in named or exams if exam.triage != TriageState.CANCELLED]
    if not standing:
        raise WrongState(f"Order {order.placer} was cancelled here: send a new order, then its appointment.")
    started = begun(standing)
    waiting = [exam for exam in standing if exam.pk not in started]
    if not waiting:
        refuse_begun(standing)
    return waiting


def _given(exam: Exam, start: AskedStart, *, at: datetime, by: str) -> bool:
    """The time becomes what the order asks for; an exam that waited for one goes on. False where nothing is new."""
    waited = exam.triage == TriageState.HELD and any(f.get("code") == Code.APPOINTMENT for f in exam.findings)
    if exam.asked.get("requested_at") == start.at.isoformat() and not waited:
        return False
    _ask_for(exam, start.at, start.as_sent)
    free_place(exam, frozenset({"requested_at"}), at=at, by=by)
    if waited:
        actions.apply_triage(exam, TriageAction.RECONSIDER, at=at, by=by, findings=[])
    tell(exam, FactKind.ORDER_CHANGED, at=at, by=by, data={"changed": ["requested_at"]} | order_told(exam))
    return True


def _called_off(exam: Exam, *, at: datetime, by: str) -> bool:
    """The place is free, and the exam waits for another time. False where it does already."""
    if any(f.get("code") == Code.APPOINTMENT for f in exam.findings):
        return False
    booking = planned_booking(exam)
    if booking is not None and booking.arrived_at is not None:
        raise PersonDecides(
            f"The appointment of exam {exam.accession} was called off elsewhere, but its patient is here. "
            "Nothing was changed: ask, then do the exam or cancel it"
        )
    _ask_for(exam, None, "")
    if booking is not None:
        scheduling.release(booking, at=at, why=CALLED_OFF)
        kind = FactKind.BOOKING_RELEASED
        tell(exam, kind, at=at, by=by, room=booking.room, data={"why": CALLED_OFF})
    why = "The appointment was called off where it was given: it waits for another time, or for a person."
    hold(exam, Finding(Level.HOLD, Code.APPOINTMENT, why), at=at, by=by)
    return True


def _missed(exam: Exam, *, at: datetime, by: str) -> bool:
    """The patient did not come. Raises WrongState where nothing could be missed."""
    is_known = Booking.objects.filter(exam=exam, state=BookingState.NO_SHOW).exists()
    if not is_known:
        mark_no_show(exam_id=exam.pk, at=at, by=by)
    return not is_known


def _ask_for(exam: Exam, start: datetime | None, as_sent: str) -> None:
    wish = {"requested_at": start.isoformat() if start else "", "requested_at_as_sent": as_sent}
    actions.set_wish(exam, wish, frozenset(wish), start, offered={}, policies=policies_of(exam.site))
    actions.save_exam(exam)
