"""An order typed in at the desk: by paper, by phone, for a walk-in, or while the EHR is down."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.journey.errors import IncompleteOrder
from xraydesk.journey.receive import Outcome, Received, receive_order
from xraydesk.lib import locks
from xraydesk.orders import queries
from xraydesk.orders.form import FORM_AUTHORITY, OrderForm, placer_number, requisition_of

KEY_LENGTH_MAX = 64


def order_by_form(*, site: Site, form: OrderForm, at: datetime, by: str) -> Received:
    """Write down an order from a form, under a placer number of the block reserved for forms.

    The same form sent twice (its `key`) is one order; the second time the first is given back,
    unchanged. What a form says of a patient who is known fills gaps and replaces nothing.

    Raises IncompleteOrder, and PatientConflict where the number typed is of somebody with
    another name or birth date.
    """
    if not form.key or len(form.key) > KEY_LENGTH_MAX:
        raise IncompleteOrder("The form has no key of its own; open it anew and fill it in again.")
    with transaction.atomic():
        # One form at a time: the number of a refused one is given to the next, so that the block has no holes
        # to be explained. Forms are typed by people; nobody waits.
        locks.take([f"forms:{site.pk}"])
        before = queries.order_by_form_key(site=site, authority=FORM_AUTHORITY, key=form.key)
        if before is not None:
            return Received(before, tuple(queries.exams_of(before)), Outcome.UNCHANGED)
        number = queries.last_number_of_block(site=site, authority=FORM_AUTHORITY, letter="F") + 1
        return receive_order(
            site=site,
            requisition=requisition_of(form, placer=placer_number(number)),
            link=FORM_AUTHORITY,
            at=at,
            by=by,
            simulated=site.simulated,
            vouched=False,
        )
