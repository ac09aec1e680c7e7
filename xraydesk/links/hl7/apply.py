"""What a message makes happen: one journey step for each order or patient in it, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction

from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import heard
from xraydesk.journey import errors
from xraydesk.journey.appointment import receive_appointment
from xraydesk.journey.cancel import cancel_after_start_key
from xraydesk.journey.heed import heed_status
from xraydesk.journey.merge import Merged, receive_merge
from xraydesk.journey.numbers import number_for_order
from xraydesk.journey.receive import Outcome as OrderOutcome
from xraydesk.journey.receive import Received, receive_order, receive_patient_event
from xraydesk.journey.report import ReceivedReport, receive_reports
from xraydesk.lib.prepared import is_all_or_nothing
from xraydesk.links.hl7 import appointment_in
from xraydesk.links.hl7 import patient as news
from xraydesk.links.hl7.ack import OrderReply, Trouble
from xraydesk.links.hl7.field_rules import as_ruled
from xraydesk.links.hl7.merging import MERGES, read_merges
from xraydesk.links.hl7.order import NumberAsked, read_number_requests, read_requisitions
from xraydesk.links.hl7.partners import Partner
from xraydesk.links.hl7.patient import numbers_named
from xraydesk.links.hl7.reader import Message
from xraydesk.links.hl7.refusals import Condition, NeedsPerson, Rejected
from xraydesk.links.hl7.report import read_reports
from xraydesk.links.states import MessageState
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import Requisition
from xraydesk.results.rules import Outcome
from xraydesk.siteplan.link_plan import OrderControl

log = structlog.get_logger(__name__)

ORDERS = frozenset({("ORM", "O01"), ("ORM", ""), ("OMG", "O19"), ("OMI", "O23")})
RESULTS = frozenset(
    {("ORU", "R01"), ("ORU", ""), ("MDM", "T02"), ("MDM", "T08"), ("MDM", "T10"), ("MDM", "T11")}
)
"""An addendum by itself (MDM^T06) is none: its text would stand in the place of the report's."""
RESULTS_ONLY = "results"
"""The kind of a link over which results come and nothing else."""

DONE_STATES = (MessageState.APPLIED, MessageState.IGNORED)

DONE = {
    OrderControl.NEW: "OK",
    OrderControl.CHANGE: "XR",
    OrderControl.CANCEL: "CR",
    OrderControl.DISCONTINUE: "DR",
    OrderControl.COMPLETED_ELSEWHERE: "OK",
    OrderControl.HOLD: "HR",
    OrderControl.RELEASE: "OK",
    OrderControl.NEWS: "OK",
}
NOT_DONE = {
    OrderControl.NEW: "UA",
    OrderControl.CHANGE: "UX",
    OrderControl.CANCEL: "UC",
    OrderControl.DISCONTINUE: "UD",
    OrderControl.COMPLETED_ELSEWHERE: "UA",
    OrderControl.HOLD: "UH",
    OrderControl.RELEASE: "UR",
    OrderControl.NEWS: "UA",
}
"""ORC-1 of the reply to each wish (HL7 table 0119)."""


@dataclass(frozen=True)
class Steps:
    """The journey steps that a message can lead to."""

    order: Callable[..., Received] = receive_order
    status: Callable[..., Received | None] = heed_status
    patient: Callable[..., Any] = receive_patient_event
    reports: Callable[..., list[ReceivedReport]] = receive_reports
    merge: Callable[..., Merged] = receive_merge
    appointment: Callable[..., Received] = receive_appointment


JOURNEY = Steps()


@dataclass(frozen=True)
class Waiting:
    """What is to be put before a person because of a message; `key` is "" for the message's own.

    `numbers` are those of an exam that has not come yet: once it does, the message is applied. `orders` are those of an order
    that has not come yet and is changed or taken back: once it does, that is done if it was said later. `patients` are the numbers
    of records that stand otherwise than the message says, and `by_rules` is True where the link's rules cannot read it:
    once the records, or the rules, change, it is read again.
    """

    kind: ItemKind
    text: str
    key: str = ""
    accession: str = ""
    numbers: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    by_rules: bool = False

    @property
    def mended_by(self) -> dict[str, Any]:
        """What the item keeps of that, so that it is found once something is mended."""
        said = {
            "numbers": list(self.numbers),
            "orders": list(self.orders),
            "patients": list(self.patients),
            "by_rules": self.by_rules,
        }
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True)
class Effect:
    """What became of a message, how it is answered, and what waits for a person because of it."""

    state: MessageState
    code: str = "AA"
    trouble: Trouble | None = None
    orders: tuple[OrderReply, ...] = ()
    accession: str = ""
    patient: int | None = None
    waiting: Waiting | None = None
    answered: bool = True
    facts: tuple[int, ...] = ()
    """What happened because of it: keys of facts."""

    @property
    def why(self) -> str:
        """In a sentence, why it was not applied."""
        if self.trouble:
            return self.trouble.sentence
        return self.waiting.text if self.waiting else ""


def refused(
    condition: Condition,
    where: str,
    sentence: str,
    *,
    patients: tuple[str, ...] = (),
    by_rules: bool = False,
) -> Effect:
    """A message that its sender must correct, or that is read again once something here is mended; a person sees it too."""
    return Effect(
        MessageState.REFUSED,
        condition.ack,
        Trouble(condition, where, sentence),
        waiting=Waiting(ItemKind.MESSAGE_NOT_APPLIED, sentence, patients=patients, by_rules=by_rules),
    )


def waits(kind: ItemKind, sentence: str, *, patients: tuple[str, ...] = ()) -> Effect:
    """A message that is kept and taken, and on which a person decides."""
    return Effect(MessageState.WAITING, waiting=Waiting(kind, sentence, patients=patients))


def one_new_order(message: Message, partner: Partner) -> Requisition | None:
    """The order in a message that asks for one new order and for nothing else; None for every other message."""
    if (message.header.get(9, 1), message.header.get(9, 2)) not in ORDERS or not partner.link.name:
        return None
    try:
        message = as_ruled(message, partner.link.fields)
        wishes = read_requisitions(message, zone=partner.zone, words=partner.link.controls)
    except Exception:  # whatever is wrong with it is found again, and told, where the message is applied
        return None
    return wishes[0] if len(wishes) == 1 and wishes[0].control is OrderControl.NEW else None


def apply(
    message: Message,
    *,
    partner: Partner,
    at: datetime,
    steps: Steps = JOURNEY,
    order: Requisition | None = None,
) -> Effect:
    """Do what a message asks, in the caller's transaction, and say what became of it; what failed left nothing.

    Each step is a savepoint of its own. Raises django.db.OperationalError and InterfaceError alone: then the database is not
    there, or asks for another try, and nothing may be acknowledged. Where all or nothing is to be done, everything that
    a step raises goes through: the caller's transaction can only be undone.
    """
    try:
        with heard() as facts:
            effect = _effect(message, partner, at, steps, order)
        # What a step wrote before it was refused is not there any more.
        return replace(effect, facts=tuple(facts)) if effect.state in DONE_STATES else effect
    except Rejected as error:
        return refused(error.condition, error.where, error.sentence, by_rules=True)
    except NeedsPerson as error:
        return waits(ItemKind.MESSAGE_NOT_APPLIED, str(error))
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # the edge of the protocol: the bytes are kept, and a person sees it
        if is_all_or_nothing():
            raise
        log.exception("message not applied", type=message.type, site=partner.site.code)
        name = type(error).__name__
        return waits(
            ItemKind.MESSAGE_NOT_APPLIED,
            f"The desk failed while applying this message ({name}). It is kept: replay it once the cause is mended",
        )


def _effect(
    message: Message, partner: Partner, at: datetime, steps: Steps, order: Requisition | None
) -> Effect:
    if order is None:
        message = as_ruled(message, partner.link.fields)
    code, event = message.header.get(9, 1), message.header.get(9, 2)
    event = event or message.first("EVN").get(1)
    if any(message.all("MSA")):
        # An answer is never answered: two desks that did so would never stop.
        return Effect(MessageState.IGNORED, answered=False)
    if not message.control_id.strip():
        raise Rejected(
            Condition.FIELD_MISSING,
            "MSH^1^10",
            "MSH-10 is empty: without a control id a resend is not recognised",
        )
    if (code, event) in RESULTS:
        return _reports(message, partner, at, steps)
    if partner.link.kind == RESULTS_ONLY:
        raise Rejected(
            Condition.UNSUPPORTED_TYPE,
            "MSH^1^9",
            f"{message.type or 'A message without a type'} is not taken over this link: "
            f"the site file says that {partner.link.name} sends results (ORU^R01, MDM) alone",
        )
    if (code, event) in ORDERS:
        return _order(message, partner, at, steps, order)
    if code == "ADT":
        return _patient(event, message, partner, at, steps)
    if code == "SIU":
        return _appointments(event, message, partner, at, steps)
    raise Rejected(
        Condition.UNSUPPORTED_TYPE,
        "MSH^1^9",
        f"{message.type or 'A message without a type'} is not taken here: "
        "this desk takes ORM^O01, OMG^O19, OMI^O23, ORU^R01, MDM^T02, T08, T10 and T11, SIU and ADT",
    )


def _patient(event: str, message: Message, partner: Partner, at: datetime, steps: Steps) -> Effect:
    if event in MERGES:
        return _merge(event, message, partner, at, steps)
    if event in news.DELETES:
        return waits(
            ItemKind.MESSAGE_NOT_APPLIED, f"ADT^{event} asks to delete a patient; nothing was changed"
        )
    if event in news.NOT_OURS:
        return Effect(MessageState.IGNORED)
    if event not in news.EVENTS:
        raise Rejected(
            Condition.UNSUPPORTED_EVENT, "MSH^1^9", f"ADT^{event} is no event that this desk knows"
        )
    said = news.read_news(message, event, partner.zone)
    patients = []
    try:
        with _together(len(said)):
            for kind, one in said:
                patients.append(
                    steps.patient(site=partner.site, event=kind, patient=one, at=at, **_who(partner))
                )
    except errors.Refused as error:
        return _refused_by(error, message)
    return Effect(MessageState.APPLIED, patient=patients[0].pk)


def _merge(event: str, message: Message, partner: Partner, at: datetime, steps: Steps) -> Effect:
    """Records or stays that are joined, parted or renumbered: all that the message asks, or nothing."""
    said = read_merges(message, event, partner.zone)
    why = f"ADT^{event} from {partner.link.name}"
    done: list[Merged] = []
    try:
        with _together(len(said)):
            for one in said:
                done.append(steps.merge(site=partner.site, news=one, at=at, why=why, **_who(partner)))
    except errors.SamePatient as error:
        effect = refused(Condition.DUPLICATE_KEY, f"MRG^{len(done) + 1}^1", str(error))
        return replace(effect, waiting=Waiting(ItemKind.MERGE_REQUESTED, str(error)))
    except errors.PersonDecides as error:
        return waits(ItemKind.MERGE_REQUESTED, str(error), patients=numbers_named(message))
    except errors.Refused as error:
        return _refused_by(error, message)
    is_new = any(one.is_new for one in done)
    return Effect(MessageState.APPLIED if is_new else MessageState.IGNORED, patient=done[0].patient.pk)


def _appointments(event: str, message: Message, partner: Partner, at: datetime, steps: Steps) -> Effect:
    """Times for orders that are here. An order that is not known here is waited for."""
    if event in appointment_in.NOT_OURS:
        return Effect(MessageState.IGNORED)
    if event not in appointment_in.EVENTS:
        raise Rejected(
            Condition.UNSUPPORTED_EVENT, "MSH^1^9", f"SIU^{event} is no event that this desk knows"
        )
    said = appointment_in.read_appointments(message, event, partner.zone)
    done: list[Received] = []
    try:
        with _together(len(said)):
            for one in said:
                done.append(steps.appointment(site=partner.site, news=one, at=at, **_who(partner)))
    except errors.UnknownOrder as error:
        numbers = tuple(sorted({number for one in said for number in (one.placer, one.filler) if number}))
        item = Waiting(ItemKind.MESSAGE_NOT_APPLIED, str(error), numbers=numbers)
        return Effect(MessageState.WAITING, waiting=item)
    except errors.PersonDecides as error:
        return waits(ItemKind.MESSAGE_NOT_APPLIED, str(error))
    except errors.Refused as error:
        return _refused_by(error, message)
    exams = [exam for received in done for exam in received.exams]
    return Effect(
        MessageState.APPLIED
        if any(one.outcome is not OrderOutcome.UNCHANGED for one in done)
        else MessageState.IGNORED,
        accession=exams[0].accession if exams else "",
        patient=done[0].order.patient_id if done else None,
    )


def _numbers(asked: Sequence[NumberAsked], partner: Partner, at: datetime) -> Effect:
    """Numbers that are asked for are given in a reply of their own kind, whatever the link wants otherwise."""
    replies = []
    try:
        with _together(len(asked)):
            for one in asked:
                number = number_for_order(
                    site=partner.site,
                    placer=one.placer,
                    authority=one.authority,
                    link=partner.link.name,
                    at=at,
                )
                replies.append(OrderReply("NA", one.placer, one.authority, number))
    except errors.Refused as error:
        return refused(*_condition_of(error), str(error))
    return Effect(MessageState.APPLIED, orders=tuple(replies))


def _order(
    message: Message, partner: Partner, at: datetime, steps: Steps, order: Requisition | None
) -> Effect:
    if order is None and (asked := read_number_requests(message)):
        return _numbers(asked, partner, at)
    wishes = (order,) if order else read_requisitions(message, zone=partner.zone, words=partner.link.controls)
    done: list[Received | None] = []
    try:
        with _together(len(wishes)):
            for wish in wishes:
                done.append(_one_order(wish, partner, at, steps))
    except errors.Refused as error:
        if is_all_or_nothing():
            raise
        return _not_done(wishes[len(done)], error, message, partner)
    known = [received for received in done if received is not None]
    exams = [exam for received in known for exam in received.exams]
    return Effect(
        MessageState.IGNORED if all(map(_told_nothing, wishes, done)) else MessageState.APPLIED,
        orders=tuple(map(_done, wishes, done)) if partner.link.application_replies else (),
        accession=exams[0].accession if exams else "",
        patient=known[0].order.patient_id if known else None,
    )


def _one_order(wish: Requisition, partner: Partner, at: datetime, steps: Steps) -> Received | None:
    """What was done with one order; None for news of one that never came here."""
    if wish.control is OrderControl.NEWS:
        return steps.status(site=partner.site, requisition=wish, link=partner.link.name, at=at)
    return steps.order(site=partner.site, requisition=wish, at=at, **_who(partner))


def _told_nothing(wish: Requisition, received: Received | None) -> bool:
    """True of news that the desk has already, or that is of an order which is not here."""
    return wish.control is OrderControl.NEWS and (
        received is None or received.outcome is OrderOutcome.UNCHANGED
    )


def _reports(message: Message, partner: Partner, at: datetime, steps: Steps) -> Effect:
    """What was read. An exam that is not known here is waited for; one of another patient is refused."""
    said = read_reports(message, zone=partner.zone)
    if not said:
        return Effect(MessageState.IGNORED)
    who = {"link": partner.link.name, "by": f"link:{partner.link.name}"}
    try:
        done = steps.reports(site=partner.site, reports=said, at=at, **who)
    except errors.UnknownExam as error:
        numbers = tuple(sorted({number for one in said for number in one.exam.numbers}))
        item = Waiting(ItemKind.REPORT_WITHOUT_EXAM, str(error), numbers=numbers)
        return Effect(MessageState.WAITING, waiting=item)
    except errors.PatientConflict as error:
        return _refused_by(error, message)
    is_new = any(one.outcome is Outcome.NEW_VERSION for one in done)
    return Effect(
        MessageState.APPLIED if is_new else MessageState.IGNORED,
        accession=done[0].exam.accession,
        patient=done[0].exam.patient_id,
    )


def _together(steps: int) -> AbstractContextManager[object]:
    """A savepoint around several steps, that stand or fall together; one step is a savepoint by itself."""
    return transaction.atomic() if steps > 1 else nullcontext()


def _done(wish: Requisition, received: Received | None) -> OrderReply:
    exams = received.exams if received is not None else ()
    number = next((e.filler or e.accession for e in exams), wish.filler)
    return OrderReply(DONE[wish.control], wish.placer, wish.placer_authority, number)


def _refused_by(error: errors.Refused, message: Message) -> Effect:
    """What a step refused: where records stand in the way, those of the message; where a field lacks, the rules may find it."""
    return refused(
        *_condition_of(error),
        str(error),
        patients=numbers_named(message) if isinstance(error, errors.PatientConflict) else (),
        by_rules=isinstance(error, errors.IncompleteOrder),
    )


def _not_done(wish: Requisition, error: errors.Refused, message: Message, partner: Partner) -> Effect:
    """A refused order. One that was cancelled too late is an item of its own, and no error where the link asks for replies."""
    effect = _refused_by(error, message)
    replies = partner.link.application_replies
    if replies:
        reply = OrderReply(NOT_DONE[wish.control], wish.placer, wish.placer_authority, wish.filler)
        effect = replace(effect, orders=(reply,))
    if isinstance(error, errors.UnknownOrder) and wish.placer and effect.waiting:
        effect = replace(effect, waiting=replace(effect.waiting, orders=(wish.placer,)))
    is_end = wish.control in (OrderControl.CANCEL, OrderControl.DISCONTINUE)
    if isinstance(error, errors.AlreadyStarted) and is_end:
        accession = _accession_of(partner.site, wish, partner.link.name)
        item = Waiting(ItemKind.CANCEL_AFTER_START, str(error), cancel_after_start_key(accession), accession)
        effect = replace(effect, waiting=item, accession=accession)
        if replies:
            effect = replace(effect, code="AA", trouble=None)
    elif isinstance(error, errors.AlreadyStarted):
        accession = _accession_of(partner.site, wish, partner.link.name)
        item = Waiting(ItemKind.MESSAGE_NOT_APPLIED, str(error), accession=accession)
        effect = replace(effect, waiting=item, accession=accession)
    return effect


def _accession_of(site: Site, wish: Requisition, link: str) -> str:
    """The exam that a wish is about."""
    exams = Exam.objects.filter(site=site).order_by("sequence")
    if wish.placer:
        exams = exams.filter(order__placer=wish.placer, order__placer_authority=wish.placer_authority or link)
    else:
        exams = exams.filter(filler=wish.filler)
    return exams.values_list("accession", flat=True).first() or ""


def _condition_of(error: errors.Refused) -> tuple[Condition, str]:
    """HL7's condition for what a step refused, and its place. AE, so 100 to 103: the sender must correct it."""
    match error:
        case errors.NoPatientNumber():
            return Condition.FIELD_MISSING, "PID^1^3"
        case errors.IncompleteOrder():
            return Condition.FIELD_MISSING, "ORC^1"
        case errors.UnknownOrder():
            return Condition.VALUE_NOT_FOUND, "ORC^1^2"
        case errors.PatientConflict():
            return Condition.VALUE_NOT_FOUND, "PID^1^3"
        case _:
            return Condition.VALUE_NOT_FOUND, "ORC^1^1"


def _who(partner: Partner) -> dict[str, Any]:
    return {
        "link": partner.link.name,
        "by": f"link:{partner.link.name}",
        "simulated": partner.site.simulated,
    }
