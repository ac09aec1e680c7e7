"""The message page: what came, what it did, what differs from the one before; and finding messages."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_site, plan_with
from xraydesk.access.models import RecordRead, Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.cancel import cancel_exam
from xraydesk.lib import clock
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import adt, order
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.link_plan import OutlinkPlan, Sends

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site = make_site()
    site.plan = plan_with(EHR)
    site.save()
    return site


def send(*messages: str) -> list[Message]:
    receiver = Receiver()
    for message in messages:
        receiver.receive(message.encode(), peer=Peer(), at=AT)
    return list(Message.objects.order_by("id"))


def page(site: Site, message: Message) -> str:
    return signed_in(site).get(reverse("message", args=[message.pk])).content.decode()


def test_a_message_says_what_it_did_and_to_which_exam(site: Site) -> None:
    (message,) = send(order(control="C1"))
    html = page(site, message)
    accession = Exam.objects.get().accession
    did = html[html.index("What it did") : html.index("Field by field")]
    assert "Patient created" in did
    assert f'<a href="{reverse("exam", args=[accession])}">' in did
    assert "control number" in html


def test_a_message_that_did_nothing_says_so_and_why(site: Site) -> None:
    (message,) = send(order(control="C1", action="XO"))
    did = page(site, message)
    assert "Nothing here was made or changed: Order P1 never came here" in did
    assert message.facts == []


def test_what_differs_from_the_one_before_is_shown(site: Site) -> None:
    _, change = send(order(control="C1"), order(control="C2", action="XO", start="202603021600"))
    html = page(site, change)
    differs = html[html.index("What differs from") : html.index("Field by field")]
    assert "orders.1.scheduled" in differs
    assert "16:00" in differs
    first, _ = Message.objects.order_by("id")
    assert "What differs from" not in page(site, first)
    *_, moved = send(adt("A08", control="C3"), adt("A08", control="C4"))
    assert "What differs from" in page(site, moved)


def test_whitespace_that_is_easily_missed_is_visible(site: Site) -> None:
    (message,) = send(order(control="C1", name="Prüfer ^Ada"))
    assert "Prüfer·^Ada" in page(site, message)


@pytest.mark.parametrize("typed", ["C1", "N1", "Prüfer", "chest 2 views", "Chest 2"])
def test_messages_are_found_by_number_patient_and_text(site: Site, typed: str) -> None:
    send(
        order(control="C1"),
        order(control="OTHER-9", placer="P9", patient="M9", name="Other^One")
        .replace("Chest 2 views", "Knee")
        .replace("VN1", "V7"),
    )
    html = signed_in(site).post(reverse("message-search"), {"text": typed}).content.decode()
    is_found = typed != "chest 2 views"  # a text is found as it is written
    assert (">C1<" in html and "data-list" in html) is is_found
    assert "OTHER-9" not in html
    if is_found:
        assert RecordRead.objects.filter(what="message search").exists()


def test_messages_are_found_by_accession_and_those_of_a_merged_record_too(site: Site) -> None:
    send(order(control="C1", patient="N2"), adt("A40", control="C2", patient="N1", pv1="MRG|N2^^^HOSP^MR"))
    browser = signed_in(site)
    for typed in (Exam.objects.get().accession.lower(), "N1"):
        assert ">C1<" in browser.post(reverse("message-search"), {"text": typed}).content.decode()
    for typed in ("", "nothing of the kind"):
        assert "No such messages" in browser.post(reverse("message-search"), {"text": typed}).content.decode()


def test_a_merge_that_a_person_decides_names_the_records_and_leads_to_comparing_them(site: Site) -> None:
    *_, asks = send(
        order(control="C1", placer="P1", patient="N1"),
        order(control="C2", placer="P2", patient="N2", name="Doe^Jay"),
        adt("A24", control="C3", patient="N1", pv1="PID|2||N2^^^HOSP^MR"),
    )
    html = page(site, asks)
    assert "Doe, Jay" in html
    assert "Compare the two" in html
    assert "Records that it names" not in page(site, Message.objects.get(control_id="C1"))
    Message.objects.filter(pk=asks.pk).update(raw=b"noise")
    assert "Records that it names" not in page(site, asks)
    *_, circle = send(
        adt("A40", control="C4", patient="N1", pv1="MRG|N2^^^HOSP^MR"),
        adt("A40", control="C5", patient="N2", pv1="MRG|N1^^^HOSP^MR"),
    )
    assert "went into another one" in page(site, circle)


def test_each_number_on_the_page_of_a_link_opens_into_the_messages_behind_it(site: Site) -> None:
    send(order(control="CTRL-1"), order(control="CTRL-2", action="XO"))
    Message.objects.filter(control_id="CTRL-2").update(link="OTHER", at=clock.now())
    Message.objects.filter(control_id="CTRL-1").update(at=clock.now())
    browser = signed_in(site)
    html = browser.get(reverse("link", args=["in", EHR.name])).content.decode()
    assert f'<a href="{reverse("messages")}" aria-current="page"' in html
    found = [unescape(one) for one in re.findall(r'href="([^"]+hours=[^"]+)">1<', html)]
    assert [parse_qs(urlsplit(one).query)["hours"] for one in found] == [["1"], ["24"], ["168"]]
    for address in found:
        behind = browser.get(address).content.decode()
        assert "CTRL-1" in behind
        assert "CTRL-2" not in behind
    Message.objects.filter(control_id="CTRL-1").update(at=clock.now() - timedelta(hours=2))
    assert "CTRL-1" not in browser.get(found[0]).content.decode()
    assert "CTRL-1" in browser.get(found[1]).content.decode()
    assert "CTRL-1" in browser.get(reverse("messages"), {"hours": "²", "page": "²"}).content.decode()


def test_a_stranger_other_roles_and_other_sites_find_nothing(site: Site) -> None:
    (message,) = send(order(control="C1"))
    find, show = reverse("message-search"), reverse("message", args=[message.pk])
    assert Client().post(find, {"text": "C1"}).status_code == 302
    assert signed_in(site, Role.TECHNOLOGIST).post(find, {"text": "C1"}).status_code == 404
    elsewhere = signed_in(make_site(code="U"))
    assert "No such messages" in elsewhere.post(find, {"text": "C1"}).content.decode()
    assert elsewhere.get(show).status_code == 404


def test_what_a_system_would_be_told_of_an_exam_is_shown_and_nothing_is_kept(site: Site) -> None:
    out = OutlinkPlan("PAS", "127.0.0.1", 2575, (Sends.STATUS,), "XRAYDESK", "XRAY", "PAS", "HOSP")
    site.plan = to_json(replace(from_json(site.plan), outlinks=(out,)))
    site.save()
    send(order(control="C1"))
    exam = Exam.objects.get()
    browser, there = signed_in(site), reverse("link-preview", args=["PAS"])
    assert there in browser.get(reverse("link", args=["out", "PAS"])).content.decode()

    def shown(accession: str) -> str:
        return browser.post(there, {"accession": accession}).content.decode()

    assert "is told nothing" in shown(exam.accession)
    assert RecordRead.objects.filter(what="message preview", accession=exam.accession).exists()
    cancel_exam(exam_id=exam.pk, at=AT, by="user:c", why="not needed")
    assert "ORM^O01" in shown(exam.accession)
    assert "No such exam" in shown("NONE")
    assert Message.objects.count() == 1
    assert browser.post(reverse("link-preview", args=["EHR"]), {"accession": "X"}).status_code == 404
    assert Client().post(there, {"accession": exam.accession}).status_code == 302
    assert signed_in(site, Role.TECHNOLOGIST).post(there, {"accession": exam.accession}).status_code == 404
