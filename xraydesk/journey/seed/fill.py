"""Filling days of a demonstration: the one under way before anybody looks, older ones behind it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max
from procrastinate import exceptions
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.journey.errors import WrongState
from xraydesk.journey.seed.day import invent_day, seed_of
from xraydesk.journey.seed.go_on import end_what_was_under_way, waiting_exams
from xraydesk.journey.seed.rows import write_day
from xraydesk.lib import clock, locks
from xraydesk.orders.models import Exam
from xraydesk.scheduling.queries import department_of
from xraydesk.siteplan.reading import from_json

DAYS_BACK_MAX = 14
"""No demonstration has more days behind it."""

GAP_MIN = timedelta(minutes=20)
"""A shorter stop leaves nothing to be filled in."""

FILL_TASK = "fill_history"
FILL_QUEUE = "history"


class NotSimulated(WrongState):
    """The department is a real one: nothing is invented for it."""


def fill_day(*, site: Site, day: date, at: datetime, seed: object) -> int:
    """Invent one day of a demonstration, until now where it is today; the rows written, 0 where it has exams already.

    One transaction: a day is there whole, or not at all. Raises NotSimulated, and WrongState for a day that lies
    ahead or too far back.
    """
    if not site.simulated or not site.plan:
        raise NotSimulated(f"{site.code} is no demonstration: nothing is invented for it.")
    today = clock.local_day(at, site.timezone)
    if not today - timedelta(days=DAYS_BACK_MAX) <= day <= today:
        raise WrongState(f"{day} lies ahead, or more than {DAYS_BACK_MAX} days back.")
    first, after = clock.day_bounds(day, site.timezone)
    with transaction.atomic():
        locks.take([f"history:{site.pk}"])
        if _has_exams(site, first, after):
            return 0
        department, _ = department_of(site=site, since=first, until=after)
        exams = invent_day(
            department,
            from_json(site.plan),
            first=first,
            after=after,
            until=min(at, after),
            random=seed_of(seed, day),
        )
        return write_day(site, exams, source=orders_link(site), at=at)


def orders_link(site: Site) -> str:
    """Who sends the orders of a demonstration, as facts name them."""
    links = from_json(site.plan).links
    return next((f"link:{link.name}" for link in links if link.kind == "orders"), "link:EHR")


def fill_gap(*, site: Site, at: datetime, seed: object) -> int:
    """Go on with a demonstration's last day where it was stopped, until now or the end of that day; the rows written.

    Whoever was booked is done, new ones come, and whoever was in a room when it stopped has left it. A stop of less
    than GAP_MIN is none. Days in between are whole days, and filled in as such. Raises NotSimulated.
    """
    if not site.simulated or not site.plan:
        raise NotSimulated(f"{site.code} is no demonstration: nothing is invented for it.")
    with transaction.atomic():
        locks.take([f"history:{site.pk}"])
        since = _stopped_at(site, at)
        if since is None or at - since < GAP_MIN:
            return 0
        day = clock.local_day(since, site.timezone)
        if clock.local_day(at, site.timezone) - day > timedelta(days=DAYS_BACK_MAX):
            return 0
        first, after = clock.day_bounds(day, site.timezone)
        until = min(at, after)
        end_what_was_under_way(site=site, since=since)
        department, _ = department_of(site=site, since=first, until=after)
        waiting = waiting_exams(site, first=first, until=until)
        exams = invent_day(
            department,
            from_json(site.plan),
            first=first,
            after=after,
            until=until,
            random=seed_of(f"{seed} {since.isoformat()}", day),
            since=since,
            waiting=[one for one, _ in waiting],
        )
        return write_day(
            site,
            exams,
            source=orders_link(site),
            at=until,
            before={exam.pk: exam for _, exam in waiting},
        )


def _stopped_at(site: Site, at: datetime) -> datetime | None:
    """When the last thing happened to any exam."""
    happened = Fact.objects.filter(site=site, at__lte=at).exclude(accession="")
    newest: datetime | None = happened.aggregate(newest=Max("at"))["newest"]
    return newest


def _has_exams(site: Site, first: datetime, after: datetime) -> bool:
    return Exam.objects.filter(site=site, created_at__gte=first, created_at__lt=after).exists()


def days_missing(*, site: Site, at: datetime) -> list[date]:
    """Days behind today that have no exam yet, the newest first."""
    today = clock.local_day(at, site.timezone)
    days = [today - timedelta(days=n) for n in range(1, DAYS_BACK_MAX + 1)]
    return [day for day in days if not _has_exams(site, *clock.day_bounds(day, site.timezone))]


def progress(*, site: Site, at: datetime) -> tuple[int, int]:
    """How many of the days behind a demonstration are filled in, and how many there will be; all of none for a real one."""
    if not site.simulated:
        return 0, 0
    return DAYS_BACK_MAX - len(days_missing(site=site, at=at)), DAYS_BACK_MAX


def defer_history(*, site: Site, seed: int, at: datetime) -> bool:
    """Ask for the job that fills in the newest day that is missing; False where none is."""
    if not days_missing(site=site, at=at):
        return False
    try:
        with transaction.atomic():
            jobs.configure_task(FILL_TASK, queue=FILL_QUEUE, queueing_lock=FILL_TASK).defer(
                site_id=site.pk, seed=seed
            )
    except exceptions.AlreadyEnqueued:
        return False
    return True
