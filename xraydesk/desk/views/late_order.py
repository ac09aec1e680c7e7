"""An order and an exam done before it: a person says whether the one is the other's, and takes it back."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.desk.views.merging import Side
from xraydesk.journey import late_order, part_order, triage
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.orders.late_order_rules import Ask, Certain
from xraydesk.orders.models import Exam, Joining
from xraydesk.orders.rules import Code, Level
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
            case _ if _is_asked(exam):
                meant = ()  # it was taken back, and fits none by rule
            case _:
                return None
        by_key = Exam.objects.in_bulk(meant)
        return Pairs(tuple(Pair(exam, by_key[key], by_key[key]) for key in meant), is_asked=True)
    waiting = late_order.orders_to_join(exam)
    if not waiting:
        return None
    return Pairs(tuple(Pair(late, exam, late) for late in waiting), is_asked=False)


def _is_asked(exam: Exam) -> bool:
    return any(f.get("code") == Code.LATE and f.get("level") == Level.ASK for f in exam.findings)


@dataclass(frozen=True)
class Joined:
    """The joining that an exam's page shows, and what forbids to take it back."""

    row: Joining
    other: Exam
    forbids: list[str]


def joined_of(exam: Exam) -> Joined | None:
    """What an exam's page says of a joining that stands; None where there is none."""
    row = part_order.standing_of(exam)
    if row is None:
        return None
    return Joined(row, row.late if row.done_id == exam.pk else row.done, part_order.what_forbids(row))


@dataclass(frozen=True)
class Unidentified:
    """Orders that may be those of an exam done for somebody unidentified; any other is found by its number."""

    orders: list[Exam]


def unidentified(exam: Exam, member: Member) -> Unidentified | None:
    """What an exam's page offers where nobody has said yet whose it is; None where that is known."""
    if not member.may(Permission.MERGE) or not part_order.may_be_identified(exam):
        return None
    return Unidentified(part_order.orders_that_may_be(exam))


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
        undo=reverse("late-order-undo", args=[joined.accession]),
    )


@require_POST
@needs(Permission.TRIAGE)
def undo(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Take back that an order is that of an exam done before it, and who its patient is where that came with it."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    standing = part_order.standing_of(exam)
    if standing is not None and standing.merge_id and not member.may(Permission.MERGE):
        raise Http404
    try:
        parted = part_order.part_order(exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(
        request,
        f"Exam {parted.done.accession} is without an order again. "
        f"Say of exam {parted.late.accession} whether it is still to be done.",
        to=here,
    )


@require_POST
@needs(Permission.MERGE)
def find_order(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Find the order of an exam done for somebody unidentified, by the number of the order or of its exam."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    typed = request.POST.get("number", "").strip()[:64]
    at_site = Exam.objects.filter(site=member.site, joined_to=None).exclude(pk=exam.pk)
    found = list(
        at_site.filter(accession__iexact=typed)[:1] or at_site.filter(order__placer__iexact=typed)[:2]
    )
    if len(found) != 1:
        words = "Several exams have" if found else "No order or exam here has"
        return refused(request, Refused(f"{words} that number. Type the number of the exam."), to=here)
    return SeeOther(reverse("late-order-identify", args=[exam.accession, found[0].accession]))


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.MERGE)
def identify(request: HttpRequest, member: Member, accession: str, order_accession: str) -> HttpResponse:
    """The order's patient and the unidentified one side by side, and the button that says that they are one."""
    exam, late = exam_or_404(member, accession), exam_or_404(member, order_accession)
    if not member.may(Permission.TRIAGE):
        raise Http404
    if request.method == "POST":
        try:
            known = part_order.identify_by_order(
                exam_id=late.pk, done_id=exam.pk, at=clock.now(), by=member.who
            )
        except Refused as why:
            return refused(request, why, to=reverse("exam", args=[exam.accession]))
        return done(
            request,
            f"The patient is identified, and order {known.order.placer} is that of exam {known.accession}.",
            to=reverse("exam", args=[known.accession]),
            undo=reverse("late-order-undo", args=[known.accession]),
        )
    for one in (exam, late):
        looked_at(member, one.patient, what="merge", accession=one.accession)
    sides = [
        Side(banner_of(one.patient), Exam.objects.filter(patient=one.patient_id).count())
        for one in (late, exam)
    ]
    context = {"exam": exam, "late": late, "stays": sides[0], "goes": sides[1], "banner": sides[0].banner}
    return render(request, "desk/identify.html", context)


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
