"""The list of charges: what is held and why, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_exam, make_site
from tests.running import free_ports
from xraydesk.access.roles import Role
from xraydesk.billing.models import Charge
from xraydesk.billing.states import ChargeState
from xraydesk.desk.tests.browser import Desk
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey.charge import review_charge
from xraydesk.journey.tests.performing import begun, site_with_pacs, told
from xraydesk.journey.tests.test_charge import image, read
from xraydesk.links.models import Message
from xraydesk.links.outgoing.send import send_out
from xraydesk.links.outgoing.tests.test_send import ehr
from xraydesk.links.outgoing.tests.test_tell import outlink
from xraydesk.orders.models import Exam, Procedure
from xraydesk.reactions.run import react_to
from xraydesk.siteplan.reading import from_json, to_json


def done_exam() -> Exam:
    """Done as ordered and read, with two images, one of which waits for a decision."""
    site = site_with_pacs()
    Procedure.objects.filter(site=site, code="XRCHEST2").update(charge_code="RXCHEST2")
    exam = make_exam(site)
    uid = begun(site, exam)
    image(exam, "PA")
    image(exam, "LL", state=ImageState.QUARANTINED)
    told(site, uid, StepState.COMPLETED)
    read(exam)
    return exam


def held_charge() -> Charge:
    charge = review_charge(exam_id=done_exam().pk, at=AT)
    assert charge is not None
    return charge


def posts(charge: Charge) -> list[str]:
    return [reverse(f"charge-{what}", args=[charge.pk]) for what in ("review", "override", "take-back")]


def html_of(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.django_db
def test_the_list_says_why_and_what_ends_it_and_the_exam_says_the_same() -> None:
    charge = held_charge()
    browser = signed_in(charge.exam.site)
    for page in (reverse("charges"), reverse("exam", args=[charge.exam.accession])):
        html = html_of(browser, page)
        assert "1 image waits for a decision" in html
        assert "Charge as done" in html
    assert reverse("charges") in html_of(browser, reverse("attention"))
    browser.post(reverse("charge-review", args=[charge.pk]))
    charge.refresh_from_db()
    assert charge.state == ChargeState.HELD
    browser.post(reverse("charge-override", args=[charge.pk]), {"why": ""})
    charge.refresh_from_db()
    assert charge.state == ChargeState.HELD
    browser.post(reverse("charge-override", args=[charge.pk]), {"why": "the reader asked for it"})
    charge.refresh_from_db()
    assert (charge.state, charge.override_why) == (ChargeState.READY, "the reader asked for it")
    assert charge.number[:-2] in html_of(browser, reverse("charges") + "?show=ready")
    browser.post(reverse("charge-take-back", args=[charge.pk]))
    charge.refresh_from_db()
    assert charge.state == ChargeState.CREDITED
    browser.post(reverse("charge-take-back", args=[charge.pk]))
    for show in ("accepted", "credited"):
        html_of(browser, reverse("charges") + f"?show={show}")
    assert browser.get(reverse("charges") + "?show=lost").status_code == 404


@pytest.mark.django_db
def test_an_empty_list_says_what_its_emptiness_means() -> None:
    assert "No charge is held" in html_of(signed_in(make_site()), reverse("charges"))


@pytest.mark.django_db
def test_a_stranger_other_roles_and_other_sites_find_nothing() -> None:
    """Row 57."""
    charge = held_charge()
    assert Client().get(reverse("charges"))["Location"].startswith(reverse("sign-in"))
    for form in posts(charge):
        assert Client().post(form)["Location"].startswith(reverse("sign-in"))
    for role in (Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.PORTER, Role.ADMINISTRATOR, Role.SYSTEM):
        browser = signed_in(charge.exam.site, role)
        assert browser.get(reverse("charges")).status_code == 404
        assert {browser.post(form, {"why": "x"}).status_code for form in posts(charge)} == {404}
    exam = reverse("exam", args=[charge.exam.accession])
    assert "Charge as done" not in html_of(signed_in(charge.exam.site, Role.RADIOLOGIST), exam)
    for role in (Role.COORDINATOR, Role.MANAGER):
        browser = signed_in(make_site(f"O{role}"), role)
        assert {browser.post(form, {"why": "x"}).status_code for form in posts(charge)} == {404}
        assert charge.exam.accession not in html_of(browser, reverse("charges"))
    assert Charge.objects.get().state == ChargeState.HELD


def react(kind: FactKind) -> None:
    for fact in Fact.objects.filter(kind=kind).order_by("id"):
        react_to(fact.pk)


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_a_charge_is_held_until_somebody_decides_about_its_image_and_is_then_sent(desk: Desk) -> None:
    """Held, mended, sent, taken: by whom it is held and what mends it is said on the page."""
    exam = done_exam()
    site, (port,) = exam.site, free_ports(1)
    site.plan = to_json(replace(from_json(site.plan), outlinks=(outlink(port=port),)))
    site.save()
    waiting = Image.objects.get(state=ImageState.QUARANTINED)
    Image.objects.filter(pk=waiting.pk).update(
        path="",
        header={
            "sop_instance_uid": waiting.sop_instance_uid,
            "sop_class_uid": "1",
            "transfer_syntax_uid": "1",
            "study_instance_uid": exam.study_instance_uid,
            "accession": exam.accession,
        },
    )
    react(FactKind.EXAM_ENDED)
    page: Any = desk.page(site)
    page.goto(desk.address + reverse("charges"))
    assert "1 image waits for a decision" in page.inner_text("#charge-list")
    page.click(f"text={exam.accession}")
    page.wait_for_selector("#charge")
    page.goto(desk.address + reverse("image", args=[waiting.pk]))
    page.click("button.go.wide")
    page.wait_for_selector("text=goes on")
    react(FactKind.IMAGE_MATCHED)
    page.goto(desk.address + reverse("charges"))
    assert "No charge is held" in page.inner_text("#charge-list")
    charge = Charge.objects.get(exam=exam)
    assert (charge.state, charge.code) == (ChargeState.READY, "RXCHEST2")
    react(FactKind.CHARGE_READY)
    with ehr(port) as other:
        send_out(site_id=site.pk, outlink="EHR-OUT")
    sent = Message.objects.get(type="DFT^P03")
    assert other.heard[-1] == sent.control_id
    assert f"|{charge.number}|".encode() in bytes(sent.raw)
    charge.refresh_from_db()
    assert charge.state == ChargeState.ACCEPTED
    page.goto(desk.address + reverse("exam", args=[exam.accession]))
    assert "taken" in page.inner_text("#charge")
