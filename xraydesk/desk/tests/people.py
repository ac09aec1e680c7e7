"""Browsers with somebody signed in, for tests."""

from __future__ import annotations

from django.test import Client

from xraydesk.access.members import begin_session
from xraydesk.access.models import Location, Membership, Site, User
from xraydesk.access.roles import Role


def signed_in(site: Site, role: Role = Role.COORDINATOR, locations: tuple[str, ...] = ()) -> Client:
    """A browser in which somebody with a role at a site, or in some of its locations, is signed in."""
    name = "-".join((role, site.code, *locations))
    user, _ = User.objects.get_or_create(name=name, defaults={"full_name": f"The {role}"})
    membership, _ = Membership.objects.get_or_create(user=user, site=site, defaults={"role": role})
    membership.locations.set(Location.objects.filter(site=site, code__in=locations))
    client = Client()
    session = client.session
    begin_session(session, user)
    session.save()
    return client
