"""A sender says how far it sees an order: nothing is changed, and what contradicts the desk is put before a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.cancel import cancel_after_start_key
from xraydesk.journey.change import exams_named
from xraydesk.journey.exam_view import views_of
from xraydesk.journey.receive import Outcome, Received, order_meant
from xraydesk.journey.stage import Stage
from xraydesk.journey.status_rules import asked_of_a_person, contradiction
from xraydesk.orders import queries
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import Requisition


@transaction.atomic
def heed_status(*, site: Site, requisition: Requisition, link: str, at: datetime) -> Received | None:
    """Compare how far a sender says that an order is (`requisition.status`) with where its exams stand.

    Each exam that stands otherwise becomes an item, and one that was an item ends it once the sender agrees. The
    patient's record is left alone. None where the order never came here: it is of another department, or from before.
    """
    requisition = replace(requisition, placer_authority=requisition.placer_authority or link)
    order = order_meant(site, requisition, link=link)
    if order is None:
        return None
    exams = exams_named(queries.exams_of(order), requisition)  # locked: none moves on meanwhile
    done = [
        _heed(view.exam, view.stage, requisition, sender=link, at=at)
        for view in views_of(Exam.objects.filter(pk__in=[exam.pk for exam in exams]), site=site)
    ]
    return Received(order, tuple(exams), Outcome.CHANGED if any(done) else Outcome.UNCHANGED)


def seen_otherwise_key(accession: str) -> str:
    """Under which key an exam stands on the list because its sender sees it otherwise."""
    return f"seen otherwise:{accession}"


def _heed(exam: Exam, stage: Stage, said: Requisition, *, sender: str, at: datetime) -> bool:
    """True where something is put before a person, or is no longer."""
    keys = {
        ItemKind.ORDER_SEEN_OTHERWISE: seen_otherwise_key(exam.accession),
        ItemKind.CANCEL_AFTER_START: cancel_after_start_key(exam.accession),
    }
    kind = contradiction(said.status, stage)
    if kind is None:
        key = keys[ItemKind.ORDER_SEEN_OTHERWISE]
        how = "the sender sees it as it is"
        return bool(close_items(site_id=exam.site_id, key=key, at=at, by=f"link:{sender}", how=how))
    raise_item(
        site_id=exam.site_id,
        kind=kind,
        key=keys[kind],
        at=at,
        text=asked_of_a_person(
            sender=sender,
            placer=said.placer or said.filler,
            accession=exam.accession,
            status=said.status,
            stage=stage,
        ),
        accession=exam.accession,
        patient=exam.patient_id,
    )
    return True
