"""Trying rules on simulated days, beside the desk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.factories import AT, load_demo_site, make_site
from xraydesk.access.models import Site
from xraydesk.journey import trial as steps
from xraydesk.lib.examples import find_example
from xraydesk.trials import actions
from xraydesk.trials.models import Trial
from xraydesk.trials.states import TrialState

pytestmark = pytest.mark.django_db


def text(name: str) -> str:
    found = find_example(f"simulation/{name}.toml")
    assert found is not None
    return found.read_text(encoding="utf-8")


@pytest.fixture
def site() -> Site:
    return load_demo_site()


def asked(site: Site, **other: Any) -> Trial:
    what: dict[str, Any] = {
        "policies": [text("first-come"), text("xraydesk")],
        "scenario": text("day"),
        "load_percent": 10,
        "days": 2,
        "seed": 7,
    }
    return steps.ask_for_trial(site=site, at=AT, by="user:lead", **what | other)


def run(trial: Trial, *, now: Callable[[], datetime] = lambda: AT, leave: bool = False) -> Trial:
    steps.run_trial(trial_id=trial.pk, now=now, leave=lambda: leave)
    trial.refresh_from_db()
    return trial


@pytest.mark.link
def test_a_trial_is_run_in_its_own_process_and_what_it_found_is_kept(site: Site) -> None:
    trial = run(asked(site))
    assert (trial.state, trial.days_done, trial.why) == (TrialState.DONE, 2, "")
    assert trial.report["seed"] == 7
    assert [policy["name"] for policy in trial.report["policies"]] == ["first-come desk", "xraydesk"]
    assert bytes(trial.workbook or b"").startswith(b"PK")
    assert len(trial.charts) >= 4
    assert asked(site).pk != trial.pk, "when one is over the next may come"


@pytest.mark.link
def test_the_scenario_is_learnt_from_the_desk_where_that_is_asked(site: Site) -> None:
    trial = run(asked(site, facts_days=3))
    assert trial.state == TrialState.DONE
    assert trial.learnt == "nothing: too little was seen in those days"


def test_a_site_has_one_trial_at_a_time_and_another_site_its_own(site: Site) -> None:
    asked(site)
    with pytest.raises(steps.TrialUnderWay):
        asked(site)
    other = make_site("O")
    other.plan = site.plan
    other.save()
    assert asked(other).state == TrialState.WAITING
    with pytest.raises(IntegrityError), transaction.atomic():
        Trial.objects.filter(site=site).update(site=other)


def test_one_that_was_stopped_before_it_began_is_not_run(site: Site) -> None:
    trial = asked(site)
    steps.stop_trial(site=site, trial_id=trial.pk, at=AT, by="user:lead")
    assert run(trial).state == TrialState.STOPPED
    with pytest.raises(steps.UnknownTrial):
        steps.stop_trial(site=site, trial_id=trial.pk, at=AT, by="user:lead")
    with pytest.raises(steps.UnknownTrial):
        steps.stop_trial(site=make_site("O"), trial_id=trial.pk, at=AT, by="user:lead")


@pytest.mark.link
def test_one_that_is_stopped_under_way_ends_and_keeps_nothing(site: Site) -> None:
    trial = asked(site, days=200, load_percent=100)
    moments = iter([AT] * 2)

    def now() -> datetime:
        """The third look at the clock is while it runs: it is stopped then."""
        if next(moments, None) is None:
            actions.stop(trial_id=trial.pk, at=AT, by="user:other")
        return AT

    assert run(trial, now=now).state == TrialState.STOPPED
    assert (trial.report, trial.workbook, trial.ended_by) == (None, None, "user:other")


@pytest.mark.link
def test_one_that_takes_too_long_is_ended_with_a_word(site: Site) -> None:
    trial = asked(site, days=200, load_percent=100)
    moments = iter([AT] * 2)
    late = AT + timedelta(seconds=steps.SECONDS_MAX + 1)
    assert run(trial, now=lambda: next(moments, late)).state == TrialState.FAILED
    assert "30 minutes" in trial.why


@pytest.mark.link
def test_one_whose_worker_has_to_end_begins_anew_elsewhere(site: Site) -> None:
    trial = asked(site)
    with pytest.raises(steps.TryAgain):
        run(trial, leave=True)
    trial.refresh_from_db()
    assert trial.state == TrialState.RUNNING
    assert run(trial).state == TrialState.DONE


@pytest.mark.link
def test_a_process_that_ends_by_itself_is_told_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.sys, "executable", "/bin/false")
    trial = run(asked(site))
    assert (trial.state, trial.why) == (TrialState.FAILED, "The run ended by itself. Try again.")


def test_a_policy_that_no_longer_fits_the_department_is_told_of(site: Site) -> None:
    trial = asked(site, policies=[text("xr5-at-six")])
    site.plan = {**site.plan, "rooms": [room for room in site.plan["rooms"] if room["code"] != "XR5"]}
    site.save()
    assert run(trial).state == TrialState.FAILED
    assert "XR5" in trial.why


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"days": 201}, "1 to 200"),
        ({"days": 0}, "1 to 200"),
        ({"seed": -1}, "Seed"),
        ({"load_percent": 501}, "Load"),
        ({"facts_days": 32}, "0 to 31"),
        ({"policies": []}, "Choose one to 8"),
        ({"policies": ["x"] * 9}, "Choose one to 8"),
        ({"policies": [text("xraydesk")] * 2}, "have the name"),
        ({"policies": ['[policy]\nname = "x"\ndesk = "chaos"']}, "a policy is not right"),
        ({"policies": ["[policy]\nspeed = 1\npace = 2"]}, "more like it"),
        ({"scenario": "nonsense"}, "what comes is not right"),
    ],
)
def test_what_cannot_be_tried_is_told_before_anything_runs(
    site: Site, what: dict[str, Any], words: str
) -> None:
    with pytest.raises(steps.TrialUnfit, match=words):
        asked(site, **what)
    assert not Trial.objects.exists()


def test_a_site_without_a_site_file_has_nothing_to_try_anything_on() -> None:
    with pytest.raises(steps.TrialUnfit, match="No site file"):
        asked(make_site("E"))


def test_the_oldest_are_forgotten(site: Site) -> None:
    for _ in range(actions.KEPT_MAX + 2):
        actions.stop(trial_id=asked(site).pk, at=AT, by="user:lead")
    assert Trial.objects.filter(site=site).count() == actions.KEPT_MAX
