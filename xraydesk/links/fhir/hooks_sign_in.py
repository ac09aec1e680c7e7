"""Who calls a CDS Hook: an EHR signs each call (CDS Hooks 2.0, "Trusting CDS Clients"), by an issuer that the site registered."""

from __future__ import annotations

import json

from django.http import HttpRequest
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from xraydesk.access import app_actions
from xraydesk.access.members import Member
from xraydesk.access.models import App
from xraydesk.access.roles import Role
from xraydesk.lib import clock
from xraydesk.links.fhir.app_keys import keys_of
from xraydesk.links.fhir.sign_in import ALGORITHMS

LEEWAY_SECONDS = 30
"""Clocks of two houses differ by so much."""


def member_of_call(request: HttpRequest) -> Member | None:
    """The service that signed a call, with what it is registered for; None where nobody known did.

    A call is good once, for this address, and for ten minutes at most. Keys that the call itself names (`jku`, `jwk`) are not looked at.
    """
    scheme, _, told = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        unproved = jws.extract_compact(told.strip().encode())
        header, issuer = unproved.headers(), json.loads(unproved.payload)["iss"]
        if header.get("alg") not in ALGORITHMS or not header.get("kid") or not isinstance(issuer, str):
            return None
        app = App.objects.filter(issuer=issuer, revoked_at=None, people=False).exclude(issuer="").first()
        if app is None:
            return None
        keys = KeySet.import_key_set({"keys": keys_of(app, str(header["kid"]))})
        claims = jwt.decode(told.strip(), keys, algorithms=ALGORITHMS).claims
        until = clock.now() + app_actions.ASSERTION_FOR_MAX
        jwt.JWTClaimsRegistry(
            now=int(clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            aud={"essential": True, "value": request.build_absolute_uri().partition("?")[0]},
            exp={"essential": True},
            jti={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if claims["exp"] > until.timestamp() or not _is_first(app, claims["jti"]):
        return None
    return Member(
        who=f"app:{app.name}",
        name=app.name,
        site=app.site,
        role=Role.SYSTEM,
        scopes=app.scopes,
        app=app.name,
    )


def _is_first(app: App, number: object) -> bool:
    return isinstance(number, str) and app_actions.note_assertion(app=app, number=number, at=clock.now())
