"""Who is asking, at which site, and what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest

from xraydesk.access.models import Membership, Site, Token
from xraydesk.access.roles import Permission, Role, allows


@dataclass(frozen=True)
class Member:
    """A person or program acting at one site. `who` is how facts and logs name them."""

    who: str
    name: str
    site: Site
    role: Role
    locations: frozenset[int] = frozenset()
    """Primary keys of the locations that the role is limited to; empty for all."""
    is_new: bool = False
    """True for a person who has not closed the introduction yet."""

    def may(self, permission: Permission) -> bool:
        """Whether this member may do something."""
        return allows(self.role, permission)


def member_of(request: HttpRequest) -> Member | None:
    """The member behind a request, by bearer token or else by session; None for a stranger."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        return member_of_token(secret.strip())
    user_id = request.session.get(SESSION_KEY)
    if user_id is None:
        return None
    membership = (
        Membership.objects.select_related("user", "site")
        .prefetch_related("locations")
        .filter(user_id=user_id, user__is_active=True)
        .order_by("site_id")
        .first()
    )
    if membership is None:
        return None
    return Member(
        who=f"user:{membership.user.name}",
        name=membership.user.full_name or membership.user.name,
        site=membership.site,
        role=Role(membership.role),
        locations=frozenset(location.pk for location in membership.locations.all()),
        is_new=membership.user.guide_closed_at is None,
    )


def token_digest(secret: str) -> str:
    """What is kept of a bearer token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def member_of_token(secret: str) -> Member | None:
    """The program behind a bearer token; None where it is unknown or revoked."""
    token = Token.objects.select_related("site").filter(sha256=token_digest(secret), revoked_at=None).first()
    if token is None:
        return None
    return Member(who=f"token:{token.name}", name=token.name, site=token.site, role=Role(token.role))
