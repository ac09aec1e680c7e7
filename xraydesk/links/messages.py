"""Every message in and out: the only writer of its rows, lists of them, and applying one again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, Func, IntegerField, Q, QuerySet, Value

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.journey.errors import Refused
from xraydesk.lib import locks
from xraydesk.lib.prepared import Question, ask, insert
from xraydesk.lib.text import shortened
from xraydesk.links.hl7.apply import JOURNEY, Effect, Steps, apply, refused
from xraydesk.links.hl7.describe import describe, describe_message, differences
from xraydesk.links.hl7.field_rules import as_ruled
from xraydesk.links.hl7.partners import Directory
from xraydesk.links.hl7.patient import numbers_named
from xraydesk.links.hl7.reader import Unreadable, read_batch, read_header, read_message
from xraydesk.links.hl7.refusals import Condition
from xraydesk.links.models import Message
from xraydesk.links.states import Direction, MessageState
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.patients.queries import by_identifier
from xraydesk.siteplan.link_plan import LinkPlan

WHY_LENGTH_MAX = 500
RECORDS_NAMED_MAX = 20
FORGOTTEN_AT_ONCE_MAX = 10_000
FOUND_MAX = 100
SEARCHED_MAX = 20_000
"""So many of the newest messages are looked through for a text."""

SEARCH_LENGTH_MAX = 120
LIST_MAX = 100_000
"""No list is longer than this."""

ENDED_BY_APPLYING = (
    ItemKind.MESSAGE_NOT_APPLIED,
    ItemKind.REPORT_WITHOUT_EXAM,
    ItemKind.MERGE_REQUESTED,
)
"""What waits because a message was not applied, and for nothing once it is."""

WAITING_AT_ONCE_MAX = 50
"""No more reports than these are tried when an order comes; a person can replay the others."""

FACTS_KEPT_MAX = 500
"""A message names no more facts than these."""

FHIR_LINK = "fhir:"
"""How the links of programs that write by FHIR begin."""

ANSWERS_APART = b"\x1c"
"""Between the answers kept with a message that asked for two (it cannot occur in one)."""


class UnknownMessage(Refused):
    """There is no such message here."""


class NotReplayable(Refused):
    """The message cannot be applied again: it went out, or was applied already."""


@dataclass(frozen=True)
class Arrived:
    """A message as it came: its bytes, and what its header says."""

    raw: bytes
    link: str
    control_id: str
    type: str
    charset: str = ""

    @property
    def body_sha256(self) -> str:
        """Digest of everything after the first segment, line ends at the very end left out; of all where no number names it."""
        return hashlib.sha256(_body(self.raw) if self.control_id else self.raw).hexdigest()


def _body(raw: bytes) -> bytes:
    text = raw.lstrip(b"\r\n\x0b\x00 ")
    ends = [at for at in (text.find(b"\r"), text.find(b"\n")) if at >= 0]
    return text[min(ends) :].strip(b"\r\n\x00 ") if ends else b""


class Earlier(NamedTuple):
    """A message that came before with the same control id, as far as it is needed to recognise a resend."""

    pk: int
    body_sha256: str
    ack: str
    answer: bytes


def lock_and_find(*, site: Site, arrived: Arrived) -> list[Earlier]:
    """The messages that came by this link with this control id, newest last; others with it wait until the transaction ends."""
    if not arrived.control_id:
        return []
    locks.take([lock_name(site=site, arrived=arrived)])
    return [Earlier._make(row) for row in ask(question_of_earlier(site=site, arrived=arrived))]


def lock_name(*, site: Site, arrived: Arrived) -> str:
    """The name of the lock under which a message is found new and kept."""
    return f"message:{site.pk}:{arrived.link}:{arrived.control_id}"


def question_of_earlier(*, site: Site, arrived: Arrived) -> Question:
    """What `lock_and_find` asks once it holds the lock."""
    return Question(
        "SELECT id, body_sha256, ack, answer FROM links_message"
        " WHERE site_id = $1 AND direction = $2 AND link = $3 AND control_id = $4 ORDER BY id",
        [site.pk, str(Direction.IN), arrived.link, arrived.control_id],
        frozenset({"links_message"}),
    )


def keep(*, site: Site, arrived: Arrived, effect: Effect, answers: Sequence[bytes], at: datetime) -> Message:
    """Write down a message with what became of it, and put before a person what waits because of it."""
    message = Message(
        site=site,
        direction=Direction.IN,
        link=arrived.link,
        control_id=arrived.control_id,
        type=arrived.type[:32],
        at=at,
        raw=arrived.raw,
        charset=arrived.charset,
        body_sha256=arrived.body_sha256,
        simulated=site.simulated,
        site_version=site.version,
        **_outcome(effect, answers),
    )
    insert(message)
    _put_before_a_person(message, effect, at)
    return message


def keep_once(
    *, site: Site, arrived: Arrived, effect: Effect, answers: Sequence[bytes], at: datetime
) -> None:
    """Write down bytes that were no frame; the very same bytes again are counted on the row that is there."""
    with transaction.atomic():
        same = Message.objects.filter(
            site=site,
            direction=Direction.IN,
            link=arrived.link,
            control_id="",
            body_sha256=arrived.body_sha256,
            why=shortened(effect.why, WHY_LENGTH_MAX),
        ).first()
        if same is None:
            keep(site=site, arrived=arrived, effect=effect, answers=answers, at=at)
        else:
            count_resend(same.pk)
            _put_before_a_person(same, effect, at)


def keep_request(*, site: Site, link: str, type: str, raw: bytes, refused: str, at: datetime) -> Message:
    """Write down what a program sent by FHIR, applied or `refused`; its sender was told, and nobody here waits for it."""
    return Message.objects.create(
        site=site,
        direction=Direction.IN,
        link=link,
        type=type[:32],
        at=at,
        raw=raw,
        charset="utf-8",
        body_sha256=hashlib.sha256(raw).hexdigest(),
        state=MessageState.REFUSED if refused else MessageState.APPLIED,
        why=shortened(refused, WHY_LENGTH_MAX),
        simulated=site.simulated,
    )


def keep_again(*, earlier: Earlier, effect: Effect, answers: Sequence[bytes], at: datetime) -> None:
    """A message that was refused came once more and was read anew: what became of it this time."""
    outcome = _outcome(effect, answers)
    Message.objects.filter(pk=earlier.pk).update(**outcome, seen=F("seen") + 1)
    message = Message.objects.defer("raw").get(pk=earlier.pk)
    _close_or_put(message, effect, at, by=f"link:{message.link}", how="sent again and applied")


def count_resend(pk: int) -> None:
    """A resend that was recognised: no second row."""
    Message.objects.filter(pk=pk).update(seen=F("seen") + 1)


def put_conflict_before_a_person(*, message: Message, earlier: Earlier, at: datetime) -> None:
    """Two different messages came with one control id; both are kept and applied (row 3 of the faults)."""
    raise_item(
        site_id=message.site_id,
        kind=ItemKind.MESSAGE_CONFLICT,
        key=f"message conflict:{message.pk}",
        at=at,
        text=f"Message {shortened(message.control_id, 60)} came twice by {message.link} with different contents;"
        " both were taken. Ask the sender which one is right",
        accession=message.accession,
        message=message.pk,
        control_id=message.control_id,
        data={"earlier": earlier.pk},
    )


def _outcome(effect: Effect, answers: Sequence[bytes]) -> dict[str, Any]:
    return {
        "state": effect.state,
        "ack": effect.code if effect.answered else "",
        "answer": ANSWERS_APART.join(answers),
        "why": shortened(effect.why, WHY_LENGTH_MAX),
        "accession": effect.accession,
        "patient": effect.patient,
        "facts": list(effect.facts[:FACTS_KEPT_MAX]),
    }


def _close_or_put(message: Message, effect: Effect, at: datetime, *, by: str, how: str) -> None:
    if effect.waiting is None:
        waiting = Item.objects.filter(
            site_id=message.site_id, message=message.pk, kind__in=ENDED_BY_APPLYING, closed_at=None
        )
        for key in waiting.values_list("key", flat=True):
            close_items(site_id=message.site_id, key=key, at=at, by=by, how=how)
    else:
        _put_before_a_person(message, effect, at)


def _put_before_a_person(message: Message, effect: Effect, at: datetime) -> None:
    waiting = effect.waiting
    if waiting:
        raise_item(
            site_id=message.site_id,
            kind=waiting.kind,
            key=waiting.key or f"message:{message.pk}",
            at=at,
            text=waiting.text,
            accession=waiting.accession,
            message=message.pk,
            control_id=message.control_id,
            data=waiting.mended_by,
        )


def replay(
    *, message_id: int, at: datetime, by: str, steps: Steps = JOURNEY, how: str = "replayed"
) -> Message:
    """Apply once more a message that was not applied, under the link it would come by today.

    What it does now closes its item; where it fails again, the item stays and says why.
    Raises UnknownMessage and NotReplayable.
    """
    directory = Directory()
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(pk=message_id).first()
        if message is None:
            raise UnknownMessage(f"There is no message {message_id} here.")
        if message.direction != Direction.IN:
            raise NotReplayable(f"Message {message_id} went out; only one that came in can be applied.")
        if message.link.startswith(FHIR_LINK):
            raise NotReplayable(
                f"Message {message_id} came by FHIR: its sender was told, and sends it again."
            )
        if message.state in (MessageState.APPLIED, MessageState.IGNORED):
            raise NotReplayable(f"Message {message_id} is {message.state} already; nothing was changed.")
        effect = _effect_now(message, directory, at, steps)
        return keep_replayed(message, effect, at=at, by=by, how=how)


def keep_replayed(
    message: Message, effect: Effect, *, at: datetime, by: str, how: str = "replayed"
) -> Message:
    """Write down what became of a message that was applied once more; what its sender was told stays as it was."""
    outcome = _outcome(effect, ())
    outcome.pop("answer")
    outcome.pop("ack")
    for name, value in outcome.items():
        setattr(message, name, value)
    message.replayed_at, message.site_version = at, message.site.version
    message.save(update_fields=[*outcome, "replayed_at", "site_version"])
    _close_or_put(message, effect, at, by=by, how=how)
    return message


def apply_waiting(*, site: Site, numbers: Iterable[str], at: datetime) -> int:
    """Apply the reports and appointments that came before their exam, now that an exam with one of `numbers` is here; the number applied.

    Run again it changes nothing: what was applied waits no longer.
    """
    named = [Q(data__numbers__contains=[number]) for number in numbers if number]
    if not named:
        return 0
    waiting = Item.objects.filter(
        reduce(or_, named), site=site, kind__in=ENDED_BY_APPLYING, closed_at=None
    ).order_by("id")
    applied = 0
    messages = waiting.exclude(message=None).values_list("message", flat=True)
    for message_id in list(messages[:WAITING_AT_ONCE_MAX]):
        assert message_id is not None
        with suppress(UnknownMessage, NotReplayable):
            applied += replay(message_id=message_id, at=at, by="rule").state == MessageState.APPLIED
    return applied


def _effect_now(message: Message, directory: Directory, at: datetime, steps: Steps) -> Effect:
    raw = bytes(message.raw)
    try:
        partner = directory.partner_of(read_header(raw))
        if partner is None or not partner.link.name or partner.site.pk != message.site_id:
            return refused(
                Condition.UNKNOWN_KEY, "MSH^1^3", "No link of this site has this sender", by_rules=True
            )
        return apply(read_message(raw, fallback=partner.link.charset), partner=partner, at=at, steps=steps)
    except Unreadable as error:
        return refused(Condition.UNSUPPORTED_TYPE, "", f"This is no HL7 v2 message: {error}")


def forget_old(*, site: Site, before: datetime) -> int:
    """Throw away messages that came or went before a moment, at most so many at once; what still waits stays. The number gone."""
    waits = (MessageState.WAITING, MessageState.QUEUED, MessageState.SENT, MessageState.REJECTED)
    open_items = Item.objects.filter(site=site, closed_at=None).exclude(message=None).values("message")
    # What was refused waits only while somebody is still to look at it.
    old = Message.objects.filter(site=site, at__lt=before).exclude(pk__in=open_items).exclude(state__in=waits)
    keys = list(old.order_by("id").values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE_MAX])
    return Message.objects.filter(pk__in=keys).delete()[0]


def list_messages(
    *, site: Site, direction: str = "", control_id: str = "", limit: int = 100
) -> QuerySet[Message]:
    """The newest messages of a site first, without their bytes."""
    found = Message.objects.filter(site=site)
    if direction:
        found = found.filter(direction=direction)
    if control_id:
        found = found.filter(control_id=control_id)
    return found.defer("raw", "answer").order_by("-at", "-id")[: min(limit, LIST_MAX)]


def search(*, site: Site, text: str) -> list[Message]:
    """The newest messages that a number, an accession, a patient's number or any text in them leads to, without their bytes.

    A text is looked for, as it is written, in the newest messages alone.
    """
    wanted = text.strip()[:SEARCH_LENGTH_MAX]
    if not wanted:
        return []
    known = by_identifier(site=site, value=wanted)
    about = Q(control_id=wanted) | Q(accession__iexact=wanted)
    if known is not None:
        about |= Q(patient__in=[known.pk, *known.merged.values_list("pk", flat=True)])
    mine = Message.objects.filter(site=site).defer("raw", "answer").order_by("-at", "-id")
    found = {message.pk: message for message in mine.filter(about)[:FOUND_MAX]}
    newest = list(mine.values_list("pk", flat=True)[:SEARCHED_MAX])
    for raw in {wanted.encode(), wanted.encode("iso8859-1", "replace")}:
        holding = mine.filter(pk__in=newest).annotate(held=_position(raw)).filter(held__gt=0)
        found |= {message.pk: message for message in holding[:FOUND_MAX]}
    return sorted(found.values(), key=lambda m: (m.at, m.pk), reverse=True)[:FOUND_MAX]


def _position(raw: bytes) -> Func:
    return Func(
        Value(raw),
        F("raw"),
        template="position(%(expressions)s)",
        arg_joiner=" IN ",
        output_field=IntegerField(),
    )


def records_named(message: Message) -> list[Patient]:
    """The records that the numbers in a message lead to (PID-3, MRG-1), those that went into another one too, each once."""
    try:
        found = read_batch(bytes(message.raw), fallback=message.charset or "iso8859-1").messages
    except Unreadable:
        return []
    numbers = [number for one in found for number in numbers_named(one)]
    rows = PatientIdentifier.objects.filter(site=message.site_id, value__in=numbers[:RECORDS_NAMED_MAX])
    return list(
        {row.patient_id: row.patient for row in rows.select_related("patient").order_by("patient")}.values()
    )


def one_before(message: Message) -> Message | None:
    """The message before this one about the same exam, else the same patient, by the same link; None where there is none."""
    earlier = Message.objects.filter(
        site=message.site_id, direction=message.direction, link=message.link, pk__lt=message.pk
    ).order_by("-id")
    if message.accession:
        return earlier.filter(accession=message.accession).first()
    if message.patient is not None:
        return earlier.filter(patient=message.patient).first()
    return None


def compared(message: Message, before: Message) -> list[tuple[str, Any, Any]]:
    """Where two messages say something else: the place, what the one before said, what this one says."""
    was, now = read_of(before), read_of(message)
    return differences(was[0], now[0]) if len(was) == len(now) == 1 else differences(was, now)


def get_message(*, site: Site, message_id: int) -> Message:
    """One message with its bytes; raises UnknownMessage, also for another site's."""
    message = Message.objects.filter(site=site, pk=message_id).first()
    if message is None:
        raise UnknownMessage(f"There is no message {message_id} here.")
    return message


def as_json(message: Message, *, whole: bool = False) -> dict[str, Any]:
    """A message as the command line prints it; `whole` adds the bytes as text and what is read in them."""
    values: dict[str, Any] = {
        "id": message.pk,
        "direction": message.direction,
        "link": message.link,
        "control_id": message.control_id,
        "type": message.type,
        "at": message.at.isoformat(),
        "state": message.state,
        "ack": message.ack or None,
        "accession": message.accession or None,
        "why": message.why or None,
        "seen": message.seen,
    }
    if whole:
        values["raw"] = raw_text(message)
        values["answer"] = _text(bytes(message.answer), message.charset)
        values["read"] = read_of(message)
    return values


def raw_text(message: Message) -> str:
    """A message's bytes as text, for people; bytes without meaning in its character set are marked."""
    return _text(bytes(message.raw), message.charset)


def read_of(message: Message) -> list[dict[str, Any]]:
    """What is read in a message, as `xraydesk read` prints it; empty where it cannot be read."""
    try:
        return describe(bytes(message.raw), fallback=message.charset or "iso8859-1")
    except Unreadable:
        return []


def read_under(message: Message, link: LinkPlan) -> list[dict[str, Any]]:
    """What is read in a message under a link's character set and field rules; empty where it cannot be read."""
    try:
        found = read_batch(bytes(message.raw), fallback=link.charset).messages
    except Unreadable:
        return []
    return [describe_message(as_ruled(one, link.fields)) for one in found]


def tried(message: Message, *, today: LinkPlan, then: LinkPlan) -> list[tuple[str, Any, Any]]:
    """What would be read otherwise in a message under another link's rules: the place, what is read today, and then."""
    before, now = read_under(message, today), read_under(message, then)
    if len(before) == len(now) == 1:
        return differences(before[0], now[0])
    return differences(before, now)


def _text(raw: bytes, charset: str) -> str:
    return raw.decode(charset or "utf-8", "backslashreplace")
