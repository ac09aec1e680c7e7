"""Finding rooms, and where patients are fetched from."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.rooms.models import Room, Ward


def rooms_in_use(*, site: Site) -> QuerySet[Room]:
    """The rooms that are not retired, in the department's order."""
    return Room.objects.filter(site=site, retired=False).order_by("sort", "code")


def travel_from(*, site: Site, ward: str) -> timedelta:
    """How long it takes to bring a patient from a ward; nothing where the ward is not known here."""
    found = Ward.objects.filter(site=site, code=ward, retired=False).values_list("travel_minutes", flat=True)
    return timedelta(minutes=found.first() or 0) if ward else timedelta()
