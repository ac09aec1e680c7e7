"""Counts who calls the listener, and writes it down from time to time: a caller waits for no database."""

from __future__ import annotations

from collections import Counter

import structlog
from django.db import DatabaseError, close_old_connections

from xraydesk.access.models import Site
from xraydesk.lib import clock
from xraydesk.links.connections import Caller, count_calls

FLUSH_SECONDS = 3.0
CALLERS_MAX = 500
"""Different calls that are counted between two writings; of more than that nothing is kept."""

_log = structlog.get_logger(__name__)


def printable(ae_title: str) -> str:
    """An AE title as a caller chose it, without what no table can hold."""
    return "".join(c if c.isprintable() else "?" for c in ae_title)


class CallLog:
    """Calls since the last writing. Lives on the event loop but for `write`, which asks the database."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[int | None, Caller]] = Counter()

    def note(self, site: Site | None, caller: Caller) -> bool:
        """One call; `site` is None where no site has the called AE title. True for the first since the last writing."""
        is_first = not self._counted
        key = (site.pk if site is not None else None, caller)
        if key in self._counted or len(self._counted) < CALLERS_MAX:
            self._counted[key] += 1
        return is_first

    def take(self) -> Counter[tuple[int | None, Caller]]:
        """What was counted; counting begins anew."""
        counted, self._counted = self._counted, Counter()
        return counted


def write(counted: Counter[tuple[int | None, Caller]]) -> None:
    """Write calls down, in a thread; what a database that is away does not take is lost, and nobody waits for it.

    Calls for an AE title that no site has go to the site where there is only one.
    """
    close_old_connections()
    try:
        sites = {site.pk: site for site in Site.objects.all()}
        only = next(iter(sites)) if len(sites) == 1 else None
        of_site: dict[int, Counter[Caller]] = {}
        for (site_id, caller), times in counted.items():
            owner = site_id if site_id is not None else only
            if owner in sites:
                of_site.setdefault(owner, Counter())[caller] += times
        for owner, calls in of_site.items():
            count_calls(site=sites[owner], calls=calls, at=clock.now())
    except DatabaseError as error:
        _log.warning("dicom_calls_not_kept", error=type(error).__name__)
    finally:
        close_old_connections()
