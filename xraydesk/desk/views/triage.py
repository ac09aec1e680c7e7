"""Requests that a person has to decide on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.desk.views.late_order import late_pairs
from xraydesk.journey import cancel, triage
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import find, name_of, views_of
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam, Procedure
from xraydesk.orders.rules import Code
from xraydesk.orders.states import Priority, TriageState

WAITING_SHOWN_MAX = 100
BEFORE_SHOWN_MAX = 5
REASON_LENGTH_MAX = 200
NOTE_LENGTH_MAX = 500

_PRIORITY_ORDER = {Priority.STAT: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}


def _waiting(member: Member) -> list[Exam]:
    """Held and undecided exams, the most urgent first."""
    rows = Exam.objects.filter(site=member.site, triage__in=[TriageState.WAITING, TriageState.HELD])
    found = list(rows.select_related("patient", "order").order_by("created_at")[:WAITING_SHOWN_MAX])
    return sorted(found, key=lambda e: (_PRIORITY_ORDER[Priority(e.priority)], e.due_at or e.created_at))


@require_safe
@needs(Permission.TRIAGE)
def triage_page(request: HttpRequest, member: Member) -> HttpResponse:
    """The waiting requests, and the chosen one with what the rules found."""
    waiting = _waiting(member)
    accession = request.GET.get("exam", "")
    chosen = exam_or_404(member, accession) if accession else (waiting[0] if waiting else None)
    context: dict[str, Any] = {"waiting": waiting, "chosen": chosen}
    if chosen is not None:
        looked_at(member, chosen.patient, what="triage", accession=chosen.accession)
        position = next((i for i, exam in enumerate(waiting) if exam.pk == chosen.pk), None)
        late = late_pairs(chosen)
        context |= {
            "late": late,
            "view": find(site=member.site, accession=chosen.accession),
            "banner": banner_of(chosen.patient),
            "position": None if position is None else position + 1,
            "before": waiting[position - 1] if position else None,
            "after": waiting[position + 1] if position is not None and position + 1 < len(waiting) else None,
            "earlier": views_of(
                Exam.objects.filter(patient=chosen.patient).exclude(pk=chosen.pk).order_by("-created_at"),
                site=member.site,
                limit=BEFORE_SHOWN_MAX,
            ),
            "message": Message.objects.filter(site=member.site, accession=chosen.accession)
            .order_by("id")
            .only("id")
            .first(),
            "question": _question(chosen),
            "priorities": [p.value for p in Priority],
            "sides": [("L", "left"), ("R", "right"), ("B", "both")],
            "procedures": Procedure.objects.filter(site=member.site, retired=False).order_by("text"),
            "undecided": chosen.triage in (TriageState.WAITING, TriageState.HELD),
        }
    return render(request, "desk/triage.html", context)


def _question(exam: Exam) -> str:
    """A ready message to whoever ordered: the patient by two identifiers, and what has to be asked; empty where nothing has.

    Whether an exam was done before its order came is asked of the department, not of whoever ordered.
    """
    asks = [
        str(f["sentence"])
        for f in exam.findings
        if f.get("level") in ("ask", "hold") and f.get("code") != Code.LATE
    ]
    if exam.findings and not asks:
        return ""
    born = f", born {exam.patient.birth_date:%d %b %Y}" if exam.patient.birth_date else ""
    what = exam.procedure_text or exam.procedure_code or "an x-ray exam"
    return f"{name_of(exam.patient).spoken()}{born}: you asked for {what}. {' '.join(asks)}".strip()


def _decided(
    request: HttpRequest, member: Member, accession: str, act: Callable[[Exam], object], said: str
) -> SeeOther:
    """Do one thing to an exam and go on to the next that waits."""
    exam = exam_or_404(member, accession)
    here = f"{reverse('triage')}?exam={exam.accession}"
    try:
        act(exam)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, said, to=reverse("triage"))


@require_POST
@needs(Permission.TRIAGE)
def accept(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Accept an exam; it is booked at once."""
    why = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX]
    return _decided(
        request,
        member,
        accession,
        lambda exam: triage.accept_exam(exam_id=exam.pk, at=clock.now(), by=member.who, why=why),
        "Accepted. A place is being looked for.",
    )


@require_POST
@needs(Permission.TRIAGE)
def hold(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Hold an exam, with a reason that the next person reads."""
    why = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX] or "A person holds it."
    return _decided(
        request,
        member,
        accession,
        lambda exam: triage.hold_exam(exam_id=exam.pk, at=clock.now(), by=member.who, why=why),
        "Held.",
    )


@require_POST
@needs(Permission.TRIAGE)
def cancel_exam(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Cancel an exam, with a reason."""
    why = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX] or "Cancelled by a person."
    return _decided(
        request,
        member,
        accession,
        lambda exam: cancel.cancel_exam(exam_id=exam.pk, at=clock.now(), by=member.who, why=why),
        "Cancelled.",
    )


@require_POST
@needs(Permission.TRIAGE)
def amend(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Correct side, procedure or priority of an exam; the rules look at it again."""
    exam = exam_or_404(member, accession)
    here = f"{reverse('triage')}?exam={exam.accession}"
    at = clock.now()
    side, priority, code = (request.POST.get(name, "") for name in ("side", "priority", "procedure"))
    try:
        if side in ("L", "R", "B") and side != exam.laterality:
            triage.set_laterality(exam_id=exam.pk, laterality=side, at=at, by=member.who)
        if priority in {p.value for p in Priority} and priority != exam.priority:
            triage.set_priority(exam_id=exam.pk, priority=Priority(priority), at=at, by=member.who)
        procedure = Procedure.objects.filter(site=member.site, pk=code).first() if code.isdecimal() else None
        if procedure is not None and procedure.pk != exam.procedure_id:
            triage.set_procedure(
                exam_id=exam.pk, code=procedure.code, system=procedure.system, at=at, by=member.who
            )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Corrected. The rules looked at it again.", to=here)


@require_POST
@needs(Permission.SEE_PATIENT)
def note(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Leave a word about an exam."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    text = request.POST.get("text", "").strip()[:NOTE_LENGTH_MAX]
    if not text:
        return refused(request, Refused("An empty note was not kept. Write a word, then keep it."), to=here)
    try:
        triage.write_exam_note(exam_id=exam.pk, text=text, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "The note is kept.", to=here)
