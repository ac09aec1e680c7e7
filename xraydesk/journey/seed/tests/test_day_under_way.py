"""One invented day that is under way, filled once and asked by every test here; what a test changes is gone after it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import DjangoDbBlocker

from tests.factories import AT, load_demo_site
from tests.shared_rows import shared
from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import StepReport
from xraydesk.imaging.models import Image, StepExam
from xraydesk.journey import perform
from xraydesk.journey.exam_view import find, of_day, views_of
from xraydesk.journey.seed.day import invent_day, seed_of
from xraydesk.journey.seed.fill import (
    GAP_MIN,
    NotSimulated,
    fill_day,
    fill_gap,
)
from xraydesk.journey.stage import Stage
from xraydesk.journey.tests.performing import reference
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.results.models import Finding
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import department_of
from xraydesk.siteplan.reading import from_json
from xraydesk.transport.models import TransportJob

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("filled")]
NOW = AT + timedelta(hours=2)
"""Noon in the department."""


@dataclass(frozen=True)
class Filled:
    """The department, how many rows its day has, and the jobs that there were before it was filled."""

    site_id: int
    rows: int
    jobs_of_loading: frozenset[int]


def jobs() -> frozenset[int]:
    return frozenset(ProcrastinateJob.objects.values_list("pk", flat=True))


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Filled]:
    def fill() -> Filled:
        site = load_demo_site()
        site.simulated = True
        site.save()
        before = jobs()
        return Filled(site.pk, fill_day(site=site, day=today(site), at=NOW, seed=7), before)

    with shared(fill, django_db_blocker) as made:
        yield made


@pytest.fixture
def site(filled: Filled) -> Site:
    return Site.objects.get(pk=filled.site_id)


def today(site: Site):
    return clock.local_day(NOW, site.timezone)


def test_a_day_under_way_has_exams_in_the_stages_that_such_a_day_has(site: Site, filled: Filled) -> None:
    assert filled.rows > 1000
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


def test_nothing_follows_from_an_invented_day_by_itself(filled: Filled) -> None:
    assert jobs() == filled.jobs_of_loading
    assert not Message.objects.exists()


def test_a_day_is_filled_once_and_is_the_same_for_the_same_seed(site: Site) -> None:
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


def test_nobody_and_no_room_is_in_two_places_at_once_on_an_invented_day() -> None:
    for who in ("room_id", "technologist_id"):
        spans: dict[int, list] = {}
        for booking in Booking.objects.exclude(state="cancelled"):
            spans.setdefault(getattr(booking, who), []).append((booking.during.lower, booking.during.upper))
        for taken in spans.values():
            taken.sort()
            assert all(before[1] <= later[0] for before, later in itertools.pairwise(taken))


def test_of_today_nobody_is_fetched_yet_for_an_exam_that_is_to_come(site: Site) -> None:
    waiting = TransportJob.objects.filter(state="waiting", kind="fetch").select_related("exam")
    assert waiting
    for job in waiting:
        view = find(site=site, accession=job.exam.accession)
        assert view is not None
        assert view.stage is Stage.SCHEDULED
    assert not TransportJob.objects.filter(ended_at__gt=NOW).exists()
    assert not Finding.objects.filter(ended_at__gt=NOW).exists()


def left_behind(site: Site, until: datetime) -> list[str]:
    """Exams that were booked for a time before `until`, and of which nothing is told."""
    past = Booking.objects.filter(site=site, state="booked", during__endswith__lte=until)
    found = past.exclude(exam__stepexam__voided=False).exclude(arrived_at__gt=until - timedelta(minutes=45))
    return list(found.values_list("exam__accession", flat=True))


def test_a_later_start_goes_on_where_the_last_one_stopped(site: Site) -> None:
    """Booked exams are done, new ones come, porters, dose and reports with them; nobody is left in a room."""
    waiting = set(
        Booking.objects.filter(state="booked", during__startswith__gt=NOW).values_list("exam", flat=True)
    )
    assert len(waiting) > 10
    under_way = Exam.objects.get(pk=min(waiting))
    perform.begin_by_step(
        site=site,
        report=StepReport(new_uid(), ae_title="XR1", references=(reference(under_way),)),
        at=NOW,
        by="modality:XR1",
    )
    later = NOW + timedelta(hours=3)
    assert fill_gap(site=site, at=NOW + GAP_MIN / 2, seed=7) == 0
    before = Exam.objects.count()
    assert fill_gap(site=site, at=later, seed=7) > 500
    assert fill_gap(site=site, at=later, seed=7) == 0
    assert not Fact.objects.filter(at__gte=later).exists()
    assert 60 < Exam.objects.count() - before < 110
    assert not StepExam.objects.filter(step__state="in progress").exists()
    assert left_behind(site, later - timedelta(minutes=45)) == []
    done = Exam.objects.filter(pk__in=waiting, stepexam__voided=False)
    assert done.count() > len(waiting) * 0.7
    since = Fact.objects.filter(at__gt=NOW, accession__in=done.values("accession"))
    assert {"begun", "ended", "dose recorded", "image matched", "report received"} <= set(
        since.values_list("kind", flat=True)
    )
    for exam in done:
        kinds = [f.kind for f in Fact.objects.filter(accession=exam.accession).order_by("at", "id")]
        assert kinds.count("arrived") == kinds.count("begun") == kinds.count("ended") == 1
        assert kinds.index("arrived") < kinds.index("begun") < kinds.index("ended")
    ended = Exam.objects.filter(stepexam__step__state="completed")
    assert not TransportJob.objects.filter(exam__in=ended, kind="fetch", state="waiting").exists()


def test_after_a_night_the_rest_of_the_last_day_is_there_and_today_is_under_way(site: Site) -> None:
    later = NOW + timedelta(hours=25)
    _, midnight = clock.day_bounds(today(site), site.timezone)
    assert fill_gap(site=site, at=later, seed=7) > 1000
    assert left_behind(site, midnight - timedelta(minutes=45)) == []
    assert not Exam.objects.filter(created_at__gte=midnight).exists()
    assert fill_day(site=site, day=today(site) + timedelta(days=1), at=later, seed=7) > 1000
    assert fill_gap(site=site, at=later, seed=7) == 0
    site.simulated = False
    site.save()
    with pytest.raises(NotSimulated):
        fill_gap(site=site, at=later, seed=7)
