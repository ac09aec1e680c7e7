"""An order and an exam done before it: a person says whether the one is the other's."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey import late_order, triage
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.orders.late_order_rules import Ask, Certain
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState


@dataclass(frozen=True)
class Pairs:
    """What an exam's page offers: pairs of an order's exam and one done before it. `other` is the one not on the page."""

    pairs: tuple[Pair, ...]
    is_asked: bool
    """True on the page of the exam whose order came late: then it may also be another exam."""


@dataclass(frozen=True)
class Pair:
    """One order's exam (`late`) and one done before it."""

    late: Exam
    done: Exam
    other: Exam


def late_pairs(exam: Exam) -> Pairs | None:
    """What may be joined with an exam; None where nothing may."""
    if exam.triage == TriageState.HELD:
        found = late_order.answer(exam)
        match found:
            case Certain(exam_id=one):
                meant: tuple[int, ...] = (one,)
            case Ask(exam_ids=several):
                meant = several
            case _:
                return None
        by_key = Exam.objects.in_bulk(meant)
        return Pairs(tuple(Pair(exam, by_key[key], by_key[key]) for key in meant), is_asked=True)
    waiting = late_order.orders_to_join(exam)
    if not waiting:
        return None
    return Pairs(tuple(Pair(late, exam, late) for late in waiting), is_asked=False)


@require_POST
@needs(Permission.TRIAGE)
def join(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """This order is that of an exam done before it came."""
    exam = exam_or_404(member, accession)
    meant = request.POST.get("done", "")
    other = Exam.objects.filter(site=member.site, accession=meant).first() if meant else None
    if meant and other is None:
        raise Http404
    try:
        joined = late_order.join_order(
            exam_id=exam.pk, done_id=other.pk if other else None, at=clock.now(), by=member.who
        )
    except Refused as why:
        return refused(request, why, to=reverse("exam", args=[exam.accession]))
    return done(
        request,
        f"Order {joined.order.placer} is now that of exam {joined.accession}.",
        to=reverse("exam", args=[joined.accession]),
    )


@require_POST
@needs(Permission.TRIAGE)
def another(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """This order is for an exam that is still to be done."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    try:
        after = triage.is_another_exam(exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    said = "It is still to be done. "
    if after.triage == TriageState.ACCEPTED:
        return done(request, said + "A place is being looked for.", to=here)
    return done(request, said + "It is held for another reason.", to=here)
