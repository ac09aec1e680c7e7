"""Browsers with somebody signed in, for tests."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.test import Client

from xraydesk.access.models import Membership, Site, User
from xraydesk.access.roles import Role


def signed_in(site: Site, role: Role = Role.COORDINATOR) -> Client:
    """A browser in which somebody with a role at a site is signed in."""
    user, _ = User.objects.get_or_create(name=f"{role}-{site.code}", defaults={"full_name": f"The {role}"})
    Membership.objects.get_or_create(user=user, site=site, defaults={"role": role})
    client = Client()
    session = client.session
    session[SESSION_KEY] = str(user.pk)
    session.save()
    return client
