"""Coming in and going out."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from xraydesk.access.actions import LOCKED_FOR, LockedOut, NotKnown, TooManyFromThere, sign_in
from xraydesk.access.members import begin_session, member_of
from xraydesk.desk import known_browser
from xraydesk.desk.access import landing_of
from xraydesk.desk.answers import SeeOther
from xraydesk.lib import clock

WRONG = (
    "That name and password do not go together. Try again; after several wrong ones wait a few minutes first. "
    "Your administrator can give you a new password."
)
"""Of a wrong password, an unknown name and a locked one alike: who is known here is not told to strangers."""
TOO_MANY = "Too many wrong passwords came from this place. Wait a quarter of an hour, or sign in where you have before."
NO_ROLE = "You have no role at any department here yet. Ask your administrator."


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """The sign-in form. Leads on to the page that was asked for, or else to where the role begins."""
    if request.method != "POST":
        return _form(request, back=request.GET.get("next", ""), lost="lost" in request.GET)
    name = request.POST.get("username", "").strip()
    back = request.POST.get("next", "")
    try:
        user = sign_in(
            name=name,
            password=request.POST.get("password", ""),
            at=clock.now(),
            address=request.META.get("REMOTE_ADDR", ""),
            browser=known_browser.secret_for(request, name),
        )
    except (NotKnown, LockedOut):
        return _form(request, back=back, name=name, wrong=WRONG, status=401)
    except TooManyFromThere:
        answer = _form(request, back=back, name=name, wrong=TOO_MANY, status=429)
        answer["Retry-After"] = str(int(LOCKED_FOR.total_seconds()))
        return answer
    request.session.flush()
    begin_session(request.session, user)
    rotate_token(request)
    member = member_of(request)
    if member is None:
        request.session.flush()
        return _form(request, back=back, name=name, wrong=NO_ROLE, status=401)
    ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/")
    answer = SeeOther(back if ours else landing_of(member))
    known_browser.remember(request, answer, name)
    return answer


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session of this browser."""
    request.session.flush()
    return SeeOther("/sign-in")


def intended_use(request: HttpRequest) -> HttpResponse:
    """What the desk is for and what it is not for; for everybody."""
    return render(request, "desk/intended_use.html")


def _form(
    request: HttpRequest,
    *,
    back: str,
    name: str = "",
    wrong: str = "",
    lost: bool = False,
    status: int = 200,
) -> HttpResponse:
    return render(
        request,
        "desk/sign_in.html",
        {"next": back, "name": name, "wrong": wrong, "lost": lost, "member": None},
        status=status,
    )
