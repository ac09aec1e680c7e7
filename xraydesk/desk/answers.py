"""What a page says after something was done, or refused."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from xraydesk.journey.errors import Refused


class SeeOther(HttpResponseRedirect):
    """After a form was done: fetch that page now (303), so that going back sends nothing twice."""

    status_code = 303


def back_to(request: HttpRequest, otherwise: str) -> str:
    """The page that the form's hidden field `back` names, if it is one of ours; else `otherwise`."""
    back = request.POST.get("back", "") or request.GET.get("back", "")
    ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/")
    return back if ours else otherwise


def done(request: HttpRequest, text: str, *, to: str, undo: str = "") -> SeeOther:
    """Go on to `to` and say there what was done, with an Undo button that posts to `undo`."""
    messages.success(request, text, extra_tags=undo)
    return SeeOther(back_to(request, to))


def refused(request: HttpRequest, why: Refused, *, to: str) -> SeeOther:
    """Go on to `to` and say there why it was not done; nothing was changed."""
    messages.error(request, str(why))
    return SeeOther(back_to(request, to))
