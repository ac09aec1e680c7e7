"""What every page's frame needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from xraydesk.desk.access import landing_of, signed_in
from xraydesk.desk.nav import menu
from xraydesk.facts import queries as facts
from xraydesk.lib import clock


def desk(request: HttpRequest) -> dict[str, Any]:
    """The signed-in person, the menu with its counts, the time, and the revision of the facts shown."""
    member = signed_in(request)
    if member is None:
        return {"member": None}
    return {
        "member": member,
        "menu": menu(member, request.path),
        "home": landing_of(member),
        "frame_at": clock.now(),
        "revision": facts.revision(site_id=member.site.pk),
    }
