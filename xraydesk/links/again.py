"""Applying a message once more, whichever way it came."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.links import messages
from xraydesk.links.ehr.take import take_again
from xraydesk.links.hl7.apply import JOURNEY, Steps
from xraydesk.links.models import Message
from xraydesk.links.states import Direction
from xraydesk.siteplan.reading import from_json


def apply_again(
    *, message_id: int, at: datetime, by: str, steps: Steps = JOURNEY, how: str = "replayed"
) -> Message:
    """Apply a message that was not applied, under the rules of today. Raises UnknownMessage and NotReplayable."""
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(of=("self",))
            .select_related("site")
            .filter(pk=message_id, direction=Direction.IN)
            .first()
        )
        plans = from_json(message.site.plan).ehrs if message is not None and message.site.plan else ()
        ehr = next((one for one in plans if message is not None and one.name == message.link), None)
        if message is None or ehr is None:
            return messages.replay(message_id=message_id, at=at, by=by, steps=steps, how=how)
        return take_again(message, ehr, at=at, by=by, how=how)
