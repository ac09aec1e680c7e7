"""The stream behind every open page."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import signed_in
from xraydesk.desk.live import STREAMS_MAX, revisions, stream


async def live(request: HttpRequest) -> HttpResponseBase:
    """Server-sent events: "this site is at revision N", and nothing else.

    Authorises first, gives the database connection back, and makes no query afterwards.
    401 for a stranger, 404 for a role without the board, 503 with more than STREAMS_MAX open.
    """
    member = await sync_to_async(_member, thread_sensitive=True)(request)
    if member is None:
        return HttpResponse("Sign in first.\n", status=401, content_type="text/plain")
    if not (member.may(Permission.SEE_BOARD) or member.may(Permission.DO_TRANSPORT)):
        raise Http404
    if revisions().streams >= STREAMS_MAX:
        return HttpResponse("Too many open pages.\n", status=503, headers={"Retry-After": "10"})
    response = StreamingHttpResponse(stream(member.site.pk), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _member(request: HttpRequest) -> Member | None:
    try:
        return signed_in(request)
    finally:
        connections.close_all()
