"""Findings that must be told: to whom, by when, who was tried, and the read-back that ends each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.journey import tell
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.lib import clock
from xraydesk.lib.text import shortened
from xraydesk.results.models import Call, Finding
from xraydesk.results.people import Person, from_json
from xraydesk.results.states import CallOutcome, CallWay, Category, FindingState

FINDINGS_SHOWN_MAX = 200
ENDED_DAYS = 1
"""The list of ended ones goes back so far; older ones stand on their exam's page."""

CATEGORY_WORDS = {Category.MINUTES: "Critical", Category.HOURS: "Urgent", Category.DAYS: "Soon"}
SHOWS = {
    "open": (FindingState.SUSPECTED, FindingState.OPEN),
    "ended": (FindingState.READ_BACK, FindingState.DISMISSED),
}
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Line:
    """One finding as a line of the list."""

    finding: Finding
    word: str
    left_until: datetime | None
    over: bool
    person: Person | None
    calls: list[Call]

    @property
    def last(self) -> Call | None:
        """The newest attempt."""
        return self.calls[-1] if self.calls else None


def _line(finding: Finding, at: datetime) -> Line:
    calls = sorted(finding.calls.all(), key=lambda call: (call.at, call.pk))
    is_open = finding.state == FindingState.OPEN
    return Line(
        finding=finding,
        word=CATEGORY_WORDS[Category(finding.category)],
        left_until=finding.due_at if is_open else None,
        over=bool(is_open and finding.due_at and finding.due_at < at),
        person=tell.person_now(finding) if is_open else None,
        calls=calls,
    )


def _findings(member: Member) -> QuerySet[Finding]:
    found = Finding.objects.filter(site=member.site)
    return found.select_related("exam__patient", "exam__procedure", "report").prefetch_related("calls")


def _context(member: Member, show: str, at: datetime) -> dict[str, Any]:
    findings = _findings(member).filter(state__in=SHOWS[show])
    if show == "ended":
        findings = findings.filter(ended_at__gte=at - timedelta(days=ENDED_DAYS)).order_by("-ended_at")
    else:
        # What nobody has looked at yet has no clock, and stands first.
        findings = findings.order_by(F("due_at").asc(nulls_first=True), "category", "id")
    waiting = Finding.objects.filter(site=member.site, state__in=SHOWS["open"])
    lines = [_line(finding, at) for finding in findings[:FINDINGS_SHOWN_MAX]]
    return {
        "lines": lines,
        "show": show,
        "to_tell": waiting.filter(state=FindingState.OPEN).count(),
        "to_confirm": waiting.filter(state=FindingState.SUSPECTED).count(),
        "cut": len(lines) == FINDINGS_SHOWN_MAX,
        "shows": SHOWS,
    }


@require_safe
@needs(Permission.SEE_RESULTS)
def results(request: HttpRequest, member: Member) -> HttpResponse:
    """Everything in reports that somebody must be told, the least time left first."""
    show = request.GET.get("show", "open")
    return render(
        request, "desk/results.html", _context(member, show if show in SHOWS else "open", clock.now())
    )


@require_safe
@needs(Permission.SEE_RESULTS)
def finding_page(request: HttpRequest, member: Member, finding_id: int) -> HttpResponse:
    """One finding beside the list: who was tried, who is next, and the read-back."""
    at = clock.now()
    finding = finding_or_404(member, finding_id)
    show = "open" if finding.state in SHOWS["open"] else "ended"
    exam = finding.exam
    looked_at(member, exam.patient, what="result", accession=exam.accession)
    chosen = _line(finding, at)
    context = _context(member, show, at) | {
        "chosen": chosen,
        "people": from_json(finding.people),
        "banner": banner_of(exam.patient),
        "ways": list(CallWay),
        "outcomes": [o for o in CallOutcome if o is not CallOutcome.READ_BACK],
        "categories": [(int(c), word) for c, word in CATEGORY_WORDS.items()],
        "may_tell": member.may(Permission.TELL_RESULTS),
    }
    return render(request, "desk/results.html", context)


def finding_or_404(member: Member, finding_id: int) -> Finding:
    """A finding of the member's own site; raises Http404."""
    finding = _findings(member).filter(pk=finding_id).first()
    if finding is None:
        raise Http404
    exam_or_404(member, finding.exam.accession)
    return finding


def _chosen(kind: type[E], value: str, otherwise: E) -> E:
    return kind(value) if value in list(kind) else otherwise


def _category(value: str) -> Category | None:
    return Category(int(value)) if value in {str(int(c)) for c in Category} else None


@require_POST
@needs(Permission.TELL_RESULTS)
def confirm(request: HttpRequest, member: Member, finding_id: int) -> SeeOther:
    """Somebody must be told: its clock starts."""
    finding = finding_or_404(member, finding_id)
    here = reverse("finding", args=[finding.pk])
    category = _category(request.POST.get("category", ""))
    try:
        tell.confirm_finding(finding_id=finding.pk, at=clock.now(), by=member.who, category=category)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Its clock runs. Call the first person, and write down what comes of it.", to=here)


@require_POST
@needs(Permission.TELL_RESULTS)
def dismiss(request: HttpRequest, member: Member, finding_id: int) -> SeeOther:
    """Nobody must be told of these words."""
    finding = finding_or_404(member, finding_id)
    here = reverse("finding", args=[finding.pk])
    try:
        tell.dismiss_finding(finding_id=finding.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    undo = reverse("finding-confirm", args=[finding.pk])
    return done(
        request, "Nobody is called about it. Undo starts its clock.", to=reverse("results"), undo=undo
    )


@require_POST
@needs(Permission.TELL_RESULTS)
def call(request: HttpRequest, member: Member, finding_id: int) -> SeeOther:
    """Write down one attempt to tell somebody; only a read-back ends it."""
    finding = finding_or_404(member, finding_id)
    here = reverse("finding", args=[finding.pk])
    told = request.POST
    outcome = _chosen(CallOutcome, told.get("outcome", ""), CallOutcome.TOLD)
    try:
        tell.record_call(
            finding_id=finding.pk,
            recipient=shortened(told.get("recipient", ""), 200),
            role=shortened(told.get("role", ""), 32),
            reached_at=shortened(told.get("reached_at", ""), 64),
            way=_chosen(CallWay, told.get("way", ""), CallWay.PHONE),
            outcome=outcome,
            read_back=shortened(told.get("read_back", ""), 500),
            note=shortened(told.get("note", ""), 250),
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    if outcome is CallOutcome.READ_BACK:
        return done(request, "Read back. It is off the list.", to=reverse("results"))
    passed = outcome is CallOutcome.NO_ANSWER
    return done(
        request,
        "Kept. Now call the next person." if passed else "Kept. It still waits for a read-back.",
        to=here,
    )


@require_POST
@needs(Permission.TELL_RESULTS)
def flag(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Say that somebody must be told of something in an exam; its clock starts at once."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    category = _category(request.POST.get("category", ""))
    if category is None:
        return refused(
            request, WrongState("Choose how soon somebody must hear of it. Nothing was kept."), to=here
        )
    try:
        finding = tell.flag_result(
            exam_id=exam.pk,
            category=category,
            words=request.POST.get("words", ""),
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Its clock runs. Call the first person.", to=reverse("finding", args=[finding.pk]))
