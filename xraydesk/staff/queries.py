"""Finding the people of the department."""

from __future__ import annotations

from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.staff.models import Technologist


def technologists(*, site: Site) -> QuerySet[Technologist]:
    """Those who work here now, by code."""
    return Technologist.objects.filter(site=site, retired=False).order_by("code")
