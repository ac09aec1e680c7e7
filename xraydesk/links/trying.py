"""A link's field rules tried on messages that are kept, before they are kept themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet
from django.db.models.functions import Length

from xraydesk.access.models import Site
from xraydesk.journey.load_site import load_site
from xraydesk.links.hl7.field_readings import FieldCompared, compared, why_refused
from xraydesk.links.hl7.field_rules import as_ruled
from xraydesk.links.hl7.reader import Message as Read
from xraydesk.links.hl7.reader import Unreadable, read_batch
from xraydesk.links.models import Message
from xraydesk.links.states import Direction
from xraydesk.siteplan.field_text import with_fields
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.link_plan import LinkPlan

MESSAGES_TRIED_MAX = 200
MESSAGES_SHOWN_MAX = 20
MESSAGE_BYTES_MAX = 65_536
"""Longer messages carry documents; rules are not tried on them."""


@dataclass(frozen=True)
class MessageTried:
    """One message as it is read today, and as it would be read then; `why_today` and `why_then` say why it would be refused."""

    message: Message
    fields: tuple[FieldCompared, ...]
    why_today: str
    why_then: str

    @property
    def differs(self) -> bool:
        """True where the rules change anything that is read."""
        return self.why_today != self.why_then or any(field.differs for field in self.fields)


@dataclass(frozen=True)
class Tried:
    """What rules would make of a link's newest messages: of how many, how many were read otherwise, and some of them."""

    messages: int
    otherwise: int
    shown: tuple[MessageTried, ...]


def try_fields(*, site: Site, today: LinkPlan, then: LinkPlan, first: Message | None = None) -> Tried:
    """How the newest messages of a link would be read under other rules; `first` before all others. Changes nothing.

    Shown are those that would be read otherwise, and `first`; where there are none, the newest.
    """
    tried = [one for row in _rows(site, then, first) for one in _tried(row, site, today, then)]
    otherwise = [one for one in tried if one.differs]
    shown = [one for one in tried if one.differs or (first is not None and one.message.pk == first.pk)]
    return Tried(len(tried), len(otherwise), tuple((shown or tried[:1])[:MESSAGES_SHOWN_MAX]))


def save_fields(*, site: Site, name: str, text: str, at: datetime, by: str) -> list[str]:
    """Keep the field rules of a text for a link, as loading the site's file with them would; the lines that tell what changed.

    Raises SiteFileErrors where the text is wrong, and what `load_site` raises.
    """
    plan = with_fields(text, from_json(site.plan), name)
    return load_site(plan=plan, at=at, by=by, simulated=site.simulated)


def _rows(site: Site, link: LinkPlan, first: Message | None) -> list[Message]:
    came: QuerySet[Message] = (
        Message.objects.filter(site=site, direction=Direction.IN, link=link.name)
        .alias(length=Length(F("raw")))
        .filter(length__lte=MESSAGE_BYTES_MAX)
        .order_by("-at", "-id")
    )
    if first is None:
        return list(came[:MESSAGES_TRIED_MAX])
    return [first, *came.exclude(pk=first.pk)[:MESSAGES_TRIED_MAX]]


def _tried(row: Message, site: Site, today: LinkPlan, then: LinkPlan) -> Iterator[MessageTried]:
    pairs = zip(_read(row, today), _read(row, then), strict=False)
    for before, now in pairs:
        zones = (today.timezone or site.timezone, then.timezone or site.timezone)
        yield MessageTried(
            row,
            compared(before, now, zones[1]),
            why_refused(before, zones[0], today.controls),
            why_refused(now, zones[1], then.controls),
        )


def _read(row: Message, link: LinkPlan) -> list[Read]:
    try:
        found = read_batch(bytes(row.raw), fallback=link.charset).messages
    except Unreadable:
        return []
    return [as_ruled(one, link.fields) for one in found]
