"""Studies to compare an exam with: what is missing, and who asks for it."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.models import Prior
from xraydesk.journey.errors import Refused
from xraydesk.journey.priors import move_prior, want_prior
from xraydesk.lib import clock

ACTIONS = {
    "chase": ("chase", "It is written down that you ask for it."),
    "came": ("come", "It is there."),
    "none": ("give up", "It is not to be had."),
}
"""What the page's addresses call each action, and what is said when it was done."""


@require_POST
@needs(Permission.OPEN_IMAGES)
def want(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Ask for a study elsewhere."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    words, of = request.POST.get("words", ""), request.POST.get("of", "")
    try:
        want_prior(exam_id=exam.pk, words=words, of=of, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is written down that you ask for it.", to=here)


@require_POST
@needs(Permission.OPEN_IMAGES)
def move(request: HttpRequest, member: Member, prior_id: int, what: str) -> SeeOther:
    """Say who asks for a missing study, that it came, or that it is not to be had."""
    prior = Prior.objects.select_related("exam").filter(site=member.site, pk=prior_id).first()
    if prior is None or what not in ACTIONS:
        raise Http404
    exam = exam_or_404(member, prior.exam.accession)
    here = reverse("exam", args=[exam.accession])
    action, said = ACTIONS[what]
    of = request.POST.get("of", "")
    try:
        move_prior(prior_id=prior.pk, action=action, of=of, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, said, to=here)
