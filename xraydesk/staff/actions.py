"""Who is away: the one thing about staff that does not come from the site file."""

from __future__ import annotations

from datetime import datetime

from xraydesk.staff.models import Technologist


def set_away(technologist: Technologist, *, until: datetime | None) -> Technologist:
    """Somebody is away until a moment; None: back."""
    Technologist.objects.filter(pk=technologist.pk).update(away_until=until)
    technologist.away_until = until
    return technologist
