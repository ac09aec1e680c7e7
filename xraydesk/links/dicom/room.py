"""Whether a site's files of images take all the room that its site file allows: asked for every object, counted now and then."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from xraydesk.access.models import Site
from xraydesk.imaging.retention import used_bytes
from xraydesk.journey.policy import policies_of

COUNTED_SECONDS = 30.0
"""For so long what was counted in the database is used again, with what this process has taken since."""

BYTES_A_GIGABYTE = 1_000_000_000


@dataclass
class _Counted:
    at: float
    used_bytes: int
    bytes_max: int


class Room:
    """How much room each site's files take. Several processes each count what they took themselves: for COUNTED_SECONDS
    they may together take more than the limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sites: dict[int, _Counted] = {}

    def takes(self, site: Site, size_bytes: int) -> bool:
        """Whether there is room for an object; it is counted as taken where there is."""
        with self._lock:
            counted = self._sites.get(site.pk)
            if counted is None or time.monotonic() - counted.at >= COUNTED_SECONDS:
                limit = policies_of(site).spool_gigabytes_max * BYTES_A_GIGABYTE
                counted = _Counted(time.monotonic(), used_bytes(site) if limit else 0, limit)
                self._sites[site.pk] = counted
            if counted.bytes_max and counted.used_bytes + size_bytes > counted.bytes_max:
                return False
            counted.used_bytes += size_bytes
            return True
