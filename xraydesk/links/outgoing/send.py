"""Sending what waits for one system: one message in flight, in order, again and again until it is answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import structlog
from django.db import transaction
from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.charge import charge_answered
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.lib.text import shortened
from xraydesk.links.ehr.wire import FhirWire
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.models import Message, Paused
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.outgoing.folder import Folder
from xraydesk.links.outgoing.wire import Answered, Later, NotReached, Wire
from xraydesk.links.states import Direction, MessageState
from xraydesk.links.subscriptions.standing import Hook, hook_of
from xraydesk.links.subscriptions.wire import HookWire
from xraydesk.siteplan.link_plan import EhrPlan, OutlinkPlan
from xraydesk.siteplan.reading import from_json

if TYPE_CHECKING:
    from xraydesk.links.outgoing.sftp import SftpFolder

Link: TypeAlias = "Wire | Folder | SftpFolder | FhirWire | HookWire"
System = OutlinkPlan | EhrPlan | Hook
"""Who is told: a system of the site file, or a program that subscribed."""

log = structlog.get_logger(__name__)

ON_THE_WAY = (MessageState.QUEUED, MessageState.SENT)
OVER = (MessageState.REJECTED, MessageState.ACCEPTED, MessageState.WITHDRAWN)
NOT_REACHED = "not reached: "
POISON_ATTEMPTS = 8
"""A message that was given so often and never answered, while others would be, waits for a person."""

LOOKED_PAST_MAX = 200
"""So far behind a message that is never answered one is looked for that would be."""

MESSAGES_AT_ONCE_MAX = 500
SECONDS_AT_ONCE_MAX = 20.0
"""After so many messages or seconds a job lets others work, and asks for another of itself."""

AGAIN_SECONDS = (1, 2, 5, 10, 20, 40, 60)
"""Pauses before the next try, the last one for all further ones (row 5 of the faults)."""

SILENT_MAX = timedelta(minutes=10)
"""A system that takes nothing for so long is put before a person; nothing is given up."""

WHY_LENGTH_MAX = 500


class NotOutgoing(Refused):
    """The message did not go out from here, or waits for nobody's decision."""


def send_out(*, site_id: int, outlink: str) -> None:
    """Send what waits for one system, the oldest first; the first that is not answered stops it (order is kept)."""
    site = Site.objects.get(pk=site_id)
    to = _plan_of(site, outlink)
    if to is None:
        _withdraw(site, outlink)
        return
    started = time.monotonic()
    with _link_to(to, site) as wire:
        for _ in range(MESSAGES_AT_ONCE_MAX):
            head = None if is_paused(site, outlink) else _head(site, outlink)
            if head is None:
                return
            if head.next_at is not None and head.next_at > clock.now():
                defer_sending(site_id=site_id, outlink=outlink, not_before=head.next_at)
                return
            went = _send(head, wire, to) or _passes_over(head, wire, to)
            if not went or time.monotonic() - started > SECONDS_AT_ONCE_MAX:
                break
    head = _head(site, outlink)
    if head is not None:
        defer_sending(site_id=site_id, outlink=outlink, not_before=head.next_at)


def _plan_of(site: Site, name: str) -> System | None:
    """The system of that name in the site file, or the subscriber, whichever way it is told."""
    if hook := hook_of(site, name):
        return hook
    plan = from_json(site.plan) if site.plan else None
    named: tuple[OutlinkPlan | EhrPlan, ...] = (*plan.outlinks, *plan.ehrs) if plan else ()
    return next((one for one in named if one.name == name), None)


def _link_to(to: System, site: Site) -> Link:
    if isinstance(to, Hook):
        return HookWire(to)
    if isinstance(to, EhrPlan):
        return FhirWire(to, site)
    if to.user:
        # Read where it is used alone: it adds a dozen MiB to the memory of a process.
        from xraydesk.links.outgoing.sftp import SftpFolder

        return SftpFolder(to)
    return Folder(to) if to.folder else Wire(to)


def is_paused(site: Site, outlink: str) -> bool:
    """True while a person keeps back what goes to a system."""
    return Paused.objects.filter(site=site, outlink=outlink).exists()


def _waiting(site_id: int, outlink: str) -> QuerySet[Message]:
    return Message.objects.filter(
        site=site_id, direction=Direction.OUT, link=outlink, state__in=ON_THE_WAY
    ).order_by("id")


def _head(site: Site, outlink: str) -> Message | None:
    """The oldest message that waits. One that was given to the wire and not answered goes again, with its number."""
    return _waiting(site.pk, outlink).first()


def _passes_over(stuck: Message, wire: Link, to: System) -> bool:
    """True where one message is never answered and the next one is: it is put before a person, and the rest goes on.

    The next one is of another patient, so that no patient's messages change their order.
    """
    stuck.refresh_from_db()
    if stuck.given < POISON_ATTEMPTS or stuck.why.startswith(NOT_REACHED):
        return False
    another = _first_of_another(stuck)
    if another is None or not _send(another, wire, to):
        return False
    with transaction.atomic():
        why = f"it was given {stuck.given} times and never answered, while others are"
        Message.objects.filter(pk=stuck.pk).update(state=MessageState.REJECTED, why=why, next_at=None)
        _put_refused_before_a_person(stuck, why, at=clock.now())
    return True


def _first_of_another(stuck: Message) -> Message | None:
    """The first message that waits for another patient, and that was not given in vain as often itself: two may choke it."""
    seen = {_about(stuck)}
    for one in _waiting(stuck.site_id, stuck.link).exclude(pk=stuck.pk).defer("raw")[:LOOKED_PAST_MAX]:
        if _about(one) in seen:
            continue
        if one.given < POISON_ATTEMPTS:
            return one
        seen.add(_about(one))
    return None


def _about(message: Message) -> str | int:
    return message.accession if message.patient is None else message.patient


def _send(message: Message, wire: Link, to: System) -> bool:
    """Give one message to the wire and write down what came of it; False where no answer came."""
    at = clock.now()
    Message.objects.filter(pk=message.pk).update(
        state=MessageState.SENT, sent_at=at, attempts=message.attempts + 1
    )
    if isinstance(wire, FhirWire):
        # What is told by FHIR may be replaced by a newer one for as long as it is queued; from here on it is not.
        message.refresh_from_db(fields=["raw"])
    try:
        answered = wire.ask(bytes(message.raw), number=message.control_id, sequence=message.pk)
    except OSError as away:
        if not isinstance(away, NotReached):
            # An outage says nothing of the message: only what was given and not answered can be poison.
            Message.objects.filter(pk=message.pk).update(given=message.given + 1)
        wait = away.seconds_min if isinstance(away, Later) else 0
        _not_answered(message, to, why=_words(away), seconds_min=wait, at=clock.now())
        return False
    with transaction.atomic():
        _answered(message, answered, at=clock.now())
    return True


def _words(away: OSError) -> str:
    """Why nobody answered, without anything of the message."""
    words = away.strerror or str(away) or type(away).__name__
    return shortened(f"{NOT_REACHED}{words}" if isinstance(away, NotReached) else words, 200)


def _not_answered(message: Message, to: System, *, why: str, seconds_min: int, at: datetime) -> None:
    pause = max(AGAIN_SECONDS[min(message.attempts, len(AGAIN_SECONDS) - 1)], seconds_min)
    with transaction.atomic():
        Message.objects.filter(pk=message.pk).update(next_at=at + timedelta(seconds=pause), why=why)
        if message.at < at - SILENT_MAX:
            waiting = _waiting(message.site_id, to.name).count()
            raise_item(
                site_id=message.site_id,
                kind=ItemKind.MESSAGE_NOT_SENT,
                key=silent_key(to.name),
                at=at,
                text=f"{to.name} at {to.where} has taken nothing for ten minutes ({why}). {waiting} messages "
                "wait and go by themselves once it answers: see that it runs and is reached.",
                message=message.pk,
                control_id=message.control_id,
            )
    log.info("no answer", link=to.name, attempts=message.attempts + 1)


def silent_key(outlink: str) -> str:
    """The key of the item about a system that takes nothing."""
    return f"outlink:{outlink}"


def refused_key(message: Message) -> str:
    """The key of the item about a message that was refused there."""
    return f"refused there:{message.pk}"


def _answered(message: Message, answered: Answered, *, at: datetime) -> None:
    state = MessageState.ACCEPTED if answered.is_taken else MessageState.REJECTED
    why = "" if answered.is_taken else shortened(answered.words or "no reason was given", WHY_LENGTH_MAX)
    Message.objects.filter(pk=message.pk).update(
        state=state, ack=answered.code[:2], answer=answered.raw, answered_at=at, next_at=None, why=why
    )
    close_items(
        site_id=message.site_id, key=silent_key(message.link), at=at, by="rule", how="it answers again"
    )
    hook = ON_ANSWER.get(message.type.split("^")[0])
    if hook is not None:
        hook(message, answered, at)
    if not answered.is_taken and hook is None:
        _put_refused_before_a_person(message, why, at=at)


def _put_refused_before_a_person(message: Message, why: str, *, at: datetime) -> None:
    raise_item(
        site_id=message.site_id,
        kind=ItemKind.MESSAGE_NOT_SENT,
        key=refused_key(message),
        at=at,
        text=f"{message.link} refused a message ({message.type}): {why}. Mend the cause and send it again, or leave it.",
        accession=message.accession,
        message=message.pk,
        control_id=message.control_id,
    )


def _charge_answered(message: Message, answered: Answered, at: datetime) -> None:
    """A charge was taken or refused: the charge says so, and a person mends it there."""
    ft1 = read_message(bytes(message.raw), fallback="utf-8").first("FT1")
    charge_answered(
        site_id=message.site_id,
        number=ft1.get(2),
        credit=ft1.get(6) == "CD",
        accepted=answered.is_taken,
        why=answered.words,
        at=at,
        by=f"link:{message.link}",
    )


ON_ANSWER: dict[str, Callable[[Message, Answered, datetime], None]] = {"DFT": _charge_answered}
"""What an answer means besides: by the kind of message."""


def _withdraw(site: Site, outlink: str) -> None:
    """The site file names no such system any more: what waits for it goes nowhere."""
    Message.objects.filter(site=site, direction=Direction.OUT, link=outlink, state__in=ON_THE_WAY).update(
        state=MessageState.WITHDRAWN, why="there is no such system any more", next_at=None
    )


def resume_sending() -> None:
    """Ask again for jobs of systems for which something waits (a job was lost)."""
    waiting = Message.objects.filter(direction=Direction.OUT, state__in=ON_THE_WAY)
    for site_id, link in waiting.values_list("site", "link").distinct().order_by("site", "link"):
        with transaction.atomic():
            defer_sending(site_id=site_id, outlink=link)


@transaction.atomic
def send_again(*, message_id: int, at: datetime, by: str) -> Message:
    """A person sends a message again, with the same number: one that was refused there, or was lost there. Raises NotOutgoing."""
    message = _ended(message_id)
    message.state, message.next_at, message.why = MessageState.QUEUED, None, ""
    message.attempts = message.given = 0
    message.save(update_fields=["state", "next_at", "why", "attempts", "given"])
    close_items(site_id=message.site_id, key=refused_key(message), at=at, by=by, how="sent again")
    defer_sending(site_id=message.site_id, outlink=message.link)
    return message


@transaction.atomic
def leave_it(*, message_id: int, at: datetime, by: str) -> Message:
    """A person leaves a message as it is that was refused, or that holds up the others. Raises NotOutgoing."""
    message = Message.objects.select_for_update().filter(pk=message_id, direction=Direction.OUT).first()
    if message is None or not may_be_left(message):
        raise NotOutgoing("This message waits for nobody's decision: nothing was changed.")
    message.state, message.next_at = MessageState.WITHDRAWN, None
    message.save(update_fields=["state", "next_at"])
    close_items(site_id=message.site_id, key=refused_key(message), at=at, by=by, how="left as it is")
    defer_sending(site_id=message.site_id, outlink=message.link)
    return message


def may_be_left(message: Message) -> bool:
    """True for an outgoing message that was refused, or was tried and not answered."""
    is_out = message.direction == Direction.OUT
    return is_out and (
        message.state == MessageState.REJECTED or (message.state in ON_THE_WAY and message.attempts > 0)
    )


def may_be_sent_again(message: Message) -> bool:
    """True for an outgoing message that is over."""
    return message.direction == Direction.OUT and message.state in OVER


def _ended(message_id: int) -> Message:
    message = Message.objects.select_for_update().filter(pk=message_id, direction=Direction.OUT).first()
    if message is None or not may_be_sent_again(message):
        raise NotOutgoing("This message is on its way, or came in: nothing was changed.")
    return message


@transaction.atomic
def pause(*, site: Site, outlink: str, at: datetime, by: str) -> None:
    """Keep back what goes to a system; what happens meanwhile is queued. Paused already: nothing changes."""
    Paused.objects.get_or_create(site=site, outlink=outlink, defaults={"at": at, "by": by})


@transaction.atomic
def resume(*, site: Site, outlink: str) -> None:
    """Let it go on, at once and in order."""
    Paused.objects.filter(site=site, outlink=outlink).delete()
    _waiting(site.pk, outlink).update(next_at=None)
    defer_sending(site_id=site.pk, outlink=outlink)
