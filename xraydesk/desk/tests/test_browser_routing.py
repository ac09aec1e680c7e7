"""Rules about where images go, in a real browser: written, tried, looked into, kept."""

from __future__ import annotations

import pytest

from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.browser import WIDTHS, Desk
from xraydesk.desk.tests.test_routing import MORE, RULE, yesterday
from xraydesk.journey.load_site import load_site
from xraydesk.lib import clock
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.reading import read_toml_text

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


def test_an_administrator_tries_a_rule_on_yesterday_opens_an_exam_and_keeps_the_rule(desk: Desk) -> None:
    load_site(plan=read_toml_text(MORE + RULE), at=clock.now(), by="test")
    site = Site.objects.get()
    exam = yesterday(site)
    page = desk.page(site, role=Role.ADMINISTRATOR)
    page.goto(f"{desk.address}/connections")
    page.click("text=Where images go >> nth=0")
    page.fill("#rules", RULE.replace("WS", "NOWHERE"))
    page.click("text=Try")
    assert "line 3, route 1, to 1" in page.inner_text("[role=alert]")
    page.fill("#rules", RULE.replace('"stat"', '"routine"'))
    page.click("button:has-text('Try')")
    assert "1 of 1 exam of" in page.inner_text("#tried h2")
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click(f"#tried >> text={exam.accession}")
    assert "Where they go" in page.inner_text("#images")
    page.go_back()
    page.click("text=Keep these rules")
    assert "Kept: route STATs to the workstation" in page.inner_text("body")
    assert 'priorities = ["routine"]' in page.input_value("#rules")
    site.refresh_from_db()
    assert from_json(site.plan).routes[0].priorities == ("routine",)
