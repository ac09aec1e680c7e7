"""Trying a rule from a page of the desk."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.factories import AT, load_demo_site, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey import trial as steps
from xraydesk.trials.models import Trial
from xraydesk.trials.states import TrialState

pytestmark = pytest.mark.django_db

FORM: dict[str, Any] = {
    "ready": ["first-come", "xraydesk"],
    "more_from": "10:00",
    "more_to": "14:00",
    "hours_room": "XR5",
    "hours_from": "06:00",
    "hours_to": "20:00",
    "comes": "usual",
    "facts_days": "14",
    "load_percent": "10",
    "days": "2",
    "seed": "3",
}


@pytest.fixture
def site() -> Site:
    return load_demo_site()


def posted(site: Site, **other: Any) -> Any:
    return signed_in(site).post(reverse("trials"), FORM | other)


def done(trial: Trial) -> Trial:
    steps.run_trial(trial_id=trial.pk, now=lambda: AT, leave=lambda: False)
    trial.refresh_from_db()
    return trial


def html(site: Site, page: str) -> str:
    return signed_in(site).get(page).content.decode()


@pytest.mark.link
def test_a_rule_is_tried_watched_read_and_taken_away(site: Site) -> None:
    answer = posted(site, more="on", hours="on")
    trial = Trial.objects.get()
    page = reverse("trial", args=[trial.pk])
    assert (answer.status_code, answer["Location"]) == (303, page)
    assert "as soon as the desk has time" in html(site, page)
    assert "data-again" in html(site, page)
    Trial.objects.update(state=TrialState.RUNNING, days_done=1)
    assert "1 of 2 days are done" in html(site, page)
    assert "One is under way" in html(site, reverse("trials"))
    assert done(trial).state == TrialState.DONE, trial.why
    read = html(site, page)
    assert "data-again" not in read
    assert "seed 3" in read
    assert "xraydesk, one more technologist 10:00 to 14:00" in read
    assert "xraydesk, XR5 open 06:00 to 20:00" in read
    assert read.count("<svg role=") >= 4
    assert "mean wait, min" in read
    assert " ± " in read
    assert "10 % of the scenario’s orders" in read
    book = signed_in(site).get(reverse("trial-workbook", args=[trial.pk]))
    assert book.content.startswith(b"PK")
    assert "attachment" in book["Content-Disposition"]


@pytest.mark.link
def test_files_of_one_s_own_are_taken(site: Site) -> None:
    own = b'[policy]\nname = "<b>ours</b>"\ndesk = "priority"\n'
    comes = b'[scenario]\nname = "Quiet"\n[orders]\nan_hour.every = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\nemergency = 1\n'
    posted(
        site,
        comes="file",
        policy=SimpleUploadedFile("ours.toml", own),
        scenario=SimpleUploadedFile("quiet.toml", comes),
    )
    trial = done(Trial.objects.get())
    read = html(site, reverse("trial", args=[trial.pk]))
    assert "Quiet" in read
    assert "&lt;b&gt;ours" in read
    assert "<b>ours" not in read


@pytest.mark.link
def test_what_the_desk_has_seen_is_learnt_from(site: Site) -> None:
    posted(site, comes="facts", facts_days="5")
    trial = done(Trial.objects.get())
    assert trial.facts_days == 5
    assert "Learnt from 5 days" in html(site, reverse("trial", args=[trial.pk]))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"days": "201"}, "less than or equal to 200"),
        ({"seed": "x"}, "whole number"),
        ({"ready": []}, "Choose one to 8"),
        ({"more": "on", "more_to": "09:00"}, "to a later one"),
        ({"hours": "on", "hours_from": ""}, "to a later one"),
        ({"hours": "on", "hours_room": "XR99"}, "Some fields"),
        ({"comes": "file"}, "Choose the file"),
        ({"policy": SimpleUploadedFile("own.toml", b"\xff\xfe\x00")}, "is no text"),
        ({"policy": SimpleUploadedFile("own.toml", b"speed = 1")}, "is not right"),
        ({"policy": SimpleUploadedFile("own.toml", b"#" * 1_048_577)}, "longer than"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    site: Site, what: dict[str, Any], words: str
) -> None:
    answer = posted(site, load_percent="77", **what)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert 'value="77"' in answer.content.decode()
    assert not Trial.objects.exists()


def test_a_second_one_has_to_wait(site: Site) -> None:
    posted(site)
    answer = posted(site)
    assert answer.status_code == 409
    assert "under way already" in answer.content.decode()
    assert Trial.objects.count() == 1


def test_it_can_be_stopped_once(site: Site) -> None:
    posted(site)
    trial = Trial.objects.get()
    stop = reverse("trial-stop", args=[trial.pk])
    browser = signed_in(site)
    assert browser.post(stop)["Location"] == reverse("trials")
    assert "Stopped by" in html(site, reverse("trial", args=[trial.pk]))
    assert browser.post(stop)["Location"] == reverse("trial", args=[trial.pk])
    assert browser.get(reverse("trial-workbook", args=[trial.pk])).status_code == 404


def test_one_that_failed_says_why(site: Site) -> None:
    posted(site)
    Trial.objects.update(state=TrialState.FAILED, why="It took too long.")
    assert "It took too long." in html(site, reverse("trial", args=[Trial.objects.get().pk]))


def test_a_desk_without_a_site_file_says_so() -> None:
    assert "No site file is loaded" in html(make_site("E"), reverse("trials"))


def test_the_day_in_numbers_leads_there(site: Site) -> None:
    assert reverse("trials") in html(site, reverse("measures"))
    there = signed_in(site, Role.ADMINISTRATOR).get(reverse("measures")).content.decode()
    assert reverse("trials") not in there


def test_a_stranger_other_roles_and_other_sites_try_nothing_and_see_nothing(site: Site) -> None:
    """Row 57."""
    posted(site)
    trial = Trial.objects.get()
    one = [reverse(name, args=[trial.pk]) for name in ("trial", "trial-workbook")]
    stop = reverse("trial-stop", args=[trial.pk])
    for page in [reverse("trials"), *one]:
        assert Client().get(page)["Location"].startswith(reverse("sign-in"))
    assert Client().post(stop)["Location"].startswith(reverse("sign-in"))
    others = [signed_in(site, role) for role in Role if not allows(role, Permission.TRY_RULES)]
    assert others
    for browser in others:
        assert {browser.get(page).status_code for page in [reverse("trials"), *one]} == {404}
        assert {browser.post(page, FORM).status_code for page in (reverse("trials"), stop)} == {404}
    elsewhere = signed_in(make_site("O"))
    assert {elsewhere.get(page).status_code for page in one} == {404}
    assert elsewhere.post(stop).status_code == 404
    assert reverse("trial", args=[trial.pk]) not in elsewhere.get(reverse("trials")).content.decode()
    trial.refresh_from_db()
    assert trial.state == TrialState.WAITING
    assert signed_in(site, Role.MANAGER).get(reverse("trials")).status_code == 200
