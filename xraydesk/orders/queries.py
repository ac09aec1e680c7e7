"""Finding orders and exams, and what triage needs to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import BigIntegerField, F, Max, Q, QuerySet
from django.db.models.functions import Cast, Substr

from xraydesk.access.models import Site
from xraydesk.lib.prepared import Question, ask, rows_of, rows_with
from xraydesk.orders.models import Exam, Order, Procedure
from xraydesk.orders.states import TriageState

WAITING_MAX = 500
"""The triage screen lists no more than these; the most urgent come first."""

ALIKE_MAX = 20


def order_by_placer(*, site: Site, authority: str, placer: str) -> Order | None:
    """The order with a placer number of one issuer; None where none such came."""
    # Most orders are new: it is the key that is asked for, and the whole row only where there is one.
    found = ask(question_by_placer(site=site, authority=authority, placer=placer))
    return Order.objects.select_related("patient").get(pk=found[0][0]) if found else None


def question_by_placer(*, site: Site, authority: str, placer: str) -> Question:
    """The key of the order with a placer number."""
    return Question(
        "SELECT id FROM orders_order WHERE site_id = $1 AND placer_authority = $2 AND placer = $3",
        [site.pk, authority, placer],
        frozenset({"orders_order"}),
    )


def order_without_issuer(*, site: Site, link: str, authority: str, placer: str) -> Order | None:
    """The order of one link with a placer number, where its issuer was left out then or is now (`authority` is the link's name).

    None where none, or several, may be meant: two issuers that are named and differ are never taken for one.
    """
    found = Order.objects.filter(site=site, placer=placer, source=f"link:{link}")
    if authority != link:
        found = found.filter(placer_authority=link)
    orders = list(found.select_related("patient")[:2])
    return orders[0] if len(orders) == 1 else None


def order_by_filler(*, site: Site, filler: str) -> Order | None:
    """The order of an exam that we know by this filler or accession number; None where none, or several, have it."""
    found = Order.objects.filter(Q(exams__accession=filler) | Q(exams__filler=filler), site=site)
    orders = list(found.select_related("patient").distinct()[:2])
    return orders[0] if len(orders) == 1 else None


def exams_of(order: Order) -> list[Exam]:
    """The exams of an order, locked until the transaction ends, in their order; one joined to another is none of them."""
    return list(
        Exam.objects.select_for_update(of=("self",))
        .filter(order=order, joined_to=None)
        .select_related("procedure")
        .order_by("sequence")
    )


def lock_exams(exam_ids: Iterable[int], *, shared: bool = False) -> list[Exam]:
    """Exams with their site, order, patient and procedure, locked in one order until the transaction ends; those that are there.

    A `shared` lock keeps them as they are, and lets others do the same: for who writes beside an exam, and not into it.
    """
    return rows_with(
        Exam,
        "id = ANY ($1::bigint[])",
        [[*exam_ids]],
        "site",
        "order",
        "patient",
        "procedure",
        lock=True,
        shared=shared,
    )


def lock_exam(exam_id: int) -> Exam | None:
    """An exam with its site, order, patient and procedure, locked until the transaction ends; None where there is none."""
    return next(iter(lock_exams([exam_id])), None)


def exam_of(*, site_id: int, accession: str) -> Exam | None:
    """The exam with an accession number, with its site, order, patient and procedure; None where there is none."""
    found = rows_with(
        Exam,
        "site_id = $1 AND accession = $2",
        [site_id, accession],
        "site",
        "order",
        "patient",
        "procedure",
    )
    return next(iter(found), None)


def exam_key(*, site_id: int, accession: str) -> int | None:
    """The key of the exam with an accession number; None where there is none."""
    found = ask(
        Question(
            "SELECT id FROM orders_exam WHERE site_id = $1 AND accession = $2",
            [site_id, accession],
            frozenset({"orders_exam"}),
        )
    )
    return found[0][0] if found else None


def of_same_part(procedure: Procedure) -> list[Procedure]:
    """The other procedures that the department offers for the same part of the body."""
    return rows_of(
        Procedure,
        "site_id = $1 AND body_part = $2 AND id <> $3 AND NOT retired ORDER BY id",
        [procedure.site_id, procedure.body_part, procedure.pk],
    )


def alike(exam: Exam, *, around: datetime, window_hours: int) -> QuerySet[Exam]:
    """Other standing exams of the same patient, procedure and side, wished for within a window of a moment.

    An exam without a wish counts by when it came. Those of another order only: who asks
    twice in one order means it. Oldest first.
    """
    window = timedelta(hours=window_hours)
    during = (around - window, around + window)
    near = Q(requested_at__range=during) | Q(requested_at=None, created_at__range=during)
    same = (
        Q(procedure=exam.procedure_id)
        if exam.procedure_id
        else Q(procedure=None, procedure_code=exam.procedure_code)
    )
    return (
        Exam.objects.filter(
            near, same, site_id=exam.site_id, patient_id=exam.patient_id, laterality=exam.laterality
        )
        .exclude(triage=TriageState.CANCELLED)
        .exclude(order_id=exam.order_id)
        .order_by("created_at", "id")
    )


def waiting(*, site: Site) -> QuerySet[Exam]:
    """Exams that wait for a decision in triage: held ones first by when they are due, then by when they came."""
    return (
        Exam.objects.filter(site=site, triage__in=[TriageState.WAITING, TriageState.HELD])
        .select_related("patient", "order", "procedure")
        .order_by(F("due_at").asc(nulls_last=True), "created_at", "id")[:WAITING_MAX]
    )


def order_by_form_key(*, site: Site, authority: str, key: str) -> Order | None:
    """The order made from one form already; None where there is none."""
    return Order.objects.filter(site=site, placer_authority=authority, details__form=key).first()


def last_number_of_block(*, site: Site, authority: str, letter: str) -> int:
    """The highest number given of a reserved block (`F000123` is 123); 0 where none was."""
    found = (
        Order.objects.filter(site=site, placer_authority=authority, placer__regex=rf"^{letter}[0-9]{{6,12}}$")
        .annotate(number=Cast(Substr("placer", 2), BigIntegerField()))
        .aggregate(last=Max("number"))
    )
    return int(found["last"] or 0)


def of_unknown_codes(*, site: Site) -> QuerySet[Exam]:
    """The exams that wait because their sender's code is none of the department's."""
    return Exam.objects.filter(site=site, procedure=None, triage__in=[TriageState.WAITING, TriageState.HELD])
