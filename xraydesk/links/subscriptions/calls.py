"""One call of a subscriber, put among the messages that go out."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from xraydesk.facts.models import Fact
from xraydesk.lib import clock, exact_json
from xraydesk.links.models import Message, Subscription
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.states import Direction, MessageState
from xraydesk.links.subscriptions.notice_codec import EVENT, HANDSHAKE, notice, status_of


def shake_hands(row: Subscription) -> None:
    """Ask a new subscriber whether it hears."""
    queue(row, HANDSHAKE)


def queue(
    row: Subscription,
    kind: str,
    *,
    focus: str = "",
    resource: Mapping[str, Any] | None = None,
    fact: Fact | None = None,
) -> None:
    """Put a call among the messages that wait; `focus` and `resource` as far as the program is told them."""
    at, name = clock.now(), str(uuid.uuid4())
    told = status_of(
        str(row.pk),
        base=row.base,
        topic=row.topic,
        status=row.state,
        kind=kind,
        events=row.events,
        number=row.events if kind == EVENT else 0,
        at=fact.at if fact else None,
        focus=focus,
    )
    bundle = notice(told, key=str(row.pk), name=name, base=row.base, at=at, focus=focus, resource=resource)
    raw = exact_json.written(bundle).encode()
    Message.objects.create(
        site_id=row.site_id,
        direction=Direction.OUT,
        link=row.link,
        control_id=name,
        type=kind,
        at=at,
        state=MessageState.QUEUED,
        raw=raw,
        charset="utf-8",
        body_sha256=hashlib.sha256(raw).hexdigest(),
        accession=fact.accession if fact and focus else "",
        patient=fact.patient if fact and focus else None,
        fact=fact.pk if fact else None,
        simulated=fact.simulated if fact else row.site.simulated,
    )
    defer_sending(site_id=row.site_id, outlink=row.link)
