"""Invented days: whole, within every constraint, told by their facts, twice the same, and never for a real department."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.factories import AT, load_demo_site
from xraydesk.access.models import Site
from xraydesk.dose.models import DoseRecord
from xraydesk.dose.queries import dose_of_exam
from xraydesk.facts.models import Fact
from xraydesk.journey.errors import WrongState
from xraydesk.journey.seed.fill import (
    DAYS_BACK_MAX,
    NotSimulated,
    days_missing,
    defer_history,
    fill_day,
    progress,
)
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.reactions.jobs import fill_history
from xraydesk.reporting.days import last_days
from xraydesk.results.models import Finding
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
