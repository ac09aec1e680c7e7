"""All that hangs on a record goes over to another one, and back; what went is written down, so that just that returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.attention import actions as attention
from xraydesk.billing import actions as billing
from xraydesk.contact import actions as contact
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.cancel import begun
from xraydesk.journey.errors import PersonDecides, WrongState
from xraydesk.journey.performing import tell
from xraydesk.orders import actions as orders
from xraydesk.orders.models import Exam, Joining
from xraydesk.patients import merges
from xraydesk.patients.models import Merge, Patient
from xraydesk.scheduling import actions as scheduling
from xraydesk.transport import actions as transport


@dataclass(frozen=True)
class Teller:
    """Who tells of it, when and in which words."""

    site: Site
    link: str
    at: datetime
    by: str
    why: str
    simulated: bool


def join(
    stays: Patient,
    goes: Patient,
    told: Teller,
    *,
    identifiers: Sequence[int] = (),
    keeps_numbers: bool = False,
) -> Merge:
    """Let one record go into another. `keeps_numbers` where its numbers are used on, as numbers of the one that stays."""
    order_keys, exam_keys = orders.orders_to_move(patient=goes)
    hand_over(order_keys, exam_keys, from_=goes, to=stays, told=told)
    moved = merges.join(stays=stays, goes=goes)
    attention.give_to_patient(site_id=told.site.pk, from_=goes.pk, to=stays.pk)
    coverages = billing.give_coverages(from_=goes, to=stays, at=told.at)
    numbers = merges.numbers_of([goes.pk]) if keeps_numbers else ()
    merge = merges.write_merge(
        stays=stays,
        goes=goes,
        whole=True,
        moved={
            "orders": order_keys,
            "exams": exam_keys,
            "identifiers": identifiers,
            "coverages": coverages,
            "numbers": merges.give_numbers(from_=goes, to=stays, identifiers=numbers),
            **moved,
        },
        why=told.why,
        at=told.at,
        by=told.by,
    )
    tell_of_merge(FactKind.PATIENTS_MERGED, merge, exams=len(exam_keys), told=told)
    return merge


def hand_over(
    order_keys: Sequence[int], exam_keys: Sequence[int], *, from_: Patient, to: Patient, told: Teller
) -> None:
    """Orders and exams, locked, with their places, jobs and notices, are another record's now."""
    orders.give_to_patient(orders=order_keys, exams=exam_keys, from_=from_, to=to)
    exams = list(Exam.objects.filter(pk__in=exam_keys).select_related("order").order_by("id"))
    given_up = scheduling.give_to_patient(
        exams=exam_keys, from_=from_, to=to, begun=_begun_of(to, exams), at=told.at
    )
    transport.give_to_patient(exams=exam_keys, to=to)
    contact.give_to_patient(exams=exam_keys, to=to)
    for exam in exams:
        tell(exam, FactKind.EXAM_REASSIGNED, at=told.at, by=told.by, data={"why": told.why})
    for booking in given_up:
        assert booking.exam is not None  # only a held place lacks one
        tell(
            booking.exam,
            FactKind.BOOKING_RELEASED,
            at=told.at,
            by=told.by,
            room=booking.room,
            data={"why": booking.ended_why},
        )


def part(merge: Merge, told: Teller) -> None:
    """Give back what a merge brought and still stands there. Raises PersonDecides, and WrongState where that was done."""
    stays = Patient.objects.get(pk=merge.stays_id)
    holder = merges.lock_records([stays.merged_into_id or stays.pk]).popitem()[1]
    merge.goes = merges.lock_records([merge.goes_id])[merge.goes_id]
    goes = merge.goes
    exams = Exam.objects.select_for_update(of=("self",)).filter(
        pk__in=merge.moved.get("exams", ()), patient=holder
    )
    exam_keys = list(exams.order_by("id").values_list("pk", flat=True))
    _refuse_parting_an_order(merge, exam_keys)
    if not merges.part(merge, holder=holder, at=told.at, by=told.by):
        raise WrongState("This was taken back already; nothing was changed.")
    goes = Patient.objects.get(pk=goes.merged_into_id) if goes.merged_into_id else goes
    if goes.pk != holder.pk:
        hand_over(merge.moved.get("orders", ()), exam_keys, from_=holder, to=goes, told=told)
        billing.give_coverages(from_=holder, to=goes, at=told.at, keys=merge.moved.get("coverages", ()))
    tell_of_merge(FactKind.PATIENTS_PARTED, merge, exams=len(exam_keys), told=told)


def _refuse_parting_an_order(merge: Merge, exam_keys: Sequence[int]) -> None:
    """An exam and the order that came late for it are of one record: both go back, or neither."""
    order_keys = set(merge.moved.get("orders", ()))
    standing = Joining.objects.filter(site=merge.site_id, undone_at=None).select_related("done")
    for joining in standing.filter(done__in=exam_keys) | standing.filter(done__order__in=order_keys):
        if (joining.done_id in exam_keys) != (joining.done.order_id in order_keys):
            raise PersonDecides(
                f"Exam {joining.done.accession} has got its order since: nothing was changed. "
                "Take back first, on its page, that this is its order."
            )


def tell_of_merge(kind: FactKind, merge: Merge, *, exams: int, told: Teller) -> None:
    """Record that records became one, or two again, or that a number or stay went over, with so many exams."""
    record(
        site_id=told.site.pk,
        kind=kind,
        at=told.at,
        by=told.by,
        patient=merge.stays_id,
        data={"merge": merge.pk, "other": merge.goes_id, "exams": exams, "why": told.why},
        simulated=told.simulated,
    )


def _begun_of(patient: Patient, exams: Sequence[Exam]) -> set[int]:
    return begun([*exams, *Exam.objects.filter(patient=patient).exclude(pk__in=[e.pk for e in exams])])
