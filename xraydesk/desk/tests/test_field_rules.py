"""What a sender puts elsewhere: rules are tried on messages that came, and kept only as they were tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_site
from xraydesk.access.models import RecordRead, Site, SiteVersion
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.load_site import load_site
from xraydesk.lib import clock
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import order
from xraydesk.links.models import Message
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.link_plan import FieldRule, LinkField, OrderControl
from xraydesk.siteplan.reading import read_toml

pytestmark = pytest.mark.django_db
FILE = Path(__file__).parents[3] / "site" / "hospital.toml"
RULES = '[link.fields]\naccession = "ZDS-1"\n'
HERE = reverse("link-fields", args=["EHR"])
TRY, SAVE = f"{HERE}/try", f"{HERE}/save"


@pytest.fixture
def site() -> Site:
    dicom = replace(EHR, name="OLD", kind="dicom", sending_application="OLD")
    load_site(
        plan=replace(read_toml(FILE), links=(replace(EHR, controls={"SC CM": OrderControl.NEWS}), dicom)),
        at=clock.now(),
        by="test",
    )
    site = Site.objects.get()
    receiver = Receiver()
    for number, extra in enumerate(("ZDS|A77", "NTE|1||nothing")):
        raw = order(control=f"C{number}", placer=f"P{number}", extra=extra)
        receiver.receive(raw.encode(), peer=Peer(), at=AT)
    return site


def tried(browser: Client, rules: str, **more: object) -> tuple[str, str]:
    response = browser.post(TRY, {"rules": rules, **more})
    assert response.status_code == 200
    return " ".join(response.content.decode().split()), response.context.get("token", "")


def test_rules_are_tried_on_messages_that_came_and_kept_as_they_were_tried(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    assert HERE in browser.get(reverse("link", args=["in", "EHR"])).content.decode()
    page = signed_in(site).get(reverse("link", args=["in", "EHR"])).content.decode()
    assert "<li>SC CM: news</li>" in page
    assert "[link.fields]" in browser.get(HERE).content.decode()
    html, token = tried(browser, RULES)
    assert "1 of the last 2 messages would be read otherwise" in html
    assert 'accession</th><td data-l="today">nothing</td><td data-l="then"><b>A77</b></td>' in html
    assert html.count(">differs<") == 1
    assert from_json(site.plan).links[0].fields == ()
    assert RecordRead.objects.filter(what="message").exists()
    versions = SiteVersion.objects.count()
    browser.post(SAVE, {"rules": RULES.replace("\n", "\r\n"), "token": token})
    site.refresh_from_db()
    assert from_json(site.plan).links[0].fields == (FieldRule(LinkField.ACCESSION, ("ZDS-1",)),)
    assert SiteVersion.objects.count() == versions + 1
    kept = browser.get(HERE).content.decode()
    assert "fields none → accession from ZDS-1" in kept
    assert "accession = &quot;ZDS-1&quot;" in kept


def test_a_message_is_tried_before_all_others_and_shown_where_nothing_differs(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    plain = Message.objects.get(control_id="C1")
    assert f"{HERE}?message={plain.pk}" in browser.get(reverse("message", args=[plain.pk])).content.decode()
    assert f'value="{plain.pk}"' in browser.get(HERE, {"message": plain.pk}).content.decode()
    html, _ = tried(browser, RULES, message=plain.pk)
    assert html.index("it is read as it is today") < html.index("A77")
    html, _ = tried(browser, "")
    assert "None of the last 2 messages" in html
    assert "Keep these rules" not in html
    html, _ = tried(browser, '[link.fields]\nplacer = "NTE-3"\nprocedure_code = "OBR-99"\n')
    assert "<b>nothing of EHR</b>" in html or "<b>nothing</b>" in html
    for wrong in ("x", "9" * 19, str(plain.pk + 99)):
        assert browser.get(HERE, {"message": wrong}).status_code == 404


def test_it_is_said_where_a_message_could_be_taken_that_was_not(site: Site) -> None:
    raw = order(control="C9", placer="", extra="ZDS|Z-1")
    Receiver().receive(raw.encode(), peer=Peer(), at=AT)
    Message.objects.filter(control_id="C0").update(raw=b"noise")
    html, _ = tried(signed_in(site, Role.ADMINISTRATOR), '[link.fields]\nplacer = "ZDS-1"\n')
    assert "Today it is not taken: The order has no placer number" in html
    assert "It could be taken then" in html
    Message.objects.all().delete()
    assert "No message came by this link yet" in tried(signed_in(site, Role.ADMINISTRATOR), RULES)[0]


@pytest.mark.parametrize("spoil", ["rules", "token", "site"])
def test_nothing_is_kept_but_what_was_tried_on_what_was_there(site: Site, spoil: str) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    _, token = tried(browser, RULES)
    if spoil == "site":
        load_site(plan=replace(from_json(site.plan), name="Another"), at=clock.now(), by="somebody")
    form = {"rules": "" if spoil == "rules" else RULES, "token": "" if spoil == "token" else token}
    browser.post(SAVE, form)
    site.refresh_from_db()
    assert from_json(site.plan).links[0].fields == ()
    assert "Nothing was kept" in browser.get(HERE).content.decode()


def test_what_is_wrong_is_told_with_line_and_field_and_what_was_typed_stays(site: Site) -> None:
    html, _ = tried(signed_in(site, Role.ADMINISTRATOR), RULES.replace("ZDS-1", "ZDS"))
    assert "line 2, link, fields, accession: “ZDS” is no place in a message" in html
    assert "accession = &quot;ZDS&quot;" in html


def test_only_an_administrator_of_this_site_tries_and_keeps_rules_of_a_link_that_speaks_hl7(
    site: Site,
) -> None:
    for role in Role:
        browser = signed_in(site, role)
        if not allows(role, Permission.SET_LINKS):
            assert browser.get(HERE).status_code == 404, role
            assert {browser.post(form).status_code for form in (TRY, SAVE)} == {404}
    administrator = signed_in(site, Role.ADMINISTRATOR)
    for name in ("OLD", "NOBODY"):
        assert administrator.get(reverse("link-fields", args=[name])).status_code == 404
    assert Client().get(HERE).status_code == 302
    assert signed_in(make_site("U"), Role.ADMINISTRATOR).get(HERE).status_code == 404
