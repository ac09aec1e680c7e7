"""Images that can be read: who was told of a STAT, and that they were opened."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey import distribute
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock


@require_POST
@needs(Permission.OPEN_IMAGES)
def images_opened(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Whoever reads has the images open."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    try:
        distribute.opened(exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"The images of {exam.accession} were opened.", to=here)


@require_POST
@needs(Permission.OPEN_IMAGES)
def told(request: HttpRequest, member: Member, accession: str, team: bool) -> SeeOther:
    """The reader on call, or the team, was told of a STAT."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    try:
        whom = distribute.somebody_told(exam_id=exam.pk, team=team, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"{whom} was told of {exam.accession}.", to=here)
