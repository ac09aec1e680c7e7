"""Images on their way: what waits for each destination, how fast it goes, and what was given up."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.queues import GIVEN_UP_SHOWN_MAX, RATE_MINUTES, Queue, given_up, queues
from xraydesk.journey import route
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.siteplan.routing_plan import DestinationPlan


@dataclass(frozen=True)
class Lane:
    """One destination with its queue; `plan` is None where the site file names it no more."""

    name: str
    queue: Queue
    plan: DestinationPlan | None


@require_safe
@needs(Permission.SEE_MESSAGES)
def sending(request: HttpRequest, member: Member) -> HttpResponse:
    """Each destination's queue, and each image that was given up."""
    found = queues(site=member.site, at=clock.now())
    plans = {to.name: to for to in route.destinations_of(member.site) if to.takes_images}
    lanes = [
        Lane(name, found.get(name, Queue()), plans.get(name)) for name in dict.fromkeys([*plans, *found])
    ]
    rows = given_up(site=member.site)
    context = {
        "lanes": lanes,
        "given_up": rows[:GIVEN_UP_SHOWN_MAX],
        "given_up_count": sum(lane.queue.given_up for lane in lanes),
        "minutes": RATE_MINUTES,
    }
    return render(request, "desk/sending.html", context)


@require_POST
@needs(Permission.SEE_MESSAGES)
def again(request: HttpRequest, member: Member, delivery_id: int) -> SeeOther:
    """Try one image again that was given up."""
    here = reverse("sending")
    if not Delivery.objects.filter(site=member.site, pk=delivery_id).exists():
        raise Http404
    try:
        route.retry_delivery(delivery_id=delivery_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "The image is tried again.", to=here)


@require_POST
@needs(Permission.SEE_MESSAGES)
def all_again(request: HttpRequest, member: Member, destination: str) -> SeeOther:
    """Try everything again that was given up for one destination."""
    here = reverse("sending")
    count = route.retry_destination(site=member.site, destination=destination, at=clock.now(), by=member.who)
    if not count:
        return refused(request, Refused(f"Nothing was given up for {destination}."), to=here)
    return done(
        request, f"{count} image{'s are' if count > 1 else ' is'} tried again for {destination}.", to=here
    )
