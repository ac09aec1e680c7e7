"""What a newcomer is looking at: one short page, and a line on every page until it is closed for good."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.actions import close_guide
from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import landing_of, needs
from xraydesk.desk.answers import SeeOther, done
from xraydesk.lib import clock


@require_safe
@needs(*Permission)
def guide(request: HttpRequest, member: Member) -> HttpResponse:
    """What is where, for whoever sees the desk for the first time; as far as the role goes."""
    parts = {
        "board": member.may(Permission.SEE_BOARD),
        "attention": member.may(Permission.SEE_PATIENT),
        "rooms": member.may(Permission.PERFORM),
        "results": member.may(Permission.SEE_RESULTS),
        "measures": member.may(Permission.SEE_MEASURES),
        "porter": member.may(Permission.DO_TRANSPORT),
        "messages": member.may(Permission.SEE_MESSAGES),
    }
    return render(request, "desk/guide.html", {"parts": parts})


@require_POST
@needs(*Permission)
def close(request: HttpRequest, member: Member) -> SeeOther:
    """Not shown again to this person; the page stays where the foot links to it."""
    close_guide(name=member.who.removeprefix("user:"), at=clock.now())
    return done(
        request, "Closed. It stays under Guide in your menu, at the top right.", to=landing_of(member)
    )
