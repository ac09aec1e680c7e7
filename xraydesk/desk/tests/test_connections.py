"""The page of machines and destinations: what it shows, who may do what, and what is taken away."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.tests.performing import with_destinations
from xraydesk.lib import clock
from xraydesk.links import connections
from xraydesk.links.connections import Caller
from xraydesk.links.dicom import probe as probing
from xraydesk.links.dicom.probe import Found
from xraydesk.links.dicomweb import probe as probing_web
from xraydesk.links.models import AllowedCaller, ConnectionCheck, DicomCall, MachineClock
from xraydesk.rooms.models import Modality
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = pytest.mark.django_db
PAGE = "/connections"


@pytest.fixture
def site() -> Site:
    site = make_site()
    Modality.objects.filter(ae_title="XR1").update(host="127.0.0.1", port=11130)
    connections.count_calls(
        site=site,
        calls={
            Caller("XR1", "XRAYDESK", "10.0.0.5", "TAKEN"): 4,
            Caller("=NEW", "XRAYDESK", "10.0.0.9", "CALLING_UNKNOWN"): 7,
            Caller("XR2", "OLDDESK", "10.0.0.6", "CALLED_UNKNOWN"): 1,
        },
        at=clock.now(),
    )
    MachineClock.objects.create(site=site, ae_title="XR2", at=clock.now(), ahead_seconds=[300.0])
    return site


def html_of(browser: Client) -> str:
    response = browser.get(PAGE)
    assert response.status_code == 200
    return str(response.content.decode())


def test_each_machine_is_told_of_and_whoever_was_refused_with_the_reason(site: Site) -> None:
    html = html_of(signed_in(site))
    assert "from 10.0.0.5" in html
    assert "5 min ahead" in html
    assert "the site file names no such machine" in html
    assert "it called OLDDESK, and this desk is XRAYDESK" in html
    assert "an administrator may let it in" in html
    assert "no address in the site file" in html


def test_an_administrator_lets_somebody_in_and_takes_it_back(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    call = DicomCall.objects.get(calling_ae="=NEW")
    assert browser.post(reverse("caller-let-in", args=[call.pk])).status_code == 303
    caller = AllowedCaller.objects.get()
    assert (caller.ae_title, caller.by) == ("=NEW", "user:administrator-T")
    html = html_of(browser)
    assert "Let in by hand" in html
    assert "Let it in" not in html
    browser.post(reverse("caller-keep-out", args=[caller.pk]))
    assert "=NEW is refused again" in html_of(browser)
    assert not AllowedCaller.objects.filter(ended_at=None).exists()
    browser.post(reverse("caller-let-in", args=[10**9]))
    assert "not kept any more" in html_of(browser)
    browser.post(reverse("caller-keep-out", args=[10**9]))
    assert "Nobody was let in so" in html_of(browser)


@pytest.mark.parametrize("answers", [True, False])
def test_a_check_is_done_told_and_kept(site: Site, monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    asked: list[tuple[str, int]] = []

    def tried(*, host: str, port: int, called: str, calling: str, destination: object) -> Found:
        asked.append((host, port))
        return Found(True, answers, "It answers." if answers else "It says nothing.")

    monkeypatch.setattr(probing, "probe", tried)
    browser = signed_in(site)
    assert browser.post(reverse("connection-check"), {"ae_title": "XR1"}).status_code == 303
    assert asked == [("127.0.0.1", 11130)]
    kept = ConnectionCheck.objects.get()
    assert (kept.ae_title, kept.echoed, kept.by) == ("XR1", answers, "user:coordinator-T")
    html = html_of(browser)
    assert ("it answers" if answers else "It says nothing.") in html
    for unknown in ("XR2", "NOPE", ""):
        assert browser.post(reverse("connection-check"), {"ae_title": unknown}).status_code == 404
    assert len(asked) == 1


def test_the_log_is_a_table_in_which_no_cell_is_a_formula(site: Site) -> None:
    connections.keep_check(
        site=site, ae_title="XR1", where="127.0.0.1:11130", reached=True, echoed=True, said="It answers.",
        at=clock.now(), by="user:a",
    )  # fmt: skip
    response = signed_in(site).get(reverse("connections-log"))
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(response.content.decode())))
    assert rows[0][:3] == ["last", "what", "ae title"]
    assert sorted(row[1:3] for row in rows[1:]) == [
        ["call", "'=NEW"],
        ["call", "XR1"],
        ["call", "XR2"],
        ["check", "XR1"],
    ]


def test_a_stranger_other_roles_and_other_sites_see_and_do_nothing(site: Site) -> None:
    call = DicomCall.objects.get(calling_ae="=NEW")
    let_in = reverse("caller-let-in", args=[call.pk])
    pages = (PAGE, reverse("connections-log"))
    assert {Client().get(page).status_code for page in pages} == {302}
    assert Client().post(let_in).status_code == 302
    for role in Role:
        browser = signed_in(site, role)
        if not allows(role, Permission.SEE_MESSAGES):
            assert {browser.get(page).status_code for page in pages} == {404}
            assert browser.post(reverse("connection-check"), {"ae_title": "XR1"}).status_code == 404
        if not allows(role, Permission.LET_IN):
            assert browser.post(let_in).status_code == 404
            assert browser.post(reverse("caller-keep-out", args=[1])).status_code == 404
    elsewhere = signed_in(make_site("O"), Role.ADMINISTRATOR)
    elsewhere.post(let_in)
    assert not AllowedCaller.objects.exists()
    assert "10.0.0.9" not in html_of(elsewhere)
    assert "10.0.0.9" not in elsewhere.get(reverse("connections-log")).content.decode()


def test_an_archive_that_is_asked_over_the_web_is_tried_by_its_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = DestinationPlan("PACS", "XR1", "127.0.0.1", 104, finds=True, web="https://pacs.example/dicom-web")
    alone = DestinationPlan("OLD", "", "", 0, finds=True, web="https://old.example/dicom-web")
    with_destinations(site, both, alone)
    asked: list[str] = []

    def tried(archive: DestinationPlan) -> Found:
        asked.append(archive.name)
        return Found(True, False, "It does not know the desk.")

    monkeypatch.setattr(probing_web, "probe", tried)
    browser = signed_in(site)
    html = html_of(browser)
    assert "https://old.example/dicom-web" in html
    assert 'aria-label="Check PACS over the web"' in html
    assert html.count('name="web"') == 2
    assert browser.post(reverse("connection-check"), {"web": "OLD"}).status_code == 303
    html = html_of(browser)
    assert "OLD: It does not know the desk." in html
    assert html.count("<b>It does not know the desk.</b>") == 1
    assert browser.post(reverse("connection-check"), {"web": "NOPE"}).status_code == 404
    assert browser.post(reverse("connection-check"), {"ae_title": "OLD"}).status_code == 404
    assert asked == ["OLD"]
