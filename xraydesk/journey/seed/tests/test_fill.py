"""Invented days: whole, within every constraint, told by their facts, twice the same, and never for a real department."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from tests.factories import AT, load_demo_site
from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image
from xraydesk.journey.errors import WrongState
from xraydesk.journey.exam_view import find, of_day, views_of
from xraydesk.journey.seed.day import invent_day, seed_of
from xraydesk.journey.seed.fill import (
    DAYS_BACK_MAX,
    NotSimulated,
    days_missing,
    defer_history,
    fill_day,
    progress,
)
from xraydesk.journey.stage import Stage
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.reactions.jobs import fill_history
from xraydesk.reporting.days import last_days
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import department_of
from xraydesk.siteplan.reading import from_json

pytestmark = pytest.mark.django_db
NOW = AT + timedelta(hours=2)
"""Noon in the department."""


@pytest.fixture
def site() -> Site:
    site = load_demo_site()
    site.simulated = True
    site.save()
    return site


def today(site: Site):
    return clock.local_day(NOW, site.timezone)


def test_a_day_under_way_has_exams_in_the_stages_that_such_a_day_has(site: Site) -> None:
    assert fill_day(site=site, day=today(site), at=NOW, seed=7) > 1000
    views = views_of(of_day(site=site, day=today(site)), site=site)
    stages = Counter(view.stage for view in views)
    assert stages[Stage.READ] > 40
    assert {Stage.READ, Stage.ENDED, Stage.SCHEDULED} <= set(stages)
    assert Stage.BEGUN not in stages
    assert all(exam.simulated for exam in Exam.objects.all())
    assert not Fact.objects.filter(at__gte=NOW).exists()
    waiting = [view for view in views if view.stage is Stage.SCHEDULED]
    assert any(view.start and view.start > NOW for view in waiting)


def test_each_exams_facts_tell_its_history_in_order_and_agree_with_its_rows(site: Site) -> None:
    fill_day(site=site, day=today(site), at=NOW, seed=7)
    for exam in Exam.objects.order_by("id")[:60]:
        facts = list(Fact.objects.filter(accession=exam.accession).order_by("id"))
        kinds = [fact.kind for fact in facts]
        assert kinds[:3] == ["order received", "accepted in triage", "booked"]
        assert [fact.at for fact in facts] == sorted(fact.at for fact in facts)
        view = find(site=site, accession=exam.accession)
        assert view is not None
        if view.stage is Stage.READ:
            assert {
                "arrived",
                "begun",
                "ended",
                "image matched",
                "report received",
                "charge accepted",
            } <= set(kinds)
            assert Image.objects.filter(exam=exam, state="sent", path="").count() == kinds.count("image sent")
        if view.stage is Stage.NO_SHOW:
            assert kinds[-1] == "no-show"


def test_nothing_follows_from_an_invented_day_by_itself(site: Site) -> None:
    fill_day(site=site, day=today(site), at=NOW, seed=7)
    assert not ProcrastinateJob.objects.exists()
    assert not Message.objects.exists()


def test_a_day_is_filled_once_and_is_the_same_for_the_same_seed(site: Site) -> None:
    fill_day(site=site, day=today(site), at=NOW, seed=7)
    exams = Exam.objects.count()
    assert fill_day(site=site, day=today(site), at=NOW, seed=7) == 0
    assert Exam.objects.count() == exams
    first, after = clock.day_bounds(today(site), site.timezone)
    Booking.objects.all().delete()
    department, _ = department_of(site=site, since=first, until=after)

    def invented(seed: int):
        random = seed_of(seed, today(site))
        return invent_day(
            department, from_json(site.plan), first=first, after=after, until=NOW, random=random
        )

    assert invented(7) == invented(7)
    assert invented(7) != invented(8)


def test_older_days_are_whole_and_their_numbers_stand_beside_today(site: Site) -> None:
    yesterday = today(site) - timedelta(days=1)
    assert progress(site=site, at=NOW) == (0, DAYS_BACK_MAX)
    fill_day(site=site, day=yesterday, at=NOW, seed=7)
    assert progress(site=site, at=NOW) == (1, DAYS_BACK_MAX)
    assert yesterday not in days_missing(site=site, at=NOW)
    days = last_days(site=site, day=yesterday, count=1, at=NOW)
    done, wait = days.value("exams", yesterday), days.value("wait", yesterday)
    assert len(done.behind) > 200
    assert wait.number is not None
    assert 0 <= wait.number < 30


def test_nobody_and_no_room_is_in_two_places_at_once_on_an_invented_day(site: Site) -> None:
    fill_day(site=site, day=today(site), at=NOW, seed=9)
    for who in ("room_id", "technologist_id"):
        spans: dict[int, list] = {}
        for booking in Booking.objects.exclude(state="cancelled"):
            spans.setdefault(getattr(booking, who), []).append((booking.during.lower, booking.during.upper))
        for taken in spans.values():
            taken.sort()
            assert all(before[1] <= later[0] for before, later in itertools.pairwise(taken))


def test_nothing_is_invented_for_a_real_department_or_a_day_ahead(site: Site) -> None:
    for days in (1, -DAYS_BACK_MAX - 1):
        with pytest.raises(WrongState, match="lies ahead"):
            fill_day(site=site, day=today(site) + timedelta(days=days), at=NOW, seed=7)
    site.simulated = False
    site.save()
    with pytest.raises(NotSimulated):
        fill_day(site=site, day=today(site), at=NOW, seed=7)
    assert progress(site=site, at=NOW) == (0, 0)
    assert not Exam.objects.exists()


def test_a_job_fills_the_days_behind_one_after_the_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    assert defer_history(site=site, seed=7, at=NOW)
    assert not defer_history(site=site, seed=7, at=NOW)
    for count in (1, 2):
        fill_history(site.pk, 7)
        assert progress(site=site, at=NOW)[0] == count
    missing = days_missing(site=site, at=NOW)
    assert missing[0] == today(site) - timedelta(days=3)
