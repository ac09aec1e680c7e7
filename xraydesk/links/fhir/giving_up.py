"""Giving a place up by FHIR: an Appointment that is put to `cancelled`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xraydesk.journey import ahead
from xraydesk.journey.book import cancel_booking
from xraydesk.journey.errors import Refused
from xraydesk.links.fhir import plan_rows
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import with_meta
from xraydesk.links.fhir.replies import refuse
from xraydesk.links.fhir.writing import Written, refused_by_step
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

OVER = (BookingState.CANCELLED, BookingState.RELEASED)


def write_appointment(caller: Caller, resource: Mapping[str, Any], key: int | None, at: datetime) -> Written:
    """Give a place up (`status` cancelled); a place is taken by $book alone. Raises Refusal."""
    booking = Booking.objects.get(pk=key or 0)
    member = caller.member
    if resource["status"] != "cancelled":
        words = "An Appointment can be cancelled here; another place is booked by $book."
        raise refuse(422, "not-supported", words, "Appointment.status")
    if booking.state in OVER or booking.exam_id is None:
        return Written(booking.pk, False)
    why = str(resource.get("cancelationReason", {}).get("text") or "cancelled by the sender")
    try:
        if booking.state != BookingState.HELD or booking.hold_id is None:
            cancel_booking(exam_id=booking.exam_id, at=at, by=member.who, why=why)
            return Written(booking.pk, False)
        # A held place goes without a trace when it is let go, so it is told as it was.
        was = plan_rows.appointments(member.site, [booking.pk])[0].resource
        ahead.let_go(site=member.site, hold_id=booking.hold_id, at=at, by=member.who)
    except Refused as error:
        raise refused_by_step(error, "Appointment") from error
    content = {name: value for name, value in was.items() if name != "meta"} | {"status": "cancelled"}
    return Written(booking.pk, False, with_meta(content, at))
