"""Who is asking, at which site, and what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from xraydesk.access.models import AppToken, Membership, Site, Token, User
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.lib import clock
from xraydesk.lib.prepared import Question, ask, rows_with

APPS_BELOW = "/fhir/"
"""The addresses at which tokens of apps are taken."""


@dataclass(frozen=True)
class Member:
    """A person or program acting at one site. `who` is how facts and logs name them."""

    who: str
    name: str
    site: Site
    role: Role
    locations: frozenset[int] = frozenset()
    """Primary keys of the locations that the role is limited to; empty for all."""
    scopes: str | None = None
    """What a token of an app may do; None for whoever is limited by role alone."""
    patient: int | None = None
    """The key of the one record that a token of an app may see; None for all."""
    app: str = ""
    """The app through which somebody acts; empty where there is none."""
    is_new: bool = False
    """True for a person who has not closed the introduction yet."""

    def may(self, permission: Permission) -> bool:
        """Whether this member may do something."""
        return allows(self.role, permission)


def member_of(request: HttpRequest) -> Member | None:
    """The member behind a request, by bearer token or else by session; None for a stranger."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        member = member_of_token(secret.strip())
        # What an app was let in for has names in FHIR alone; pages know nothing of scopes.
        if member is None and request.path_info.startswith(APPS_BELOW):
            return member_of_app_token(secret.strip(), at=clock.now())
        return member
    user_id = request.session.get(SESSION_KEY)
    if user_id is None:
        return None
    membership = membership_of(int(user_id))
    if membership is None or not _is_of_this_password(request.session, membership.user):
        return None
    return Member(
        who=f"user:{membership.user.name}",
        name=membership.user.full_name or membership.user.name,
        site=membership.site,
        role=Role(membership.role),
        locations=locations_of(membership),
        is_new=membership.user.guide_closed_at is None,
    )


def begin_session(session: SessionBase, user: User) -> None:
    """Note in a browser's session who is signed in; it ends when they are given another password."""
    session[SESSION_KEY] = str(user.pk)
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()


def _is_of_this_password(session: SessionBase, user: User) -> bool:
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


def membership_of(user_id: int) -> Membership | None:
    """The role that a person acts in; None where they have none, or do not work here any more."""
    works_here = f"user_id IN (SELECT id FROM {User._meta.db_table} WHERE is_active)"
    found = rows_with(
        Membership, f"user_id = $1 AND {works_here}", [user_id], "user", "site", order="site_id"
    )
    return found[0] if found else None


def locations_of(membership: Membership) -> frozenset[int]:
    """Primary keys of the locations that a role is limited to; empty for all."""
    limits = Membership.locations.through._meta.db_table
    asked = Question(f"SELECT location_id FROM {limits} WHERE membership_id = $1", [membership.pk])
    return frozenset(key for (key,) in ask(asked))


def token_digest(secret: str) -> str:
    """What is kept of a bearer token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def member_of_token(secret: str) -> Member | None:
    """The program behind a bearer token; None where it is unknown or revoked."""
    found = rows_with(Token, "sha256 = $1 AND revoked_at IS NULL", [token_digest(secret)], "site")
    if not found:
        return None
    (token,) = found
    return Member(who=f"token:{token.name}", name=token.name, site=token.site, role=Role(token.role))


def member_of_app_token(secret: str, *, at: datetime) -> Member | None:
    """Who acts through an app, with what its token may do; None where it is unknown, too old, or the app is revoked.

    A service acts as itself. For a person their role counts as well, as it is now.
    """
    token = (
        AppToken.objects.select_related("app__site")
        .filter(sha256=token_digest(secret), until__gt=at, app__revoked_at=None)
        .first()
    )
    if token is None:
        return None
    app = token.app
    if token.user_id is None:
        return Member(
            who=f"app:{app.name}",
            name=app.name,
            site=app.site,
            role=Role.SYSTEM,
            scopes=token.scopes,
            patient=token.patient,
            app=app.name,
        )
    membership = membership_of(token.user_id)
    if membership is None or membership.site_id != app.site_id:
        return None
    return Member(
        who=f"user:{membership.user.name}",
        name=membership.user.name,
        site=app.site,
        role=Role(membership.role),
        locations=locations_of(membership),
        scopes=token.scopes,
        patient=token.patient,
        app=app.name,
    )
