"""A person says that something on the attention list is dealt with, or was not."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from xraydesk.attention import actions
from xraydesk.attention.models import Item
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import Refused, WrongState


class UnknownItem(Refused):
    """There is no such thing on the list."""


def _locked(item_id: int) -> Item:
    item = Item.objects.select_for_update().filter(pk=item_id).first()
    if item is None:
        raise UnknownItem("There is no such thing on the list.")
    return item


@transaction.atomic
def end_item(*, item_id: int, at: datetime, by: str, how: str = "a person dealt with it") -> Item:
    """Take an item off the list; who did it and when is kept.

    Raises UnknownItem, and WrongState where somebody else was first.
    """
    item = _locked(item_id)
    if item.closed_at is not None:
        raise WrongState("Somebody else has dealt with this already.")
    actions.close_items(site_id=item.site_id, key=item.key, at=at, by=by, how=how)
    _tell(item, FactKind.ITEM_CLOSED, at=at, by=by)
    return item


@transaction.atomic
def take_back(*, item_id: int, at: datetime, by: str) -> Item:
    """Put an item back on the list that was taken off by mistake.

    Raises UnknownItem, and WrongState where it is on the list already.
    """
    item = _locked(item_id)
    try:
        with transaction.atomic():
            reopened = actions.reopen_item(item_id=item.pk)
    except IntegrityError:
        reopened = False
    if not reopened:
        raise WrongState("It is on the list already.")
    _tell(item, FactKind.ITEM_RAISED, at=at, by=by)
    return item


def _tell(item: Item, kind: FactKind, *, at: datetime, by: str) -> None:
    record(
        site_id=item.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=item.accession,
        patient=item.patient,
        data={"item": item.kind},
    )
