"""What waits because of a record, an order or a link's rules is read again by itself once those are mended."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial, reduce
from operator import or_

from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.journey.receive import receive_order
from xraydesk.links.again import apply_again
from xraydesk.links.hl7.apply import DONE_STATES, JOURNEY
from xraydesk.links.hl7.field_readings import ORDER_TYPES
from xraydesk.links.hl7.order import groups_of, placer_of
from xraydesk.links.hl7.reader import Unreadable, read_batch, read_header
from xraydesk.links.hl7.times import read_time
from xraydesk.links.messages import ENDED_BY_APPLYING, NotReplayable, UnknownMessage, records_named
from xraydesk.links.models import Message
from xraydesk.links.states import Direction, MessageState
from xraydesk.orders.models import Exam

COMPARED_MAX = 50
"""So many of the newest messages about an order are asked when they were said."""

READ_AGAIN_MAX = 500
"""No more messages than these are read again at once; a person can apply the others."""

LATE = replace(JOURNEY, order=partial(receive_order, vouched=False))
"""An order that is read late fills gaps in its patient's record: what is there may have come since."""


def read_again_of_patients(*, site: Site, numbers: Iterable[str], at: datetime) -> int:
    """Read again what waits because of the records with these numbers, now that they stand otherwise; the number applied."""
    named = [Q(data__patients__contains=[number]) for number in dict.fromkeys(numbers)]
    if not named:
        return 0
    waiting = _waiting(site).filter(reduce(or_, named))
    return _again(waiting, at, how="read again: the patient’s records changed")


def read_again_under_rules(*, site: Site, at: datetime) -> int:
    """Read again what could not be read under an earlier version of the site's file; the number applied."""
    earlier = Message.objects.filter(site=site, site_version__lt=site.version)
    waiting = _waiting(site).filter(data__by_rules=True, message__in=earlier.values("pk"))
    return _again(waiting, at, how="read again: the site’s file changed")


def apply_what_was_said_after(*, exam: Exam, at: datetime) -> int:
    """Change or take back an order that came later than that did; the number applied.

    Engines that send over several threads let messages overtake one another. What counts is when the sender said it
    (MSH-7): what is not newer than all that was applied to the order stays for a person.
    """
    order = exam.order
    waiting = _waiting(order.site).filter(data__orders__contains=[order.placer])
    keys = waiting.order_by("message").values("message")[:READ_AGAIN_MAX]
    applied = 0
    for message in sorted(Message.objects.filter(pk__in=keys), key=lambda m: (_said_at(m), m.pk)):
        before = Message.objects.filter(
            site=message.site_id,
            direction=Direction.IN,
            link=message.link,
            state=MessageState.APPLIED,
            accession__in=order.exams.values("accession"),
        )
        newest = [_said_at(one) for one in before.order_by("-pk")[:COMPARED_MAX]]
        if newest and "" < max(newest) < _said_at(message):
            with suppress(UnknownMessage, NotReplayable):
                how = "applied: its order came after it"
                after = apply_again(message_id=message.pk, at=at, by="rule", how=how)
                applied += after.state in DONE_STATES
    return applied


def _said_at(message: Message) -> str:
    """When its sender made a message (MSH-7), in UTC, so that texts compare as times; "" where it does not say so."""
    try:
        written = read_header(bytes(message.raw)).get(7)
    except Unreadable:
        return ""
    said = read_time(written, message.site.timezone)
    return said.isoformat() if said else ""


def _waiting(site: Site) -> QuerySet[Item]:
    return Item.objects.filter(site=site, kind__in=ENDED_BY_APPLYING, closed_at=None).exclude(message=None)


def _again(waiting: QuerySet[Item], at: datetime, *, how: str) -> int:
    keys = waiting.order_by("message").values("message")[:READ_AGAIN_MAX]
    applied = 0
    for message in list(Message.objects.filter(pk__in=keys).order_by("id")):
        if is_overtaken(message):
            continue
        with suppress(UnknownMessage, NotReplayable):
            after = apply_again(message_id=message.pk, at=at, by="rule", steps=LATE, how=how)
            applied += after.state in DONE_STATES
    return applied


def is_overtaken(message: Message) -> bool:
    """True where the same link was heard since about the same order, or where it is news of a patient about them: that stands."""
    later = Message.objects.filter(
        site=message.site_id,
        direction=Direction.IN,
        link=message.link,
        pk__gt=message.pk,
        state=MessageState.APPLIED,
    )
    kind = message.type.split("^")[0]
    if kind in ORDER_TYPES:
        exams = Exam.objects.filter(site=message.site_id, order__placer__in=_placers(message))
        return later.filter(accession__in=exams.values("accession")).exists()
    if kind == "ADT":
        records = records_named(message)
        return later.filter(patient__in={r.merged_into_id or r.pk for r in records}).exists()
    return False


def _placers(message: Message) -> set[str]:
    try:
        found = read_batch(bytes(message.raw), fallback=message.charset or "iso8859-1").messages
    except Unreadable:
        return set()
    return {placer_of(group)[0] for one in found for group in groups_of(one)} - {""}
