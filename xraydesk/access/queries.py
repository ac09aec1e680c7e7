"""Reading who may do what, and who read what."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from xraydesk.access.models import RecordRead, Site, User

READS_SHOWN_MAX = 500
"""Lines of the log on one page."""


def reads(
    *,
    site: Site,
    since: datetime,
    until: datetime,
    patient: int | None = None,
    who: str = "",
    accession: str = "",
) -> QuerySet[RecordRead]:
    """Who read what at a site from `since` to before `until`, newest first, at most READS_SHOWN_MAX."""
    found = RecordRead.objects.filter(site=site, at__gte=since, at__lt=until)
    if patient is not None:
        found = found.filter(patient=patient)
    if who:
        found = found.filter(who=who)
    if accession:
        found = found.filter(accession=accession)
    return found.order_by("-at", "-pk")[:READS_SHOWN_MAX]


def locked_users(*, site: Site, at: datetime) -> QuerySet[User]:
    """People of a site who are locked out at the moment, by name."""
    return User.objects.filter(memberships__site=site, locked_until__gt=at).order_by("name")
