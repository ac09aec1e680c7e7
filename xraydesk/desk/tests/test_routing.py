"""Rules about where images go: tried on a day that was, told line by line where wrong, kept only as they were tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.factories import make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.load_site import load_site
from xraydesk.journey.tests.performing import begun, header, received, told
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.reading import read_toml, read_toml_text

pytestmark = pytest.mark.django_db
FILE = Path(__file__).parents[3] / "site" / "hospital.toml"
HOSPITAL = FILE.read_text(encoding="utf-8")
FROM, TO = HOSPITAL.index("# Who is called when"), HOSPITAL.index("# Who sends orders and patients")
MORE = (
    # Without its on-call plan, which the page shows among the rules.
    HOSPITAL[:FROM]
    + HOSPITAL[TO:]
    + '\n[[destination]]\nname = "WS"\nae_title = "WS"\nhost = "h"\nport = 104\n'
)
RULE = '[[route]]\nrule = "STATs to the workstation"\nto = ["WS"]\npriorities = ["stat"]\n'


@pytest.fixture
def site() -> Site:
    load_site(plan=read_toml_text(MORE + RULE), at=clock.now(), by="test")
    return Site.objects.get()


def yesterday(site: Site, **fields: str) -> Exam:
    """An exam whose images went to the PACS yesterday at noon."""
    day = clock.local_day(clock.now(), site.timezone) - timedelta(days=1)
    at = clock.day_bounds(day, site.timezone)[0] + timedelta(hours=12)
    exam = make_exam(site, code="XRCHEST2", **fields)
    uid = begun(site, exam, at=at)
    received(site, header(exam), at=at)
    told(site, uid, StepState.COMPLETED, at=at)
    route.queue_deliveries(exam_id=exam.pk, at=at)
    return exam


def asked(browser: Client, rules: str, **more: object) -> tuple[int, str, str]:
    response = browser.post(reverse("routing-try"), {"rules": rules, **more})
    html = " ".join(response.content.decode().split())
    found = response.context["token"] if response.context and "token" in response.context else ""
    return response.status_code, html, found


def test_of_what_was_sent_nobody_knows_where_to_nothing_is_said_and_today_is_offered_instead(
    site: Site,
) -> None:
    yesterday(site)
    browser = signed_in(site, Role.ADMINISTRATOR)
    today = clock.local_day(clock.now(), site.timezone)
    assert f'value="{today - timedelta(days=1)}"' in browser.get("/routing").content.decode()
    Delivery.objects.all().delete()
    assert f'value="{today}"' in browser.get("/routing").content.decode()
    day = f"{today - timedelta(days=1)}"
    assert "1 of 1 exam of" in asked(browser, RULE, day=day)[1], "it waits, and would go on"
    Image.objects.update(received_at=clock.now())
    assert "No images are known" in asked(browser, RULE, day=f"{today}")[1], "its exam has not ended yet"
    Image.objects.update(state="sent", received_at=clock.now() - timedelta(days=1))
    assert "No images are known to have gone on from that day" in asked(browser, RULE, day=day)[1]
    for far in ("0001-01-01", "9999-12-31"):
        assert asked(browser, RULE, day=far)[0] == 200


def test_rules_are_tried_on_yesterday_and_kept_as_they_were_tried(site: Site) -> None:
    routine, stat = yesterday(site), yesterday(site, priority="stat")
    browser = signed_in(site, Role.ADMINISTRATOR)
    first = browser.get("/routing").content.decode()
    assert "rule = &quot;STATs to the workstation&quot;" in first
    changed = RULE.replace('"stat"', '"routine"')
    status, html, token = asked(browser, changed)
    assert status == 200
    assert "2 of 2 exams of" in html
    assert f"/exams/{routine.accession}" in html
    assert f"/exams/{stat.accession}" in html
    assert html.count("<b>WS</b>, rule “STATs to the workstation”") == 1
    assert html.count("<b>WS</b>, none of its rules is for this exam") == 1
    assert from_json(site.plan).routes[0].priorities == ("stat",)
    assert Delivery.objects.count() == 3
    browser.post(reverse("routing-save"), {"rules": changed.replace("\n", "\r\n"), "token": token})
    site.refresh_from_db()
    assert from_json(site.plan).routes[0].priorities == ("routine",)
    after = browser.get("/routing").content.decode()
    assert "priorities stat → routine" in after
    assert "Every exam would go where it went" not in after


def test_rules_that_change_nothing_cannot_be_kept_and_a_day_without_images_says_so(site: Site) -> None:
    exam = yesterday(site, priority="stat")
    browser = signed_in(site, Role.ADMINISTRATOR)
    _, html, _ = asked(browser, RULE)
    assert "None of 1 exam of" in html
    assert "Every exam would go where it went" in html
    assert "Keep these rules" not in html
    assert exam.accession not in html
    Image.objects.update(received_at=clock.now() - timedelta(days=9))
    assert "No images are known to have gone on from that day" in asked(browser, RULE, day="nonsense")[1]


@pytest.mark.parametrize("spoil", ["rules", "token", "site"])
def test_nothing_is_kept_but_what_was_tried_on_what_was_there(site: Site, spoil: str) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    changed = RULE.replace('"stat"', '"routine"')
    _, _, token = asked(browser, changed)
    if spoil == "site":
        load_site(plan=replace(from_json(site.plan), name="Another"), at=clock.now(), by="somebody")
    form = {
        "rules": RULE.replace('"stat"', '"urgent"') if spoil == "rules" else changed,
        "token": "" if spoil == "token" else token,
    }
    browser.post(reverse("routing-save"), form)
    site.refresh_from_db()
    assert from_json(site.plan).routes[0].priorities == ("stat",)
    assert "Nothing was kept" in browser.get("/routing").content.decode()


def test_what_is_wrong_is_told_with_line_and_field_and_what_was_typed_stays(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    status, html, _ = asked(browser, RULE.replace("WS", "NOWHERE"))
    assert status == 200
    assert "line 3, route 1, to 1: there is no destination NOWHERE" in html
    assert "to = [&quot;NOWHERE&quot;]" in html


def test_a_changed_site_file_is_tried_and_is_kept_only_by_loading_it(site: Site) -> None:
    exam = yesterday(site)
    browser = signed_in(site, Role.ADMINISTRATOR)

    def file(text: str | bytes) -> SimpleUploadedFile:
        return SimpleUploadedFile("new.toml", text.encode() if isinstance(text, str) else text)

    changed = MORE + RULE.replace('"stat"', '"routine"')
    _, html, token = asked(browser, "", file=file(changed))
    assert exam.accession in html
    assert "new.toml was tried" in html
    assert token == ""
    for wrong, word in (
        (FILE.read_text(encoding="utf-8").replace('code = "HOSP"', 'code = "OTHER"', 1), "site, code"),
        (b"\xff\xfe\xff", "not UTF-8"),
        (b"#" * 1_048_577, "longer than"),
    ):
        status, html, _ = asked(browser, "", file=file(wrong))
        assert (status, word in html) == (200, True), word


def test_only_an_administrator_sees_and_keeps_rules_and_a_site_without_a_file_has_none(site: Site) -> None:
    forms = [reverse("routing-try"), reverse("routing-save")]
    for role in Role:
        if not allows(role, Permission.SET_ROUTES):
            browser = signed_in(site, role)
            assert browser.get("/routing").status_code == 404, role
            assert {browser.post(form).status_code for form in forms} == {404}
    assert Client().get("/routing").status_code == 302
    assert signed_in(make_site("U"), Role.ADMINISTRATOR).get("/routing").status_code == 404
    assert read_toml(FILE).code == site.code
