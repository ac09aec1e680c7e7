"""What a destination does not promise to keep: tried again, or seen there by a person."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey import promise
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock


def _item_or_404(member: Member, item_id: int) -> Item:
    item = Item.objects.filter(site=member.site, pk=item_id, kind=ItemKind.IMAGE_NOT_KEPT).first()
    if item is None:
        raise Http404
    exam_or_404(member, item.accession)
    return item


@require_POST
@needs(Permission.DECIDE_IMAGES)
def again(request: HttpRequest, member: Member, item_id: int) -> SeeOther:
    """Send, or ask about, the images again."""
    item = _item_or_404(member, item_id)
    here, destination = reverse("attention"), item.data["destination"]
    try:
        promise.try_again(
            site=member.site,
            destination=destination,
            accession=item.accession,
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"It is tried again at {destination}.", to=here)


@require_POST
@needs(Permission.DECIDE_IMAGES)
def seen(request: HttpRequest, member: Member, item_id: int) -> SeeOther:
    """Somebody looked: the images are safe there."""
    item = _item_or_404(member, item_id)
    here, destination = reverse("attention"), item.data["destination"]
    try:
        count = promise.seen_there(
            site=member.site,
            destination=destination,
            accession=item.accession,
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    what = "images count" if count > 1 else "image counts"
    return done(request, f"{count} {what} as safe at {destination}, by your word.", to=here)
