"""News from outside: an order comes, changes or is cancelled; a patient is admitted, moves or leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.arrive import patient_is_here
from xraydesk.journey.cancel import call_off, refuse_begun
from xraydesk.journey.change import change_order, exams_named, hold_order, release_order
from xraydesk.journey.errors import IncompleteOrder, NoPatientNumber, PatientConflict, UnknownOrder
from xraydesk.journey.performing import tell
from xraydesk.journey.policy import identifier_authority, policies_of
from xraydesk.journey.told import order_told
from xraydesk.lib import locks
from xraydesk.lib.prepared import Question, step
from xraydesk.orders import actions, queries
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import Requisition
from xraydesk.orders.states import OrderState, TriageState
from xraydesk.patients import actions as patients
from xraydesk.patients.demographics import Demographics
from xraydesk.patients.events import PatientEvent
from xraydesk.patients.models import Patient
from xraydesk.patients.queries import question_of_numbers
from xraydesk.patients.rules import (
    AUTHORITY_LENGTH_MAX,
    IDENTITY,
    identifiers_that_count,
    what_lacks,
)
from xraydesk.siteplan.link_plan import OrderControl

PLACER_LENGTH_MAX = 64


class Outcome(StrEnum):
    """What a message did to an order."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    CANCELLED = "cancelled"
    DISCONTINUED = "discontinued"
    COMPLETED_ELSEWHERE = "completed elsewhere"
    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True)
class Received:
    """The order as it stands after the message, its exams, and what was done."""

    order: Order
    exams: tuple[Exam, ...]
    outcome: Outcome


def receive_order(
    *,
    site: Site,
    requisition: Requisition,
    link: str,
    at: datetime,
    by: str,
    simulated: bool = False,
    vouched: bool = True,
) -> Received:
    """Do what a message or form asks of one order, in one transaction. Triage and booking follow as reactions.

    `link` is the name of the link it came by; it issues placer numbers that name no issuer.
    `vouched` is False where the patient was typed in by hand and not sent by the keeper of the
    patient index: then gaps are filled, and nothing on file is replaced.

    Raises IncompleteOrder (no number, exam or patient), UnknownOrder, AlreadyStarted,
    WrongState and PatientConflict; nothing is changed then.
    """
    requisition = replace(requisition, placer_authority=requisition.placer_authority or link)
    _refuse_incomplete(requisition)
    with step():
        locks.take(lock_names(site, requisition, link=link))
        order = order_meant(site, requisition, link=link)
        if order is None and requisition.control is not OrderControl.NEW:
            raise UnknownOrder(
                f"Order {requisition.placer or requisition.filler} never came here, so it cannot be put to"
                f" “{requisition.control.value}”. Send it as a new order first."
            )
        patient = patient_of_order(
            site, requisition, order, link=link, at=at, by=by, simulated=simulated, vouched=vouched
        )
        if order is None:
            source = f"link:{link}" if vouched else by
            return _create(site, requisition, patient, source=source, at=at, by=by, simulated=simulated)
        return _apply(site, order, requisition, at=at, by=by)


def _refuse_incomplete(requisition: Requisition) -> None:
    is_new = requisition.control is OrderControl.NEW
    if not requisition.placer and (is_new or not requisition.filler):
        raise IncompleteOrder("The order has no placer number: send it with one.")
    if len(requisition.placer) > PLACER_LENGTH_MAX:
        raise IncompleteOrder(f"The placer number is longer than {PLACER_LENGTH_MAX} characters.")
    if len(requisition.placer_authority) > AUTHORITY_LENGTH_MAX:
        raise IncompleteOrder(
            f"The issuer of the placer number is longer than {AUTHORITY_LENGTH_MAX} characters."
        )
    if is_new and not requisition.exams:
        raise IncompleteOrder(f"Order {requisition.placer} asks for no exam: send what is to be done.")
    if len(requisition.exams) > actions.EXAMS_AN_ORDER_MAX:
        raise IncompleteOrder(
            f"Order {requisition.placer} asks for more than {actions.EXAMS_AN_ORDER_MAX} exams: split it."
        )


def questions_of_order(*, site: Site, requisition: Requisition, link: str) -> list[Question]:
    """What `receive_order` asks of the database about a new order once it holds its locks, for whoever asks all of it in one round trip."""
    authority, placer = requisition.placer_authority or link, requisition.placer
    numbers = patients.numbers_looked_up(
        requisition.patient.identifiers, authority=identifier_authority(site, link)
    )
    codes = [(exam.code, exam.system) for exam in requisition.exams]
    taken = actions.question_of_taken(site=site, asked_for=requisition.exams)
    return [
        queries.question_by_placer(site=site, authority=authority, placer=placer),
        question_of_numbers(site=site, identifiers=numbers),
        actions.question_of_procedures(site=site, wanted=codes),
        *([taken] if taken else []),
    ]


def lock_names(site: Site, requisition: Requisition, *, link: str) -> list[str]:
    """One message at a time for the same order, patient and exam numbers."""
    identifiers = identifiers_that_count(
        requisition.patient.identifiers, authority=identifier_authority(site, link)
    )
    order = actions.lock_name(
        site_id=site.pk, authority=requisition.placer_authority or link, placer=requisition.placer
    )
    numbers = actions.number_locks(site_id=site.pk, asked_for=requisition.exams)
    return [order, *numbers, *patients.lock_names(site_id=site.pk, identifiers=identifiers)]


def order_meant(site: Site, requisition: Requisition, *, link: str) -> Order | None:
    """The order here that is meant: by its placer number, else by a number of one of its exams.

    Some senders name the issuer of their number in one message and leave it out in the next.
    """
    order = None
    if requisition.placer:
        order = queries.order_by_placer(
            site=site, authority=requisition.placer_authority, placer=requisition.placer
        )
    if order is not None or requisition.control is OrderControl.NEW:
        return order
    if requisition.filler:
        order = queries.order_by_filler(site=site, filler=requisition.filler)
    if order is None and requisition.placer:
        order = queries.order_without_issuer(
            site=site, link=link, authority=requisition.placer_authority, placer=requisition.placer
        )
    return order


def patient_of_order(
    site: Site,
    requisition: Requisition,
    order: Order | None,
    *,
    link: str,
    at: datetime,
    by: str,
    simulated: bool,
    vouched: bool,
) -> Patient:
    """Whose order it is; an order that is here keeps its patient."""
    try:
        found = find_patient(
            site=site,
            said=requisition.patient,
            link=link,
            at=at,
            by=by,
            simulated=simulated,
            vouched=vouched,
            create=order is None,
        )
    except patients.NoIdentifier:
        if order is None:
            raise NoPatientNumber(
                f"Order {requisition.placer} was not taken: its patient {what_lacks(requisition.patient.identifiers)}."
            ) from None
        return order.patient
    if order is not None and found.pk != (order.patient.merged_into_id or order.patient_id):
        raise PatientConflict(
            f"Order {order.placer} is of another patient than this message says. Nothing was changed; "
            "compare the two, and send a merge or a new order."
        )
    return found


def find_patient(
    *,
    site: Site,
    said: Demographics,
    link: str,
    at: datetime,
    by: str,
    simulated: bool,
    vouched: bool = True,
    create: bool = True,
) -> Patient:
    """The patient that a message speaks of, made or brought up to date, with the facts that tell of it.

    Call inside the step's transaction, holding the patient's locks. Raises PatientConflict,
    and `patients.NoIdentifier`.
    """
    try:
        found = patients.find_or_create(
            site=site,
            said=said,
            authority=identifier_authority(site, link),
            at=at,
            simulated=simulated,
            vouched=vouched,
            locked=True,
        )
    except patients.SeveralPatients:
        raise PatientConflict(
            "The numbers, name and birth date given do not belong to one patient here. "
            "Nothing was changed; find out who is meant, and send it again or merge the records."
        ) from None
    if found.created or found.changed:
        record(
            site_id=site.pk,
            kind=FactKind.PATIENT_CREATED if found.created else FactKind.PATIENT_UPDATED,
            at=at,
            by=by,
            patient=found.patient.pk,
            data=_what_changed(found.changed, in_doubt=found.may_be_another),
            simulated=simulated,
        )
    if found.may_be_another:
        _doubt(found.patient, said_by=link or by, at=at)
    return found.patient


def _doubt(patient: Patient, *, said_by: str, at: datetime) -> None:
    """Put before a person that a record with exams here may be of somebody else now."""
    exam = (
        patient.orders.exclude(exams=None).order_by("-id").values_list("exams__accession", flat=True).first()
    )
    if exam:
        raise_item(
            site_id=patient.site_id,
            kind=ItemKind.RECORD_DOUBT,
            key=f"record doubt:{patient.pk}",
            at=at,
            text=f"{said_by} gave the patient of exam {exam} another name and birth date at once. Compare its messages: is it "
            "the same person? If not, stop the exam and have the record put right where it came from.",
            accession=exam,
            patient=patient.pk,
        )


def _what_changed(changed: tuple[str, ...], *, in_doubt: bool = False) -> dict[str, object]:
    """Which parts changed, never to what; `identity` where images made before carry other ones, `in_doubt` where it may be another person."""
    if not changed:
        return {}
    told: dict[str, object] = {"changed": list(changed), "identity": bool(IDENTITY & set(changed))}
    return told | ({"in_doubt": True} if in_doubt else {})


def _create(
    site: Site,
    requisition: Requisition,
    patient: Patient,
    *,
    source: str,
    at: datetime,
    by: str,
    simulated: bool,
) -> Received:
    order, exams = actions.create_order(
        site=site,
        patient=patient,
        requisition=requisition,
        source=source,
        policies=policies_of(site),
        at=at,
        simulated=simulated,
    )
    for exam in exams:
        tell(exam, FactKind.ORDER_RECEIVED, at=at, by=by, data=order_told(exam))
    return Received(order, tuple(exams), Outcome.CREATED)


def _apply(site: Site, order: Order, requisition: Requisition, *, at: datetime, by: str) -> Received:
    match requisition.control:
        case OrderControl.NEW | OrderControl.CHANGE:
            exams, done = change_order(site=site, order=order, requisition=requisition, at=at, by=by)
            outcome = Outcome.CHANGED
        case OrderControl.CANCEL:
            exams, done = _end(order, requisition, "cancelled by the sender", at=at, by=by)
            outcome = Outcome.CANCELLED
        case OrderControl.DISCONTINUE:
            exams, done = _end(order, requisition, "discontinued by the sender", at=at, by=by)
            outcome = Outcome.DISCONTINUED
        case OrderControl.COMPLETED_ELSEWHERE:
            exams, done = _end(order, requisition, "done elsewhere", at=at, by=by)
            outcome = Outcome.COMPLETED_ELSEWHERE
        case OrderControl.HOLD:
            exams, done = hold_order(order=order, requisition=requisition, at=at, by=by)
            outcome = Outcome.HELD
        case OrderControl.RELEASE:
            exams, done = release_order(order=order, requisition=requisition, at=at, by=by)
            outcome = Outcome.RELEASED
        case OrderControl.NEWS:  # nothing is asked; `heed` compares it
            exams, done, outcome = queries.exams_of(order), False, Outcome.UNCHANGED
    return Received(order, tuple(exams), outcome if done else Outcome.UNCHANGED)


def _end(
    order: Order, requisition: Requisition, why: str, *, at: datetime, by: str
) -> tuple[list[Exam], bool]:
    """Cancel the exams that are named, with their places in the plan; none may have begun. With its last exam the order ends."""
    exams = queries.exams_of(order)
    meant = exams_named(exams, requisition)
    standing = [exam for exam in meant if exam.triage != TriageState.CANCELLED]
    refuse_begun(standing)
    for exam in standing:
        call_off(exam, kind=FactKind.ORDER_CANCELLED, at=at, by=by, why=why)
    if standing and all(exam.triage == TriageState.CANCELLED for exam in exams):
        actions.set_order_state(
            order, OrderState.COMPLETED if why == "done elsewhere" else OrderState.CANCELLED
        )
    return meant, bool(standing)


FACT_OF_EVENT = {
    PatientEvent.ADMIT: FactKind.PATIENT_ADMITTED,
    PatientEvent.CANCEL_DISCHARGE: FactKind.PATIENT_ADMITTED,
    PatientEvent.DISCHARGE: FactKind.PATIENT_DISCHARGED,
    PatientEvent.CANCEL_ADMIT: FactKind.PATIENT_DISCHARGED,
}
"""What news of a stay is told as; a transfer is told where the patient really moved."""

COMES = (PatientEvent.REGISTER, PatientEvent.ARRIVE)
"""News that says that the patient stands at the desk."""


def receive_patient_event(
    *,
    site: Site,
    event: PatientEvent,
    patient: Demographics,
    link: str,
    at: datetime,
    by: str,
    simulated: bool = False,
) -> Patient:
    """Do what news of a patient asks: who they are, where they lie, whether they are here.

    Somebody who moves is fetched from the new bed: the stay's open orders follow. Somebody
    who registers or arrives is here for the exams booked today.

    Raises PatientConflict, and IncompleteOrder where the news names no number of the patient.
    """
    with transaction.atomic():
        identifiers = identifiers_that_count(patient.identifiers, authority=identifier_authority(site, link))
        locks.take(patients.lock_names(site_id=site.pk, identifiers=identifiers))
        try:
            found = find_patient(site=site, said=patient, link=link, at=at, by=by, simulated=simulated)
        except patients.NoIdentifier:
            raise NoPatientNumber(
                f"The message was not taken: its patient {what_lacks(patient.identifiers)}."
            ) from None
        _follow_stay(found, event, patient, at=at, by=by)
        if event in COMES:
            patient_is_here(site=site, patient_id=found.pk, at=at, by=by)
        return found


def _follow_stay(patient: Patient, event: PatientEvent, said: Demographics, *, at: datetime, by: str) -> None:
    change = patients.record_visit(patient=patient, event=event, said=said.visit, at=at)
    if change is None:
        return
    visit = change.visit
    if change.moved:
        orders = actions.move_orders(
            patient=patient,
            visit_number=visit.number,
            patient_class=said.visit.patient_class[:1],
            ward=visit.ward,
            bed=visit.bed,
        )
        _tell_of(patient, FactKind.PATIENT_MOVED, at=at, by=by, data={"ward": visit.ward, "orders": orders})
    if kind := FACT_OF_EVENT.get(event):
        _tell_of(patient, kind, at=at, by=by, data={"event": event.value, "ward": visit.ward})


def _tell_of(patient: Patient, kind: FactKind, *, at: datetime, by: str, data: dict[str, object]) -> None:
    record(
        site_id=patient.site_id,
        kind=kind,
        at=at,
        by=by,
        patient=patient.pk,
        data=data,
        simulated=patient.simulated,
    )
