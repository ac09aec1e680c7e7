"""Pages of our own for what went wrong: not here, not allowed, not understood, from a form only, broken."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from xraydesk.desk.access import signed_in


def _answer(request: HttpRequest | None, status: int, heading: str, sentence: str) -> HttpResponse:
    try:
        member = signed_in(request) if request is not None else None
        with timezone.override(ZoneInfo(member.site.timezone) if member is not None else None):
            text = render_to_string("desk/wrong.html", {"heading": heading, "sentence": sentence}, request)
    finally:
        if isinstance(request, ASGIRequest):
            # Django answers exceptions there in a thread of no request, whose connection nobody else would give back.
            close_old_connections()
    return HttpResponse(text, status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: nothing here, or nothing for this role and site; the two look alike on purpose."""
    return _answer(
        request,
        404,
        "There is nothing here",
        "The address is mistyped, or it belongs to something that your role or site does not show.",
    )


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponse:
    """403: also for a form whose hidden field is missing or old."""
    return _answer(
        request,
        403,
        "This form was too old",
        "Nothing was changed. Go back, load the page again and send it once more.",
    )


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: what was sent is no proper request."""
    return _answer(
        request,
        400,
        "That was not understood",
        "Nothing was changed. Go back and try it from the page itself.",
    )


def of_a_form(request: HttpRequest) -> HttpResponse:
    """405: an address that a form posts to, opened by itself, as a browser does that opens old pages again."""
    return _answer(
        request,
        405,
        "This page is the answer to a form",
        "Nothing was changed. Go back to the page with the form and send it once more.",
    )


def broken(request: HttpRequest) -> HttpResponse:
    """500: rendered without the database, which may be what is broken."""
    return _answer(
        None,
        500,
        "The desk could not do that",
        "Nothing was changed by this page. Try again in a moment; if it stays so, use the printed day list.",
    )
