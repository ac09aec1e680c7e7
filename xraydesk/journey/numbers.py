"""A sender asks for our number of an order before it sends the order."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.journey.errors import IncompleteOrder
from xraydesk.lib import locks
from xraydesk.orders import actions, queries


def number_for_order(*, site: Site, placer: str, authority: str, link: str, at: datetime) -> str:
    """The filler number of an order: that of its first exam where it is here, else one kept for it. Asked again, the same.

    Raises IncompleteOrder where no placer number says which order is meant.
    """
    if not placer:
        raise IncompleteOrder("A number is asked for an order without a placer number (ORC-2).")
    authority = authority or link
    with transaction.atomic():
        locks.take([actions.lock_name(site_id=site.pk, authority=authority, placer=placer)])
        order = queries.order_by_placer(site=site, authority=authority, placer=placer)
        exam = order.exams.order_by("sequence").first() if order else None
        if exam is not None:
            return exam.filler or exam.accession
        return actions.give_number(site=site, authority=authority, placer=placer, at=at)
