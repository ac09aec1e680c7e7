"""Invented days: whole, within every constraint, told by their facts, twice the same, and never for a real department."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime, timedelta

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from tests.factories import AT, load_demo_site
from xraydesk.access.models import Site
from xraydesk.dose.models import DoseRecord
from xraydesk.dose.queries import dose_of_exam
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import StepReport
from xraydesk.imaging.models import Image, StepExam
from xraydesk.journey import perform
from xraydesk.journey.errors import WrongState
from xraydesk.journey.exam_view import find, of_day, views_of
from xraydesk.journey.seed.day import invent_day, seed_of
from xraydesk.journey.seed.fill import (
    DAYS_BACK_MAX,
    GAP_MIN,
    NotSimulated,
    days_missing,
    defer_history,
    fill_day,
    fill_gap,
    progress,
)
from xraydesk.journey.stage import Stage
from xraydesk.journey.tests.performing import reference
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.reactions.jobs import fill_history
from xraydesk.reporting.days import last_days
from xraydesk.results.models import Finding
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import department_of
from xraydesk.siteplan.reading import from_json
from xraydesk.transport.models import TransportJob

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
    of_loading = set(ProcrastinateJob.objects.values_list("pk", flat=True))
    fill_day(site=site, day=today(site), at=NOW, seed=7)
    assert set(ProcrastinateJob.objects.values_list("pk", flat=True)) == of_loading
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


def test_an_invented_day_has_dose_porters_ways_and_results_that_were_told(site: Site) -> None:
    """Each as the steps of the desk would have left it, told by facts, and nothing waits of a day behind."""
    yesterday = today(site) - timedelta(days=1)
    fill_day(site=site, day=yesterday, at=NOW, seed=7)
    ended = Exam.objects.filter(stepexam__isnull=False)
    assert DoseRecord.objects.filter(exam__in=ended).count() == ended.count() > 200
    one = DoseRecord.objects.prefetch_related("events").first()
    assert one is not None
    assert one.total_dap_gym2 == pytest.approx(sum(e.dap_gym2 for e in one.events.all()))
    assert dose_of_exam(exam_id=one.exam_id).total_dap_gym2 == one.total_dap_gym2
    jobs = TransportJob.objects.all()
    assert set(jobs.values_list("kind", flat=True)) == {"fetch", "return"}
    assert set(jobs.values_list("state", flat=True)) <= {"delivered", "cancelled"}
    lying = Exam.objects.filter(order__patient_class="I").exclude(bookings__room__kind="portable")
    assert set(jobs.values_list("exam", flat=True)) == set(lying.values_list("pk", flat=True))
    for job in jobs.filter(state="delivered"):
        assert job.asked_at < job.accepted_at < job.picked_up_at < job.ended_at
    found = Finding.objects.prefetch_related("calls")
    assert found.count() > 3
    assert set(found.values_list("state", flat=True)) == {"read back"}
    for finding in found:
        *before, last = finding.calls.order_by("at")
        assert [call.outcome for call in before] in ([], ["no answer"])
        assert (last.outcome, last.at, last.read_back != "") == ("read back", finding.ended_at, True)
        assert finding.report is not None
        assert finding.report.category == 1
    assert any(finding.calls.count() == 2 for finding in found)
    kinds = Counter(Fact.objects.values_list("kind", flat=True))
    assert kinds["dose recorded"] == DoseRecord.objects.count()
    assert kinds["porter asked"] == jobs.count()
    assert kinds["delivered"] == jobs.filter(state="delivered").count()
    assert kinds["read back"] == found.count()
    fetched = last_days(site=site, day=yesterday, count=1, at=NOW).value("transport-delay", yesterday)
    assert len(fetched.behind) > 20


def test_of_today_nobody_is_fetched_yet_for_an_exam_that_is_to_come(site: Site) -> None:
    fill_day(site=site, day=today(site), at=NOW, seed=7)
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
    fill_day(site=site, day=today(site), at=NOW, seed=7)
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
    fill_day(site=site, day=today(site), at=NOW, seed=7)
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
