"""One job that sends what waits for a destination: the most urgent exam first, within the destination's limits."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from xraydesk.access.models import Site
from xraydesk.imaging.rules import WAIT_SECONDS_MIN
from xraydesk.journey.promise import defer_asking
from xraydesk.journey.route import destinations_of
from xraydesk.journey.turns import Turn, defer_delivery, is_overtaken, link_free_at, next_try, next_turn
from xraydesk.lib import clock
from xraydesk.lib.locks import in_hand
from xraydesk.links.dicom import send
from xraydesk.siteplan.routing_plan import DestinationPlan

LANE_SECONDS_MAX = 30
"""After so long a job lets others have its place among the worker's, and asks for itself again."""

PAUSE_SECONDS_MAX = 2
"""A longer pause for a destination's limit is not waited for in the worker's place, but asked for as a job."""


def run(*, site_id: int, destination: str, lane: int = 0) -> None:
    """Send what waits for a destination, exam by exam, until nothing may be tried or the job's time is over.

    Several may run at once, one a lane; an exam is sent by one of them, so that its images keep their order.
    A run that is killed leaves nothing behind: what the destination answered stands in its rows (row 41).
    """
    site = Site.objects.get(pk=site_id)
    to = next((d for d in destinations_of(site) if d.name == destination), None)
    if to is not None and lane >= to.associations:
        return
    later = _Lane(site, destination, to).work()
    if to is not None and to.commits and later is None:
        defer_asking(site_id=site_id, destination=destination)
    if later is not None:
        lanes = to.associations if to else 1
        defer_delivery(site_id=site_id, destination=destination, lanes=lanes, not_before=later)


class _Lane:
    """One run: what it may still do, and which exams others have in hand."""

    def __init__(self, site: Site, destination: str, to: DestinationPlan | None) -> None:
        self.site = site
        self.destination = destination
        self.limit = to.kilobytes_per_second_max if to else 0
        self.ends = time.monotonic() + LANE_SECONDS_MAX
        self.elsewhere: set[int] = set()

    def work(self) -> datetime | None:
        """When somebody has to look again; None where nothing waits any more that nobody has in hand."""
        while time.monotonic() < self.ends:
            free = self._wait_for_the_link()
            if free is not None:
                return free
            turn = next_turn(passed_over=self.elsewhere, **self._here())
            if turn is None:
                return next_try(
                    site_id=self.site.pk, destination=self.destination, passed_over=self.elsewhere
                )
            with in_hand(f"sending {turn.exam_id} {self.destination}") as mine:
                if not mine:
                    self.elsewhere.add(turn.exam_id)
                elif not send.deliver(
                    exam_id=turn.exam_id,
                    destination=self.destination,
                    goes_on=lambda turn=turn: self._goes_on(turn),  # type: ignore[misc]
                ):
                    return clock.now() + timedelta(seconds=WAIT_SECONDS_MIN)
        return clock.now()

    def _here(self) -> dict[str, Any]:
        return {"site_id": self.site.pk, "destination": self.destination, "at": clock.now()}

    def _goes_on(self, turn: Turn) -> bool:
        """Asked between two images: False where another exam goes first, the link is full, or the time is over."""
        if time.monotonic() >= self.ends or self._wait_for_the_link() is not None:
            return False
        return not is_overtaken(turn, passed_over=self.elsewhere, **self._here())

    def _wait_for_the_link(self) -> datetime | None:
        """Wait until the destination may be sent more; where that is long, when it is."""
        free = link_free_at(kilobytes_per_second=self.limit, **self._here())
        pause = (free - clock.now()).total_seconds()
        if pause > PAUSE_SECONDS_MAX:
            return free
        if pause > 0:
            time.sleep(pause)
        return None
