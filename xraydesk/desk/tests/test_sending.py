"""Images on their way: what the exam's page says of it, the queues, what was given up, and rules that are tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_exam, make_site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.imaging.models import Delivery, Prior
from xraydesk.imaging.rules import ATTEMPTS_MAX
from xraydesk.imaging.states import StepState
from xraydesk.journey import promise, route
from xraydesk.journey.reconcile import reject_image
from xraydesk.journey.tests.performing import PACS, begun, header, received, site_with_pacs, told
from xraydesk.lib import clock
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, OnCallRole, RoutePlan

pytestmark = pytest.mark.django_db


def performed(site, **fields):
    exam = make_exam(site, **fields)
    uid = begun(site, exam)
    received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    return exam


def test_the_page_of_an_exam_says_where_its_images_go_and_where_not_and_why() -> None:
    site = site_with_pacs(PACS, DestinationPlan("NIGHT", "NIGHT", "127.0.0.1", 11114))
    rule = RoutePlan("STAT <at> night", to=("NIGHT",), priorities=("stat",))
    site.plan = to_json(replace(from_json(site.plan), routes=(rule,)))
    site.save()
    browser = signed_in(site)
    stat, routine = performed(site, priority="stat"), performed(site)
    planned = make_exam(site, priority="stat")
    Delivery.objects.filter(image__exam=routine).update(state="failed")

    def html_of(exam) -> str:
        return " ".join(browser.get(reverse("exam", args=[exam.accession])).content.decode().split())

    assert "<b>NIGHT</b>: 1 waiting" in html_of(stat)
    assert "because rule “STAT &lt;at&gt; night”" in html_of(stat)
    assert '<b class="tag heavy">1 failed</b>' in html_of(routine)
    assert "not to NIGHT</span><br><small" in html_of(routine)
    assert "none of its rules is for this exam" in html_of(routine)
    assert "<b>NIGHT</b><br>" in html_of(planned)


def test_each_destination_shows_its_queue_and_what_was_given_up_is_sent_again() -> None:
    site = site_with_pacs(
        PACS, DestinationPlan("WS", "WS", "127.0.0.1", 11114, associations=2, kilobytes_per_second_max=500)
    )
    stat = performed(site, priority="stat")
    given_up = performed(site)
    Delivery.objects.filter(image__exam=given_up).update(
        state="failed", attempts=10, last_error="it answered A700"
    )
    Delivery.objects.filter(image__exam=performed(site)).update(state="sent", sent_at=clock.now())
    Delivery.objects.filter(image__exam=performed(site), destination="WS").update(destination="OLD")
    browser = signed_in(site)

    def html() -> str:
        return " ".join(browser.get("/sending").content.decode().split())

    page = html()
    assert '1 <b class="tag heavy">1 STAT</b>' in page
    assert "2 at once, 500 kB/s" in page
    assert "1 image, 0 kB/s" in page
    assert "OLD <span" in page
    assert f"/exams/{given_up.accession}" in page
    assert stat.accession not in page
    assert page.count("it answered A700") == 2
    one = Delivery.objects.filter(state="failed").first()
    assert browser.post(reverse("sending-again", args=[one.pk])).status_code == 303
    assert "The image is tried again" in html()
    assert browser.post(reverse("sending-again", args=[one.pk])).status_code == 303
    assert "This image is waiting on its way" in html()
    other = Delivery.objects.get(state="failed").destination
    browser.post(reverse("sending-all-again", args=[other]))
    page = html()
    assert f"1 image is tried again for {other}" in page
    assert "Every image was taken" in page
    browser.post(reverse("sending-all-again", args=[other]))
    assert f"Nothing was given up for {other}" in html()


def test_only_who_may_see_messages_sees_the_queues_and_only_of_their_site() -> None:
    site = site_with_pacs()
    performed(site)
    Delivery.objects.update(state="failed")
    (key,) = Delivery.objects.values_list("pk", flat=True)
    forms = [reverse("sending-again", args=[key]), reverse("sending-all-again", args=["PACS"])]
    for role in Role:
        browser = signed_in(site, role)
        may = allows(role, Permission.SEE_MESSAGES)
        assert browser.get("/sending").status_code == (200 if may else 404), role
        if not may:
            assert {browser.post(form).status_code for form in forms} == {404}
    assert Client().get("/sending").status_code == 302
    elsewhere = signed_in(make_site("U"))
    assert elsewhere.post(forms[0]).status_code == 404
    assert elsewhere.post(forms[1]).status_code == 303
    assert "no destination" in elsewhere.get("/sending").content.decode()
    assert Delivery.objects.get().state == "failed"


def test_what_a_destination_does_not_keep_is_shown_tried_again_or_seen_there() -> None:
    site = site_with_pacs(replace(PACS, commits=True))
    exam = performed(site)
    delivery = Delivery.objects.get()

    def refused() -> str:
        route.record_sent(delivery_id=delivery.pk, at=AT, is_to_promise=True)
        asked = promise.next_question(site=site, destination="PACS", at=clock.now())
        assert asked is not None
        (_, uid) = asked.objects[0]
        promise.answered(
            site=site, transaction_uid=asked.transaction_uid, kept=(), failed={uid: 0x0122}, at=AT, by="destination:PACS"
        )  # fmt: skip
        return str(Item.objects.get(kind=ItemKind.IMAGE_NOT_KEPT, closed_at=None).pk)

    browser = signed_in(site)
    item = refused()
    assert "1 not kept</b>" in browser.get("/sending").content.decode()
    assert (
        '<b class="tag heavy">1 not kept</b>'
        in browser.get(reverse("exam", args=[exam.accession])).content.decode()
    )
    assert "it promises nothing for this kind" in browser.get("/attention").content.decode()
    again, seen = reverse("keeping-again", args=[item]), reverse("keeping-seen", args=[item])
    strangers = [
        signed_in(make_site("U")),
        *(signed_in(site, r) for r in Role if not allows(r, Permission.DECIDE_IMAGES)),
    ]
    for stranger in strangers:
        assert {stranger.post(form).status_code for form in (again, seen)} == {404}
    assert Client().post(seen).status_code == 302
    assert browser.post(again).status_code == 303
    assert (
        "1 waiting; 1 to be sent again"
        in browser.get(reverse("exam", args=[exam.accession])).content.decode()
    )
    browser.post(again)
    assert "Nothing of this exam waits there any more" in browser.get("/attention").content.decode()
    item = refused()
    browser.post(reverse("keeping-seen", args=[item]))
    assert "1 image counts as safe at PACS, by your word." in browser.get("/attention").content.decode()
    assert (
        "1 sent; 1 seen there by a person"
        in browser.get(reverse("exam", args=[exam.accession])).content.decode()
    )
    assert "all kept" in browser.get("/sending").content.decode()
    browser.post(reverse("keeping-seen", args=[item]))
    assert "Nothing of this exam waits there any more" in browser.get("/attention").content.decode()


def test_the_images_of_a_stat_are_told_of_and_opened_by_buttons() -> None:
    people = tuple(
        OnCallPlan(code, name, dict.fromkeys(WEEKDAYS, ((time(0), time(0)),)), role, phone="ext. 1")
        for code, name, role in (("B", "Dr Berg", OnCallRole.READER), ("T", "The team", OnCallRole.TEAM))
    )
    site = site_with_pacs()
    site.plan = to_json(replace(from_json(site.plan), on_call=people))
    site.save()
    exam = performed(site, priority="stat")
    (key,) = Delivery.objects.values_list("pk", flat=True)
    route.record_sent(delivery_id=key, at=clock.now())
    browser, reader = signed_in(site), signed_in(site, Role.RADIOLOGIST)
    attention = browser.get("/attention").content.decode()
    assert "Call Dr Berg, ext. 1." in attention
    assert "Tell The team, ext. 1:" in attention

    def pressed(name: str) -> str:
        who = reader if name == "images-opened" else browser
        assert who.post(reverse(name, args=[exam.accession])).status_code == 303
        return " ".join(who.get(reverse("exam", args=[exam.accession])).content.decode().split())

    assert f"Dr Berg was told of {exam.accession}" in pressed("reader-told")
    assert f"The team was told of {exam.accession}" in pressed("team-told")
    assert "Nobody is to be told" in pressed("team-told")
    opened = pressed("images-opened")
    assert "All at PACS since" in opened
    assert "Opened" in opened
    assert "Images opened</button>" not in opened
    assert "opened already" in pressed("images-opened")
    images = list(exam.images.values_list("pk", flat=True))
    reject_image(image_id=images[0], also=images[1:], why="blurred", at=clock.now(), by="user:a")
    assert "All at PACS since" not in browser.get(reverse("exam", args=[exam.accession])).content.decode()
    manager = signed_in(site, Role.MANAGER)
    for measure in ("image-to-available", "image-to-opened"):
        behind = manager.get(reverse("measure", args=[measure])).content.decode()
        assert exam.accession in behind, measure
    names = ("reader-told", "team-told", "images-opened")
    for role in Role:
        if not allows(role, Permission.OPEN_IMAGES):
            stranger = signed_in(site, role)
            assert {stranger.post(reverse(n, args=[exam.accession])).status_code for n in names} == {404}, (
                role
            )
    elsewhere = signed_in(make_site("U"))
    assert {elsewhere.post(reverse(n, args=[exam.accession])).status_code for n in names} == {404}


def test_what_is_missing_to_compare_with_is_asked_for_on_the_exams_page() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    browser = signed_in(site, Role.RADIOLOGIST)
    there = reverse("exam", args=[exam.accession])

    def html() -> str:
        return " ".join(browser.get(there).content.decode().split())

    assert "Nothing like it was done here before" in html()
    want = reverse("prior-want", args=[exam.accession])
    browser.post(want, {"words": "chest of <May>", "of": "St. Mary's"})
    prior = Prior.objects.get()
    page = html()
    assert "<b>chest of &lt;May&gt;</b>" in page
    assert "asks for it (St. Mary&#x27;s)" in page
    browser.post(want, {"words": ""})
    assert "Write what is wanted" in html()
    none, chase, came = (reverse("prior-move", args=[prior.pk, what]) for what in ("none", "chase", "came"))
    browser.post(none)
    assert "not to be had" in html()
    browser.post(chase, {"of": "the patient"})
    browser.post(came)
    browser.post(none)
    assert "This study is there" in html()
    assert browser.post(reverse("prior-move", args=[prior.pk, "eat"])).status_code == 404
    for stranger in (signed_in(site, Role.TECHNOLOGIST), signed_in(make_site("U"))):
        assert {stranger.post(form).status_code for form in (want, none)} == {404}


def test_the_attention_list_sends_an_image_again_that_was_given_up() -> None:
    site = site_with_pacs()
    exam = performed(site)
    (delivery,) = Delivery.objects.filter(image__exam=exam)
    Delivery.objects.filter(pk=delivery.pk).update(attempts=ATTEMPTS_MAX - 1)
    route.record_failure(delivery_id=delivery.pk, at=clock.now(), why="it answered A700")
    browser = signed_in(site)
    html = browser.get(reverse("attention")).content.decode()
    again = reverse("sending-again", args=[delivery.pk])
    assert again in html
    assert reverse("image", args=[delivery.image_id]) in html
    assert browser.post(again).status_code == 303
    assert again not in browser.get(reverse("attention")).content.decode()
