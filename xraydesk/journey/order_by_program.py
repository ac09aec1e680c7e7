"""An order that a program writes itself (FHIR): decided upon at once, and booked by whoever sent it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.journey.receive import Outcome, Received, receive_order
from xraydesk.journey.triage import triage_exam
from xraydesk.orders.queries import exams_of
from xraydesk.orders.requisition import Requisition

PROGRAM_AUTHORITY = "DESK"
"""Issuer of the placer numbers of orders whose sender gave none."""


def order_by_program(*, site: Site, requisition: Requisition, link: str, at: datetime, by: str) -> Received:
    """Write down, change, hold or cancel an order, and let the rules decide upon it in the same transaction.

    The sender wants to book next, and is told at once where a person must decide first. An order without a
    placer number is given one of the desk's own.

    Raises what `receive_order` raises.
    """
    if not requisition.placer:
        number = f"W{uuid4().hex[:15].upper()}"
        requisition = replace(requisition, placer=number, placer_authority=PROGRAM_AUTHORITY)
    with transaction.atomic():
        received = receive_order(
            site=site, requisition=requisition, link=link, at=at, by=by, simulated=site.simulated
        )
        if received.outcome is Outcome.UNCHANGED:
            return received
        for exam in received.exams:
            triage_exam(exam_id=exam.pk, at=at)
        return replace(received, exams=tuple(exams_of(received.order)))
