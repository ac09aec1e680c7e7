"""Who may open a page: a session, a role, and things of one's own site only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import resolve, reverse
from django.utils import timezone

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.rooms.queries import rooms_in_use
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.states import LIVE

P = ParamSpec("P")


def signed_in(request: HttpRequest) -> Member | None:
    """The member behind a request, or None for a stranger."""
    member = getattr(request, "member", None)  # lazy: it is looked up at the first question
    return member if isinstance(member, Member) else None


BACK_LENGTH_MAX = 1000
"""An address longer than this was typed by nobody; after signing in the board is shown instead."""


def needs(
    *permissions: Permission,
) -> Callable[
    [Callable[Concatenate[HttpRequest, Member, P], HttpResponseBase]],
    Callable[..., HttpResponseBase],
]:
    """Let only members in who may do one of `permissions`; the view is handed the member after the request.

    A stranger is led to the sign-in form and back here afterwards; a member whose role may
    not is told that there is no such page (404). Times in templates are in the site's zone.
    """

    def guard(
        view: Callable[Concatenate[HttpRequest, Member, P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            member = signed_in(request)
            if member is None:
                return to_sign_in(request)
            if not any(member.may(permission) for permission in permissions):
                raise Http404
            with timezone.override(ZoneInfo(member.site.timezone)):
                return view(request, member, *args, **kwargs)

        guarded.needs = permissions  # type: ignore[attr-defined]
        return guarded

    return guard


def may_open(member: Member, url: str) -> bool:
    """True where an address of this desk is one that a member's role lets them open: nothing leads to a page that is not there."""
    wanted: tuple[Permission, ...] = getattr(resolve(url).func, "needs", ())
    return not wanted or any(member.may(permission) for permission in wanted)


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Leads a stranger to the sign-in form, which leads back here; after a form was sent, to the page that it stood on.

    Then it also says that what was pressed was not done.
    """
    is_form = request.method not in {"GET", "HEAD"}
    back = _page_left(request) if is_form else request.get_full_path()
    if len(back) > BACK_LENGTH_MAX:
        back = "/"
    told = ({} if back == "/" else {"next": back}) | ({"lost": "1"} if is_form else {})
    return HttpResponseRedirect(reverse("sign-in") + ("?" + urlencode(told) if told else ""))


def _page_left(request: HttpRequest) -> str:
    """The page of this desk that a form was sent from, as the browser says; else the first one."""
    try:
        said = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return "/"
    if said.netloc != request.get_host() or not said.path.startswith("/"):
        return "/"
    return said.path + (f"?{said.query}" if said.query else "")


def exam_or_404(member: Member, accession: str) -> Exam:
    """The exam of the member's own site and locations, with patient, order and procedure.

    Raises Http404 where there is none, or where it belongs to another site, or is booked in
    a location that the member's role does not reach.
    """
    exam = (
        Exam.objects.select_related("patient", "order", "procedure", "site")
        .filter(site=member.site, accession=accession)
        .first()
    )
    if exam is None:
        raise Http404
    if member.locations:
        booking = Booking.objects.select_related("room").filter(exam=exam, state__in=LIVE).first()
        if booking is not None and booking.room.location_id not in member.locations:
            raise Http404
    return exam


def room_or_404(member: Member, code: str) -> Room:
    """The room of the member's own site and locations that is still in use; raises Http404."""
    room = Room.objects.select_related("location").filter(site=member.site, code=code, retired=False).first()
    if room is None or (member.locations and room.location_id not in member.locations):
        raise Http404
    return room


def rooms_of(member: Member) -> QuerySet[Room]:
    """The rooms in use of the member's own site and locations, in the department's order."""
    found = rooms_in_use(site=member.site)
    return found.filter(location__in=member.locations) if member.locations else found


def room_ids_of(member: Member) -> frozenset[int] | None:
    """Keys of the rooms that a member is limited to, retired ones too; None for all."""
    if not member.locations:
        return None
    return frozenset(Room.objects.filter(location__in=member.locations).values_list("pk", flat=True))


def reaches(member: Member, *, room_ids: Iterable[int]) -> bool:
    """Whether all of these rooms are in locations that the member's role reaches."""
    mine = room_ids_of(member)
    return mine is None or mine.issuperset(room_ids)


def rearrangement_or_404(member: Member, number: int) -> Rearrangement:
    """A rearrangement of the member's own site, all of it in the member's locations; raises Http404."""
    kept = Rearrangement.objects.filter(site=member.site, pk=number).first()
    if kept is None or not reaches(member, room_ids=kept.room_ids):
        raise Http404
    return kept


def landing_of(member: Member) -> str:
    """Where a member begins after signing in."""
    if member.may(Permission.SEE_BOARD):
        return reverse("board")
    return reverse("porter") if member.may(Permission.DO_TRANSPORT) else reverse("intended-use")
