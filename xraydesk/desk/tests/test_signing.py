"""Coming in, going out, and the pages for what went wrong."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings

from tests.factories import make_site
from xraydesk.access import actions
from xraydesk.access.actions import ATTEMPTS_MAX
from xraydesk.access.models import Membership
from xraydesk.access.roles import Role
from xraydesk.desk.answers import back_to
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import PASSWORD, make_user
from xraydesk.desk.views.wrong import broken

pytestmark = pytest.mark.django_db

TREE = Path(__file__).parents[3]


def test_a_page_asked_for_by_a_stranger_is_shown_after_signing_in() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    client = Client()
    answer = client.get("/day?show=late")
    assert answer["Location"] == "/sign-in?next=%2Fday%3Fshow%3Dlate"
    form = client.get(answer["Location"]).content.decode()
    assert 'name="next" value="/day?show=late"' in form
    answer = client.post("/sign-in", {"username": name, "password": PASSWORD, "next": "/day?show=late"})
    assert (answer.status_code, answer["Location"]) == (303, "/day?show=late")
    assert client.get("/").status_code == 200


def test_who_was_signed_out_meanwhile_is_told_that_nothing_was_done_and_led_back_to_the_page() -> None:
    client = Client()
    form, page = "/exams/X1/note", "/exams/X1?all=1"
    answer = client.post(form, {"note": "Ada"}, headers={"Referer": f"http://testserver{page}"})
    assert answer["Location"] == "/sign-in?next=%2Fexams%2FX1%3Fall%3D1&lost=1"
    told = client.get(answer["Location"]).content.decode()
    assert "what you pressed was not done" in told
    assert f'name="next" value="{page}"' in told
    for elsewhere in (
        "https://evil.example/exams/X1",
        "http://testserver.evil.example/x",
        "",
        "http:x",
        "\\",
    ):
        answer = client.post(form, headers={"Referer": elsewhere})
        assert answer["Location"] == "/sign-in?lost=1", elsewhere
    assert "what you pressed" not in client.get("/sign-in").content.decode()


def test_a_wrong_password_stays_outside_and_keeps_the_name() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    client = Client()
    answer = client.post("/sign-in", {"username": name, "password": "not this one"})
    text = answer.content.decode()
    assert answer.status_code == 401
    assert f'value="{name}"' in text
    assert "do not go together" in text
    assert "not this one" not in text
    assert client.get("/").status_code == 302


def test_after_too_many_wrong_passwords_the_right_one_has_to_wait() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    client = Client()
    for _ in range(ATTEMPTS_MAX):
        client.post("/sign-in", {"username": name, "password": "not this one"})
    answer = client.post("/sign-in", {"username": name, "password": PASSWORD})
    assert answer.status_code == 401
    assert "wait a few minutes" in answer.content.decode()
    nobody = client.post("/sign-in", {"username": "nobody", "password": PASSWORD})
    told, told_to_nobody = (
        re.findall('<p[^>]* role="alert".*?</p>', a.content.decode(), re.S) for a in (answer, nobody)
    )
    assert told == told_to_nobody != [], "whether there is such a name is not told"


def test_a_stranger_who_tries_a_name_does_not_lock_its_owner_out_of_their_own_browser() -> None:
    site = make_site()
    name, other = make_user(site, Role.COORDINATOR), make_user(site, Role.RADIOLOGIST)
    owner = Client()
    assert owner.post("/sign-in", {"username": name, "password": PASSWORD}).status_code == 303
    cookie = owner.cookies["xraydesk_known"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/sign-in")
    stranger = Client()
    stranger.cookies["xraydesk_known"] = cookie.value.replace(":", "x:", 1)
    for client in (stranger, Client()):
        for _ in range(ATTEMPTS_MAX):
            client.post("/sign-in", {"username": name, "password": "not this one"})
        assert client.post("/sign-in", {"username": name, "password": PASSWORD}).status_code == 401
    owner.post("/sign-out")
    assert owner.post("/sign-in", {"username": name, "password": PASSWORD}).status_code == 303
    for _ in range(ATTEMPTS_MAX):  # the browser is known for its owner alone
        owner.post("/sign-in", {"username": other, "password": "not this one"})
    assert owner.post("/sign-in", {"username": other, "password": PASSWORD}).status_code == 401


def test_too_many_wrong_passwords_from_one_address_are_told_so_and_cost_no_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    monkeypatch.setattr(actions, "ADDRESS_ATTEMPTS_MAX", 2)
    for number in range(2):
        Client().post("/sign-in", {"username": f"name{number}", "password": "x"})
    monkeypatch.setattr(actions, "make_password", lambda password: pytest.fail("a hash was made"))
    answer = Client().post("/sign-in", {"username": name, "password": PASSWORD})
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "Wait a quarter of an hour" in answer.content.decode()
    elsewhere = Client(REMOTE_ADDR="10.9.9.9").post("/sign-in", {"username": name, "password": PASSWORD})
    assert elsewhere.status_code == 303


def test_another_password_ends_the_sessions_of_the_old_one() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    stolen = Client()
    stolen.post("/sign-in", {"username": name, "password": PASSWORD})
    assert stolen.get("/").status_code == 200
    actions.set_password(name=name, password="quite another one")
    assert stolen.get("/").status_code == 302


def test_somebody_without_a_role_is_told_so() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    Membership.objects.all().delete()
    answer = Client().post("/sign-in", {"username": name, "password": PASSWORD})
    assert answer.status_code == 401
    assert "no role" in answer.content.decode()


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "evil"])
def test_signing_in_leads_to_our_own_pages_only(there: str) -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    answer = Client().post("/sign-in", {"username": name, "password": PASSWORD, "next": there})
    assert answer["Location"] == "/"
    request = RequestFactory().post("/x", {"back": there})
    assert back_to(request, "/otherwise") == "/otherwise"


def test_the_session_changes_at_sign_in_and_ends_at_sign_out() -> None:
    name = make_user(make_site(), Role.COORDINATOR)
    client = Client()
    client.get("/sign-in")
    before = client.cookies.get("xraydesk_session")
    client.post("/sign-in", {"username": name, "password": PASSWORD})
    cookie = client.cookies["xraydesk_session"]
    assert before is None or before.value != cookie.value
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out").status_code == 303
    assert client.get("/").status_code == 302


def test_a_form_without_its_hidden_field_is_refused_with_a_page_of_our_own() -> None:
    answer = Client(enforce_csrf_checks=True).post("/sign-in", {"username": "x", "password": "y"})
    assert answer.status_code == 403
    assert "This form was too old" in answer.content.decode()


def test_each_role_begins_where_it_can_see_something() -> None:
    site = make_site()
    for role in Role:
        name = make_user(site, role)
        client = Client()
        answer = client.post("/sign-in", {"username": name, "password": PASSWORD})
        assert client.get(answer["Location"]).status_code == 200, role


def test_what_is_not_there_is_said_on_a_page_of_our_own_for_strangers_too() -> None:
    for client in (Client(), signed_in(make_site())):
        answer = client.get("/no/such/page")
        text = answer.content.decode()
        assert answer.status_code == 404
        assert "There is nothing here" in text
        assert text.count("<h1") == 1
        assert "Django" not in text


def test_what_went_wrong_is_told_in_the_time_of_the_department() -> None:
    site = make_site()
    site.timezone = "Pacific/Kiritimati"  # fourteen hours before what a page shows that knows no site
    site.save()
    text = signed_in(site).get("/no/such/page").content.decode()
    said = re.search(r'<time datetime="([^"]+)"', text)
    assert said is not None
    assert datetime.fromisoformat(said[1]).utcoffset() == timedelta(hours=14)


def test_the_address_of_a_form_opened_by_itself_says_what_to_do() -> None:
    for client in (Client(), signed_in(make_site())):
        answer = client.get("/messages/search")
        assert answer.status_code == 405
        assert answer["Allow"] == "POST"
        assert "This page is the answer to a form" in answer.content.decode()
        assert client.put("/messages/search").content == b""


def test_a_broken_page_says_so_without_asking_the_database() -> None:
    answer = broken(HttpRequest())
    assert answer.status_code == 500
    assert "The desk could not do that" in answer.content.decode()


@override_settings(ALLOWED_HOSTS=["desk.example"])
def test_a_request_that_is_none_is_answered_with_a_page_of_our_own() -> None:
    answer = Client().get("/sign-in", headers={"host": "other.example"})
    assert answer.status_code == 400
    assert "That was not understood" in answer.content.decode()


def test_every_page_leads_to_the_intended_use_and_it_says_what_the_document_says() -> None:
    site = make_site()
    assert 'href="/about/intended-use"' in Client().get("/sign-in").content.decode()
    assert 'href="/about/intended-use"' in signed_in(site).get("/").content.decode()
    page = Client().get("/about/intended-use").content.decode()
    document = (TREE / "docs" / "INTENDED_USE.md").read_text(encoding="utf-8")
    said = " ".join(re.sub(r"<[^>]+>", " ", page).replace("&#x27;", "'").split())
    for paragraph in re.split(r"\n\s*\n|\n- ", document):
        words = " ".join(re.sub(r"[*#]|^- ", "", paragraph).split()).removeprefix("- ")
        assert re.sub(r"\s+([.,])", r"\1", words) in re.sub(r"\s+([.,])", r"\1", said)


def test_pages_take_scripts_and_styles_from_this_host_only_and_weigh_little() -> None:
    answer = signed_in(make_site()).get("/")
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    text = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert "<style" not in text
    static = TREE / "xraydesk" / "desk" / "static" / "desk"
    styles = sum(file.stat().st_size for file in static.glob("*.css"))
    scripts = sum(file.stat().st_size for file in static.glob("*.js"))
    assert styles < 30_000
    assert len(answer.content) + styles + scripts < 150_000
