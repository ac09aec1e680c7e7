"""What is kept, and what the pages say of an image that is no longer here."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import retention, route
from xraydesk.journey.tests.performing import PACS, begun, header, jobs, received, site_with_pacs, told
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(settings, tmp_path) -> Site:
    settings.XRAYDESK_SPOOL = tmp_path
    return site_with_pacs(replace(PACS, commits=True))


def sent(site: Site, *, at=AT) -> tuple[Exam, Image]:
    exam = make_exam(site)
    uid = begun(site, exam, at=at)
    image = received(site, header(exam), at=at)
    told(site, uid, StepState.COMPLETED, at=at)
    route.queue_deliveries(exam_id=exam.pk, at=at)
    route.record_sent(delivery_id=image.deliveries.get().pk, at=at, is_to_promise=True)
    Delivery.objects.filter(image=image).update(keeping="committed", kept_at=at)
    return exam, image


def html(browser: Client, page: str) -> str:
    answer = browser.get(page)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_what_is_kept_is_counted_by_reason_with_what_ends_it(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    assert "No file of an image is here." in html(browser, "/kept")
    received(site, header(make_exam(site), patient_id="W1"), at=AT)
    sent(site)
    sent(site)
    Delivery.objects.filter(pk=Delivery.objects.order_by("id")[0].pk).update(
        keeping="to be asked", kept_at=None
    )
    page = html(browser, "/kept")
    assert "A person decides where it belongs" in page
    assert "A destination has it, and it is not safe there yet" in page
    assert "Nothing: it may go" in page
    assert "it promises to keep them" in page
    assert "30 days after they are safe wherever they go" in page
    assert browser.post("/kept/release").status_code == 303
    browser.post("/kept/release")
    assert "It was asked for already" in html(browser, "/kept")
    assert len(jobs("release_images")) == 1


def test_a_destination_that_is_gone_is_waited_for_no_more(site: Site) -> None:
    browser = signed_in(site, Role.ADMINISTRATOR)
    sent(site)
    Delivery.objects.update(destination="OLD", keeping="", kept_at=None)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, spool_gigabytes_max=1, image_days=0)))
    site.save()
    Image.objects.update(size_bytes=900_000_000)
    page = html(browser, "/kept")
    assert "take 90 % of the 1 GB that they may." in page
    assert "Wait no more for OLD" in page
    browser.post(reverse("kept-give-up", args=["OLD"]))
    page = html(browser, "/kept")
    assert "1 image that OLD took count" in page
    assert "Every image that was sent is safe where it went." in page
    assert "for ever" in page
    browser.post(reverse("kept-give-up", args=["PACS"]))
    assert "The site file names PACS" in html(browser, "/kept")


def test_pages_say_plainly_that_an_image_is_no_longer_here_and_where_it_is(site: Site) -> None:
    exam, image = sent(site)
    retention.release_due(site=site, at=AT + timedelta(days=31))
    Image.objects.update(path="")
    browser = signed_in(site)
    at_exam = html(browser, reverse("exam", args=[exam.accession]) + "?look=1")
    assert "no longer here: it is safe at PACS" in at_exam
    assert "No longer here: it is safe at PACS." in at_exam
    picture = reverse("image-picture", args=[image.pk])
    assert picture not in at_exam
    deciding = html(browser, reverse("image", args=[image.pk]))
    assert picture not in deciding
    assert "it is safe at PACS." in deciding
    assert "have its machine send it once more first" in deciding
    assert f"To {exam.accession}," not in deciding
    answer = browser.get(picture)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert "it is safe at PACS" in answer.content.decode()


def test_only_who_may_sees_what_is_kept_and_only_of_their_site(site: Site) -> None:
    sent(site)
    posts = ["/kept/release", reverse("kept-give-up", args=["PACS"])]
    for role in Role:
        browser = signed_in(site, role)
        may = allows(role, Permission.KEEP_IMAGES)
        assert browser.get("/kept").status_code == (200 if may else 404), role
        assert ('href="/kept"' in browser.get("/connections").content.decode()) is may
        if not may:
            assert {browser.post(post).status_code for post in posts} == {404}
    assert Client().get("/kept").status_code == 302
    elsewhere = signed_in(make_site("U"), Role.ADMINISTRATOR)
    assert "No file of an image is here." in html(elsewhere, "/kept")
