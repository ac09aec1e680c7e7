"""Which files of images are here, and why: totals by reason, what no destination promised to keep, and the room left."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.retention_rules import Kept
from xraydesk.journey import retention
from xraydesk.journey.errors import Refused
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.results.document_rules import DocumentKept

ENDS = {
    Kept.UNDECIDED: ("attention", "?kind=images", "somebody decides"),
    Kept.NOT_SENT: ("sending", "", "its exam ends, and every destination takes it"),
    Kept.NOWHERE: ("sending", "", "a destination that is not for research takes it"),
    Kept.NOT_SAFE: ("sending", "", "each destination promises to keep it, or enough time has passed"),
    Kept.ASKED_ABOUT: ("attention", "?kind=images", "the item is dealt with"),
    Kept.PRIORS: ("attention", "", "they are there, or somebody says that they are not to be had"),
}
"""For each reason that a person can do something about: where, and what ends it."""


DOCUMENT_ENDS = {
    DocumentKept.UNDECIDED: "somebody decides",
    DocumentKept.NOT_TAKEN: "it is taken there",
    DocumentKept.NOWHERE: "a system that takes reports is told of it",
}
"""For each reason what ends it, where that is no day."""


@require_safe
@needs(Permission.KEEP_IMAGES)
def kept(request: HttpRequest, member: Member) -> HttpResponse:
    """What is kept. Names no patient."""
    # The file system is asked where it is kept; what speaks DICOM is imported only where it is asked for.
    from xraydesk.links.dicom.release import free_bytes
    from xraydesk.links.outgoing import documents_kept

    overview = retention.overview(site=member.site, at=clock.now())
    room = retention.room(site=member.site, free_bytes=free_bytes(Path(settings.XRAYDESK_SPOOL)))
    context = {
        "lines": [
            {
                "total": total,
                "where": reverse(ENDS[total.why][0]) + ENDS[total.why][1] if total.why in ENDS else "",
                "ends": ENDS[total.why][2] if total.why in ENDS else "",
                "may_go": total.why is Kept.MAY_GO,
            }
            for total in overview.totals
        ],
        "destinations": overview.destinations,
        "documents": [
            {
                "total": total,
                "ends": DOCUMENT_ENDS.get(total.why, ""),
                "may_go": total.why is DocumentKept.MAY_GO,
            }
            for total in documents_kept.totals(member.site, at=clock.now())
        ],
        "room": room,
        "policies": policies_of(member.site),
    }
    return render(request, "desk/kept.html", context)


@require_POST
@needs(Permission.KEEP_IMAGES)
def release(request: HttpRequest, member: Member) -> SeeOther:
    """Let go now of what may go, in place of within the hour."""
    if not retention.ask_to_release():
        return done(request, "It was asked for already, and is done in a moment.", to=reverse("kept"))
    return done(request, "What may go is let go of in a moment. Look again.", to=reverse("kept"))


@require_POST
@needs(Permission.KEEP_IMAGES)
def give_up(request: HttpRequest, member: Member, destination: str) -> SeeOther:
    """Nobody waits any more for a destination that the site file names no more."""
    here = reverse("kept")
    try:
        count = retention.give_up_destination(
            site=member.site, destination=destination, at=clock.now(), by=member.who
        )
    except Refused as why:
        return refused(request, why, to=here)
    what = f"{count} image{'s' if count != 1 else ''}"
    return done(request, f"{what} that {destination} took count as safe there, by your word.", to=here)
