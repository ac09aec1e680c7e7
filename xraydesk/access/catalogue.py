"""The site itself and its locations, as the site file says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from xraydesk.access.models import Location, Site, SiteVersion
from xraydesk.lib.rows import put_rows


def lock_site(*, code: str) -> Site | None:
    """The site, locked until the transaction ends so that it is loaded by one at a time; None before its first load."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"site {code}"])
    return Site.objects.select_for_update().filter(code=code).first()


def put_site(*, code: str, fields: Mapping[str, Any], simulated: bool) -> Site:
    """Bring the site's own row to `fields`, or make it. Whether it is simulated is settled when it is made."""
    site, made = Site.objects.get_or_create(code=code, defaults={**fields, "simulated": simulated})
    changed = [name for name, value in fields.items() if getattr(site, name) != value]
    for name in changed:
        setattr(site, name, fields[name])
    if changed and not made:
        site.save(update_fields=changed)
    return site


def write_version(*, site: Site, at: datetime, by: str) -> int:
    """Keep the site's file as it is in force from now on; its number."""
    site.version += 1
    site.save(update_fields=["version"])
    SiteVersion.objects.create(site=site, number=site.version, at=at, by=by, plan=site.plan)
    return site.version


def put_locations(*, site: Site, names: Mapping[str, str]) -> dict[str, Location]:
    """Bring the locations to `names` (code to name), in that order; those that it no longer has are retired.

    A retired location is kept, and so are the roles that are limited to it: they do not widen.
    """
    wanted = {
        code: {"name": name, "sort": position} for position, (code, name) in enumerate(names.items(), 1)
    }
    locations = put_rows(
        Location.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site}
    )
    return {location.code: location for location in locations.values()}
