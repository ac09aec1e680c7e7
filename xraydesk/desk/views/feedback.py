"""Readers' words on images: said by one click, seen by those who made them."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.reader import WHOLE_EXAM_WORD
from xraydesk.journey import feedback as journey
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.quality.models import Feedback
from xraydesk.quality.queries import of_site, unseen_count
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.quality.rules import may_mark_seen

WORDS_SHOWN_MAX = 200
SHOWS = ("mine", "all")


@require_safe
@needs(Permission.SEE_FEEDBACK)
def feedback(request: HttpRequest, member: Member) -> HttpResponse:
    """What readers said of images: first what nobody has seen, then the newest. Names no patient."""
    usual = "mine" if member.may(Permission.PERFORM) and not member.may(Permission.BOOK) else "all"
    show = request.GET.get("show", usual)
    show = show if show in SHOWS else usual
    words = list(of_site(member.site, about=member.who if show == "mine" else "")[:WORDS_SHOWN_MAX])
    context = {
        "show": show,
        "words": [(said, _may_see(member, said)) for said in words],
        "unseen": unseen_count(member.site, about=member.who),
        "cut": len(words) == WORDS_SHOWN_MAX,
        "whole_exam": WHOLE_EXAM_WORD,
        "may_learn": member.may(Permission.TRY_RULES),
        "may_open": member.may(Permission.SEE_PATIENT),
    }
    return render(request, "desk/feedback.html", context)


def _may_see(member: Member, said: Feedback) -> bool:
    return said.seen_at is None and member.may(Permission.PERFORM) and may_mark_seen(said.about, member.who)


@require_POST
@needs(Permission.GIVE_FEEDBACK)
def give(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """A reader says one word on one view."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession]) + "#words"
    try:
        reason = FeedbackReason(request.POST.get("reason", ""))
    except ValueError:
        return refused(request, Refused("Choose one of the words. Nothing was kept."), to=here)
    try:
        said = journey.give_feedback(
            exam_id=exam.pk,
            view=request.POST.get("view", ""),
            reason=reason,
            note=request.POST.get("note", ""),
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    text = f"{said.view or WHOLE_EXAM_WORD}: {said.reason}. The technologist is told."
    return done(request, text, to=here, undo=reverse("feedback-withdraw", args=[said.pk]))


@require_POST
@needs(Permission.GIVE_FEEDBACK)
def withdraw(request: HttpRequest, member: Member, feedback_id: int) -> SeeOther:
    """A reader takes a word back."""
    said = _word_or_404(member, feedback_id)
    here = reverse("exam", args=[said.exam.accession]) + "#words"
    try:
        journey.withdraw_feedback(feedback_id=said.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It was taken back.", to=here)


@require_POST
@needs(Permission.PERFORM)
def seen(request: HttpRequest, member: Member, feedback_id: int) -> SeeOther:
    """A technologist says that they saw a word."""
    said = _word_or_404(member, feedback_id)
    here = reverse("feedback")
    try:
        journey.see_feedback(feedback_id=said.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Seen. The reader's word stays on the exam's page.", to=here)


def _word_or_404(member: Member, feedback_id: int) -> Feedback:
    """A word on an exam of the member's own site and locations; raises Http404."""
    said = Feedback.objects.select_related("exam").filter(site=member.site, pk=feedback_id).first()
    if said is None:
        raise Http404
    exam_or_404(member, said.exam.accession)
    return said
