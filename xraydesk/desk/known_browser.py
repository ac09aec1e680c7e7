"""A browser in which somebody signed in before: nobody elsewhere can lock them out of it by trying their name.

The cookie says nothing that can be read but that it is ours; it lets nobody in, and knows no password.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from xraydesk.access.members import token_digest
from xraydesk.lib.ids import new_secret

COOKIE = "xraydesk_known"
KNOWN_FOR = timedelta(days=180)
PEOPLE_MAX = 20
"""So many people may share one browser and be known there; whoever signed in longest ago is forgotten."""


def secret_for(request: HttpRequest, name: str) -> str:
    """The secret of a browser in which somebody of this name has signed in; empty where nobody has."""
    told = _told(request)
    secret = told.get("secret", "")
    return f"{secret} {name}" if secret and _mark(secret, name) in told["people"] else ""


def remember(request: HttpRequest, answer: HttpResponse, name: str) -> None:
    """Note in the browser that this person signed in there."""
    told = _told(request)
    secret = told.get("secret") or new_secret(16)
    mine = _mark(secret, name)
    people = [mine, *(one for one in told.get("people", ()) if one != mine)][:PEOPLE_MAX]
    answer.set_cookie(
        COOKIE,
        signing.dumps({"secret": secret, "people": people}, salt=COOKIE),
        max_age=KNOWN_FOR,
        path="/sign-in",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _mark(secret: str, name: str) -> str:
    """What stands for a name: who does not guess a name does not read it in the cookie."""
    return token_digest(f"{secret} {name}")[:16]


def _told(request: HttpRequest) -> dict[str, Any]:
    try:
        told = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=KNOWN_FOR)
    except signing.BadSignature:
        return {}
    return told if isinstance(told, dict) else {}
