"""The only writers of what destinations promise to keep. Call inside a transaction, with the deliveries locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from xraydesk.access.models import Site
from xraydesk.imaging.models import Delivery, Image, Promise
from xraydesk.imaging.promise_rules import resend_wait_seconds
from xraydesk.imaging.states import (
    IMAGE_TRANSITIONS,
    KEEPING_TRANSITIONS,
    DeliveryState,
    ImageAction,
    ImageState,
    KeepingAction,
    KeepingState,
)
from xraydesk.lib.ids import new_uid


def insert_promise(*, site: Site, destination: str, deliveries: Sequence[Delivery], at: datetime) -> Promise:
    """A question about images that a destination has, with a transaction UID of its own; they are asked about from now on."""
    promise = Promise.objects.create(
        site=site,
        destination=destination,
        transaction_uid=new_uid(),
        objects_asked=[[d.pk, d.image.sop_class_uid, uid_as_sent(d.image)] for d in deliveries],
        asked_at=at,
    )
    for delivery in deliveries:
        delivery.keeping = KEEPING_TRANSITIONS[KeepingState(delivery.keeping), KeepingAction.ASK]
        delivery.promise, delivery.ask_at = promise, None
        delivery.asks += 1
    _save(deliveries)
    return promise


def uid_as_sent(image: Image) -> str:
    """The SOP Instance UID under which an image left."""
    return str(image.corrections.get("SOPInstanceUID", image.sop_instance_uid))


def question_taken(promise: Promise, *, at: datetime) -> None:
    """The destination took the question; its answer may have come before."""
    promise.taken_at = at
    promise.save(update_fields=["taken_at"])


def answer_came(promise: Promise, *, at: datetime) -> None:
    """The destination answered; the first time counts."""
    if promise.answered_at is None:
        promise.answered_at = at
        promise.save(update_fields=["answered_at"])


def commit(deliveries: Sequence[Delivery], *, at: datetime) -> None:
    """The destination keeps these images."""
    for delivery in deliveries:
        delivery.keeping, delivery.kept_at, delivery.keeping_why = KeepingState.COMMITTED, at, ""
        delivery.ask_at = None
    _save(deliveries)


def waive(deliveries: Sequence[Delivery], *, at: datetime, by: str) -> None:
    """A person says that these images are safe there."""
    for delivery in deliveries:
        delivery.keeping, delivery.kept_at = KeepingState.WAIVED, at
        delivery.keeping_why = f"said by {by.removeprefix('user:')}"[:120]
    _save(deliveries)


def ask_again(deliveries: Sequence[Delivery], *, at: datetime, anew: bool = False) -> None:
    """Ask about these images (again) at `at`; `anew` begins to count from nothing."""
    for delivery in deliveries:
        delivery.keeping, delivery.ask_at = KeepingState.DUE, at
        if anew:
            delivery.asks = 0
    _save(deliveries)


def give_up(deliveries: Sequence[Delivery], *, state: KeepingState, why: str) -> None:
    """Nothing more is tried by itself."""
    for delivery in deliveries:
        delivery.keeping, delivery.keeping_why, delivery.kept_at = state, why[:120], None
    _save(deliveries)


def send_again(delivery: Delivery, *, why: str, at: datetime, by: str, anew: bool = False) -> None:
    """Put an image on its way again to a destination that does not keep it, after a pause that grows; `anew` at once."""
    image = delivery.image
    state = IMAGE_TRANSITIONS.get((ImageState(image.state), ImageAction.SEND_ANEW))
    if state is not None:
        image.state = state
        image.save(update_fields=["state"])
    wait = 0 if anew else resend_wait_seconds(delivery.resends)
    delivery.state, delivery.attempts = DeliveryState.WAITING, 0
    delivery.next_at = at + timedelta(seconds=wait)
    delivery.keeping, delivery.keeping_why, delivery.kept_at = KeepingState.REFUSED, why[:120], None
    delivery.promise, delivery.ask_at, delivery.asks = None, None, 0
    delivery.resends = 0 if anew else delivery.resends + 1
    delivery.save()


def _save(deliveries: Sequence[Delivery]) -> None:
    fields = ["keeping", "keeping_why", "kept_at", "promise", "ask_at", "asks"]
    Delivery.objects.bulk_update(deliveries, fields)
