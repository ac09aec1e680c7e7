"""A technologist goes home, or is back: who is planned with them is looked at on the page for what happened."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import UnknownTechnologist
from xraydesk.lib import clock
from xraydesk.staff.actions import set_away
from xraydesk.staff.models import Technologist


@transaction.atomic
def mark_gone(*, site: Site, code: str, at: datetime, by: str) -> Technologist:
    """Somebody is gone for the rest of the local day. Bookings stand until they are moved. Raises UnknownTechnologist."""
    who = _locked(site, code)
    _, midnight = clock.day_bounds(clock.local_day(at, site.timezone), site.timezone)
    if who.away_until is None or who.away_until < midnight:
        set_away(who, until=midnight)
        data = {"technologist": code, "until": midnight.isoformat()}
        record(site_id=site.pk, kind=FactKind.TECHNOLOGIST_GONE, at=at, by=by, data=data)
    return who


@transaction.atomic
def mark_back(*, site: Site, code: str, at: datetime, by: str) -> Technologist:
    """Somebody is here again. Raises UnknownTechnologist."""
    who = _locked(site, code)
    if who.away_until is not None and who.away_until > at:
        set_away(who, until=None)
        record(site_id=site.pk, kind=FactKind.TECHNOLOGIST_BACK, at=at, by=by, data={"technologist": code})
    return who


def _locked(site: Site, code: str) -> Technologist:
    found = Technologist.objects.select_for_update().filter(site=site, code=code, retired=False).first()
    if found is None:
        raise UnknownTechnologist("There is no such technologist here.")
    return found
