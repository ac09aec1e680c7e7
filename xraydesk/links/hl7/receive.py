"""Taking a message: its bytes and their effect in one transaction, then its answer (DESIGN rule 2)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.models import Fact
from xraydesk.journey.receive import lock_names, questions_of_order
from xraydesk.lib import locks
from xraydesk.lib.prepared import Question, all_or_nothing, ask_ahead, gathered, work
from xraydesk.lib.text import shortened
from xraydesk.links import messages
from xraydesk.links.hl7.ack import NOBODY, Asked, answers
from xraydesk.links.hl7.apply import JOURNEY, Effect, Steps, Waiting, apply, one_new_order, refused, waits
from xraydesk.links.hl7.framing import Broken
from xraydesk.links.hl7.partners import Directory, Partner, may_send
from xraydesk.links.hl7.reader import (
    Batch,
    Message,
    Segment,
    Separators,
    Unreadable,
    escaped,
    read_batch,
    read_header,
)
from xraydesk.links.hl7.refusals import Condition
from xraydesk.links.models import Message as MessageRow
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import Requisition
from xraydesk.patients.models import Patient, PatientIdentifier

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRY_AGAIN_SECONDS = (0.0, 0.2)
"""Waits before a second and a third try."""

ROWS_OF_AN_ORDER = (Patient, PatientIdentifier, Fact, Fact, Order, Exam, MessageRow)
"""What is written where a new order of a new patient comes."""

CONTROL_ID_LENGTH_MAX = 199
BROKEN_BYTES_MAX = 65_536
"""So much is kept of what was no frame."""


class NotKept(ConnectionError):
    """The database could not keep the message: its sender gets no answer, and sends it again (row 1 of the faults)."""


@dataclass(frozen=True)
class Peer:
    """Who is at the other end."""

    address: str = "127.0.0.1"
    encrypted: bool = False


@dataclass(frozen=True)
class Taken:
    """What lay in one frame, from whom, and when."""

    payload: bytes
    peer: Peer
    at: datetime


@dataclass(frozen=True)
class NewOrder:
    """A message that asks for one new order and for nothing else."""

    message: Message
    arrived: messages.Arrived
    partner: Partner
    peer: Peer
    at: datetime
    asked_for: Requisition

    @cached_property
    def locks(self) -> frozenset[str]:
        """The names of the locks under which it is taken; messages that share none do not concern one another."""
        site, link = self.partner.site, self.partner.link.name
        of_order = lock_names(site, self.asked_for, link=link)
        return frozenset([messages.lock_name(site=site, arrived=self.arrived), *of_order])

    def questions(self) -> list[Question]:
        """What taking it asks, once it holds them."""
        site, link = self.partner.site, self.partner.link.name
        return [
            messages.question_of_earlier(site=site, arrived=self.arrived),
            *questions_of_order(site=site, requisition=self.asked_for, link=link),
        ]


class Receiver:
    """Takes messages for every site of this database; one for all threads of a process."""

    def __init__(self, steps: Steps = JOURNEY) -> None:
        self._steps = steps
        self.directory = Directory()

    def receive(self, payload: bytes, *, peer: Peer, at: datetime) -> tuple[bytes, ...]:
        """Take what lay in one frame and return its answers, each to go into a frame of its own.

        A batch is answered by one batch. Raises NotKept where nothing may be acknowledged.
        """
        partner = _sure(lambda: self._partner(payload))
        try:
            batch = read_batch(payload, fallback=partner.link.charset if partner else "iso8859-1")
        except Unreadable as error:
            return _sure(partial(self._unreadable, payload, partner, str(error), at))
        if partner is None:
            return _no_site(batch.messages[0], at)
        if len(batch.messages) == 1 and not batch.enveloped:
            return _sure(lambda: self._one(batch.messages[0], payload, partner, peer, at))
        if batch.miscount:
            _sure(partial(self._miscounted, batch, partner, at))
        found: list[bytes] = []
        for message in batch.messages:
            raw = message.text().encode(message.codec, "replace")
            found += _sure(partial(self._one, message, raw, partner, peer, at))
        return (_batch(batch, found),) if batch.enveloped else tuple(found)

    def _miscounted(self, batch: Batch, partner: Partner, at: datetime) -> None:
        """Put before a person that a batch came in part. Its messages are taken as they are."""
        effect = waits(ItemKind.MESSAGE_NOT_APPLIED, batch.miscount)
        raw = batch.header.text().encode()[:BROKEN_BYTES_MAX]
        arrived = messages.Arrived(raw, partner.link.name, "", batch.header.name)
        messages.keep_once(site=partner.site, arrived=arrived, effect=effect, answers=(), at=at)

    def receive_broken(self, broken: Broken, *, peer: Peer, at: datetime) -> tuple[bytes, ...]:
        """Keep bytes that were no frame, put them before a person, and refuse them where their sender waits."""
        try:
            header: Segment | None = read_header(broken.payload)
        except Unreadable:
            header = None
        effect = refused(Condition.INTERNAL, "", f"Framing error: {broken.fault.value}")
        asked = Asked(Separators.of_header(header.text()), header, "iso8859-1") if header else NOBODY
        found = answers(asked, code="AR", at=at, number=_number(at), trouble=effect.trouble)
        found = found if broken.answered else ()
        partner = _sure(partial(self.directory.partner_of, header))
        if partner is None:
            log.warning("framing error for no site", address=peer.address, fault=broken.fault.name)
            return found
        text = f"{effect.why} (from {peer.address}). Its sender's connection needs a look"
        # One open item a peer and fault: a scanner of ports cannot bury the list.
        waiting = Waiting(ItemKind.MESSAGE_NOT_APPLIED, text, f"framing:{peer.address}:{broken.fault.name}")
        _sure(
            partial(
                messages.keep_once,
                site=partner.site,
                arrived=messages.Arrived(broken.payload[:BROKEN_BYTES_MAX], partner.link.name, "", ""),
                effect=replace(effect, waiting=waiting),
                answers=found,
                at=at,
            )
        )
        return found

    def _partner(self, payload: bytes) -> Partner | None:
        try:
            return self.directory.partner_of(read_header(payload))
        except Unreadable:
            return self.directory.partner_of(None)

    def receive_together(self, frames: Sequence[Taken]) -> list[tuple[bytes, ...] | None]:
        """Take what lay in frames of as many connections with one end of one transaction; the answers of each.

        None for what is to be taken by itself (`receive`): all but new orders that do not concern one another, and
        every one of them where something speaks against one. Never raises.
        """
        found: list[tuple[bytes, ...] | None] = [None] * len(frames)
        try:
            chosen = self._chosen(frames)
            if len(chosen) > 1:
                answered = self._quick([order for _, order in chosen])
                for (place, _), mine in zip(chosen, answered, strict=True):
                    found[place] = mine
        except (OperationalError, InterfaceError):
            connection.close()
        except Exception:  # whatever it was, it left nothing: taken one by one each is answered and seen
            log.debug("messages are taken one by one", messages=len(frames))
        return found

    def _chosen(self, frames: Sequence[Taken]) -> list[tuple[int, NewOrder]]:
        """Those of the frames that are taken together, with their places: new orders no two of which need the same lock."""
        chosen: list[tuple[int, NewOrder]] = []
        names: set[str] = set()
        for place, frame in enumerate(frames):
            order = self._new_order(frame)
            if order is None or not names.isdisjoint(order.locks):
                continue
            if len(names) + len(order.locks) > locks.LOCKS_AT_ONCE_MAX:
                break
            names |= order.locks
            chosen.append((place, order))
        return chosen

    def _new_order(self, frame: Taken) -> NewOrder | None:
        """The one new order in a frame; None where there is anything else in it."""
        try:
            partner = self._partner(frame.payload)
            if partner is None:
                return None
            batch = read_batch(frame.payload, fallback=partner.link.charset)
        except Unreadable:
            return None
        if len(batch.messages) > 1 or batch.enveloped:
            return None
        return _as_new_order(batch.messages[0], frame.payload, partner, frame.peer, frame.at)

    def _one(
        self, message: Message, raw: bytes, partner: Partner, peer: Peer, at: datetime
    ) -> tuple[bytes, ...]:
        """Take one message. Most are new orders that nothing speaks against: for them a quick try comes first.

        In the quick try no step can be undone by itself; where one fails, all of it is undone and done with care.
        """
        order = _as_new_order(message, raw, partner, peer, at)
        if order is not None:
            try:
                return self._quick([order])[0]
            except (OperationalError, InterfaceError):
                raise
            except Exception:  # whatever it was, it left nothing: done with care it is answered and seen
                log.debug("message is taken with care", type=message.type)
        with gathered():
            return self._taken(message, _arrived(message, raw, partner), partner, peer, at=at)

    def _quick(self, orders: Sequence[NewOrder]) -> list[tuple[bytes, ...]]:
        """Take new orders that do not concern one another in one transaction, all of them or none; the answers of each."""
        messages_held = [messages.lock_name(site=o.partner.site, arrived=o.arrived) for o in orders]
        others_held = [name for o in orders for name in o.locks if name not in messages_held]
        with all_or_nothing(), gathered(*ROWS_OF_AN_ORDER), locks.held([*messages_held, *others_held]):
            # As for a message that is taken by itself: first the locks of the messages, then those of what they tell.
            first = [locks.question(messages_held), locks.question(others_held)]
            ask_ahead(*(o.questions() for o in orders), first=first)
            found = []
            for number, o in enumerate(orders):
                with work(number):
                    found.append(
                        self._taken(o.message, o.arrived, o.partner, o.peer, at=o.at, order=o.asked_for)
                    )
        return found

    def _taken(
        self,
        message: Message,
        arrived: messages.Arrived,
        partner: Partner,
        peer: Peer,
        *,
        at: datetime,
        order: Requisition | None = None,
    ) -> tuple[bytes, ...]:
        earlier = messages.lock_and_find(site=partner.site, arrived=arrived)
        same = next((m for m in earlier if m.body_sha256 == arrived.body_sha256), None)
        if same is not None and same.ack not in ("AE", "AR"):
            messages.count_resend(same.pk)
            return _as_before(same)
        effect = self._effect(message, partner, peer, at=at, order=order)
        found = _answered(message, effect, at)
        if same is not None:
            messages.keep_again(earlier=same, effect=effect, answers=found, at=at)
            return found
        row = messages.keep(site=partner.site, arrived=arrived, effect=effect, answers=found, at=at)
        if earlier:
            messages.put_conflict_before_a_person(message=row, earlier=earlier[-1], at=at)
        return found

    def _effect(
        self, message: Message, partner: Partner, peer: Peer, *, at: datetime, order: Requisition | None
    ) -> Effect:
        if not partner.link.name:
            application, facility = message.header.get(3), message.header.get(4)
            words = (
                f"No link has the sender “{shortened(application, 60)}” of “{shortened(facility, 60)}”:"
                " add one to the site file"
                if application or facility
                else "MSH-3 and MSH-4 are empty: they must say who sends, as a link of the site file names it"
            )
            return refused(Condition.UNKNOWN_KEY, "MSH^1^3", words, by_rules=True)
        if not may_send(partner.link, peer.address, encrypted=peer.encrypted):
            return refused(
                Condition.UNKNOWN_KEY,
                "MSH^1^3",
                "This link takes nothing in clear from that address: use TLS",
            )
        if len(message.control_id) > CONTROL_ID_LENGTH_MAX:
            return refused(
                Condition.DATA_TYPE, "MSH^1^10", f"MSH-10 has more than {CONTROL_ID_LENGTH_MAX} characters"
            )
        return apply(message, partner=partner, at=at, steps=self._steps, order=order)

    def _unreadable(
        self, payload: bytes, partner: Partner | None, reason: str, at: datetime
    ) -> tuple[bytes, ...]:
        effect = refused(Condition.UNSUPPORTED_TYPE, "", f"This is no HL7 v2 message: {reason}")
        found = answers(NOBODY, code="AR", at=at, number=_number(at), trouble=effect.trouble)
        if partner:
            arrived = messages.Arrived(payload, partner.link.name, "", "")
            with transaction.atomic():
                messages.keep(site=partner.site, arrived=arrived, effect=effect, answers=found, at=at)
        return found


def _arrived(message: Message, raw: bytes, partner: Partner) -> messages.Arrived:
    return messages.Arrived(
        raw=raw,
        link=partner.link.name,
        # A number of blanks alone names nothing: two such messages are not one that came again.
        control_id=message.control_id[:CONTROL_ID_LENGTH_MAX] if message.control_id.strip() else "",
        type=message.type,
        charset=message.codec,
    )


def _as_new_order(
    message: Message, raw: bytes, partner: Partner, peer: Peer, at: datetime
) -> NewOrder | None:
    """The new order that a message asks for; None where it asks for anything else, or cannot be told from another."""
    arrived = _arrived(message, raw, partner)
    asked_for = one_new_order(message, partner) if arrived.control_id else None
    return NewOrder(message, arrived, partner, peer, at, asked_for) if asked_for else None


def _sure(work: Callable[[], T]) -> T:
    """Do `work`, again where the database asks for it or came back.

    It is safe to repeat: where the first try was committed after all, the second finds its
    row and answers as before. Raises NotKept where the database stays away.
    """
    for wait in (*TRY_AGAIN_SECONDS, None):
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if wait is None:
                log.warning("message not kept, no answer", error=type(error).__name__)
                raise NotKept from error
            time.sleep(wait)
    raise NotKept  # pragma: no cover - the loop returns or raises


def _answered(message: Message, effect: Effect, at: datetime) -> tuple[bytes, ...]:
    if not effect.answered:
        return ()
    return answers(
        Asked.by(message),
        code=effect.code,
        at=at,
        number=_number(at),
        trouble=effect.trouble,
        orders=effect.orders,
    )


def _as_before(earlier: messages.Earlier) -> tuple[bytes, ...]:
    """The answers that a message had the first time; its sender may not have seen them."""
    kept = bytes(earlier.answer)
    return tuple(kept.split(messages.ANSWERS_APART)) if kept else ()


def _no_site(message: Message, at: datetime) -> tuple[bytes, ...]:
    """No site is loaded, or it cannot be told which one is meant: nobody here could look at the message."""
    log.warning("message for no site", type=message.type)
    effect = refused(Condition.UNKNOWN_KEY, "MSH^1^5", "It cannot be told which department this is for")
    return answers(Asked.by(message), code="AR", at=at, number=_number(at), trouble=effect.trouble)


def _batch(batch: Batch, found: list[bytes]) -> bytes:
    """The answers to a batch as a batch, to a file as a file with one batch (HL7 2.5.1 §2.10.3.1)."""
    header, mark = batch.header, batch.header.separators.field
    turned = [header.separators.declared(), header.raw(5), header.raw(6), header.raw(3), header.raw(4)]
    remark = [escaped(batch.miscount, header.separators)] if batch.miscount else []
    lines = [mark.join(("BHS", *turned)), *(a.decode("iso8859-1").rstrip("\r") for a in found)]
    lines.append(mark.join(("BTS", str(len(found)), *remark)))
    if header.name == "FHS":
        lines = [mark.join(("FHS", *turned)), *lines, mark.join(("FTS", "1"))]
    return ("\r".join(lines) + "\r").encode("iso8859-1")


def _number(at: datetime) -> str:
    """Our own number for an answer, of at most 19 characters: the time in microseconds, and chance."""
    return f"{int(at.timestamp() * 1_000_000):X}{secrets.token_hex(3).upper()}"
