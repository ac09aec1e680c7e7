"""Putting something before a person, and taking it away again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xraydesk.attention.kinds import CLOCKS, ItemKind
from xraydesk.attention.models import Item
from xraydesk.lib.prepared import rows_of


def raise_item(
    *,
    site_id: int,
    kind: ItemKind,
    key: str,
    at: datetime,
    text: str = "",
    until: datetime | None = None,
    accession: str = "",
    patient: int | None = None,
    room: str = "",
    message: int | None = None,
    control_id: str = "",
    sop_instance_uid: str = "",
    data: Mapping[str, Any] | None = None,
) -> Item:
    """Put one thing before a person; raising the same cause again while it is open changes nothing.

    Call inside the transaction of whatever it tells of. `key` names the cause, for example
    `exam held:X1A2`. `until` defaults to the clock of its kind. `text` is the sentence a
    person reads, and defaults to the kind's own.
    """
    is_open = rows_of(Item, "site_id = $1 AND key = $2 AND closed_at IS NULL", [site_id, key])
    if is_open:
        return is_open[0]
    item, _ = Item.objects.get_or_create(
        site_id=site_id,
        key=key,
        closed_at=None,
        defaults={
            "kind": kind,
            "at": at,
            "until": until or at + CLOCKS[kind].until(),
            "accession": accession,
            "patient": patient,
            "room": room,
            "message": message,
            "control_id": control_id,
            "sop_instance_uid": sop_instance_uid,
            "text": text or CLOCKS[kind].sentence,
            "data": dict(data or {}),
        },
    )
    return item


def reword_item(*, site_id: int, key: str, text: str) -> int:
    """Say anew what an open item asks for; the number changed (0 or 1)."""
    return Item.objects.filter(site_id=site_id, key=key, closed_at=None).update(text=text)


def close_items(*, site_id: int, key: str, at: datetime, by: str, how: str) -> int:
    """End the open item of a cause, if there is one; the number ended (0 or 1)."""
    return Item.objects.filter(site_id=site_id, key=key, closed_at=None).update(
        closed_at=at, closed_by=by, closed_how=how
    )


def close_items_of_exam(
    *, site_id: int, accession: str, kinds: tuple[ItemKind, ...], at: datetime, by: str, how: str
) -> int:
    """End every open item of some kinds about one exam; the number ended."""
    return Item.objects.filter(site_id=site_id, accession=accession, kind__in=kinds, closed_at=None).update(
        closed_at=at, closed_by=by, closed_how=how
    )


def reopen_item(*, item_id: int) -> bool:
    """Put an ended item back on the list; False where it is open.

    Raises IntegrityError where the same cause was put on the list anew meanwhile.
    """
    changed = Item.objects.filter(pk=item_id).exclude(closed_at=None)
    return bool(changed.update(closed_at=None, closed_by="", closed_how=""))


def give_to_patient(*, site_id: int, from_: int, to: int) -> int:
    """What waits about one record is about another one now; the number of items."""
    return Item.objects.filter(site_id=site_id, patient=from_, closed_at=None).update(patient=to)
