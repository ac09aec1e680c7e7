"""How well pictures are told apart by what they look like: what was learnt, from how many, and how sure it may be."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.gross_part import EXAMPLES_MIN
from xraydesk.journey import learning
from xraydesk.journey import pictures as journey
from xraydesk.journey.errors import Refused
from xraydesk.journey.policy import policies_of


@require_safe
@needs(Permission.TRY_RULES)
def pictures(request: HttpRequest, member: Member) -> HttpResponse:
    """What was learnt from the site's own confirmed images. Names no patient."""
    context = {
        "is_on": policies_of(member.site).look_at_pictures,
        "counts": journey.counts(member.site),
        "needed": EXAMPLES_MIN,
        "is_learning": learning.is_learning(member.site),
        "learnt": journey.latest_model(member.site),
    }
    return render(request, "desk/pictures.html", context)


@require_POST
@needs(Permission.TRY_RULES)
def learn(request: HttpRequest, member: Member) -> SeeOther:
    """Learn anew from what is confirmed."""
    here = reverse("pictures")
    try:
        learning.ask_to_learn(site=member.site, by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is being learnt. Look again in a minute or two.", to=here)
