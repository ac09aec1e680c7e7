"""Codes that the department does not know: what waits with them goes on once a person says what they mean."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.journey.codes import map_code
from xraydesk.journey.errors import WrongState
from xraydesk.journey.receive import receive_order
from xraydesk.journey.triage import triage_exam
from xraydesk.orders.models import CodeMapping, Exam, Procedure
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.siteplan.link_plan import OrderControl

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def order(site: Site, placer: str, code: str = "EAP77", system: str = "EPC", link: str = "EHR") -> Exam:
    wish = Requisition(
        control=OrderControl.NEW,
        patient=Demographics(
            (Identifier(f"N{placer}", "HOSP", "MR"),), Name("Prüfer", "Ada"), date(1969, 5, 12), "F"
        ),
        placer=placer,
        placer_authority="",
        exams=(RequestedExam(code, "XR CHEST PA AND LATERAL", system, reason="cough"),),
    )
    received = receive_order(site=site, requisition=wish, link=link, at=AT, by=f"link:{link}")
    triage_exam(exam_id=received.exams[0].pk, at=AT)
    return Exam.objects.get(pk=received.exams[0].pk)


def chest(site: Site) -> Procedure:
    return Procedure.objects.get(site=site, code="XRCHEST2")


def test_what_waits_goes_on_and_what_comes_is_known_once_somebody_says_what_a_code_means(site: Site) -> None:
    first, second, other = order(site, "P1"), order(site, "P2"), order(site, "P3", link="HIS")
    assert {e.triage for e in (first, second, other)} == {"held"}
    browser = signed_in(site)
    html = browser.get(reverse("codes")).content.decode()
    assert "EAP77" in html
    assert f'href="{reverse("triage")}?exam={first.accession}">2 exams</a> since' in html
    assert "link:" not in html
    said = browser.post(reverse("code-map", args=[first.pk]), {"procedure": chest(site).pk}, follow=True)
    assert "2 exams that waited went on" in said.content.decode()
    for exam in (first, second, other):
        exam.refresh_from_db()
    assert [e.triage for e in (first, second, other)] == ["accepted", "accepted", "held"]
    assert (first.procedure, first.procedure_code, first.procedure_system) == (chest(site), "EAP77", "EPC")
    assert not Item.objects.filter(accession=first.accession, closed_at=None).exists()
    assert Fact.objects.filter(accession=first.accession, kind="order changed").exists()
    assert order(site, "P4").triage == "accepted"
    assert order(site, "P5", system="ELSE").triage == "held"


def test_a_meaning_is_taken_back_or_replaced_for_what_comes(site: Site) -> None:
    exam = order(site, "P1")
    browser = signed_in(site)
    browser.post(reverse("code-map", args=[exam.pk]), {"procedure": chest(site).pk})
    mapping = CodeMapping.objects.get()
    undo = reverse("code-unmap", args=[mapping.pk])
    browser.post(undo)
    assert "already" in browser.post(undo, follow=True).content.decode()
    exam.refresh_from_db()
    assert exam.procedure == chest(site)
    later = order(site, "P2")
    assert later.procedure is None
    for code in ("XRKNEE2", "XRCHEST2"):
        meant = Procedure.objects.get(site=site, code=code)
        map_code(
            site=site,
            source="link:EHR",
            code="EAP77",
            system="EPC",
            procedure_id=meant.pk,
            at=AT,
            by="user:a",
        )
    assert CodeMapping.objects.filter(ended_at=None).get().procedure == chest(site)


def test_a_code_of_the_department_itself_needs_no_mapping(site: Site) -> None:
    map_code(
        site=site,
        source="link:EHR",
        code="XRCHEST2",
        system="L",
        procedure_id=Procedure.objects.get(site=site, code="XRKNEE2").pk,
        at=AT,
        by="user:a",
    )
    assert order(site, "P1", code="XRCHEST2", system="L").procedure == chest(site)


def test_what_means_nothing_is_refused(site: Site) -> None:
    exam = order(site, "P1")
    browser = signed_in(site)
    for chosen in ("", "x", "999999", "9" * 40):
        said = browser.post(reverse("code-map", args=[exam.pk]), {"procedure": chosen}, follow=True)
        assert "Choose one" in said.content.decode()
    with pytest.raises(WrongState):
        map_code(
            site=site, source="link:EHR", code="", system="", procedure_id=chest(site).pk, at=AT, by="user:a"
        )
    assert not CodeMapping.objects.exists()


def test_a_stranger_other_roles_and_other_sites_map_nothing(site: Site) -> None:
    exam = order(site, "P1")
    form = reverse("code-map", args=[exam.pk])
    assert Client().post(form).status_code == 302
    assert Client().get(reverse("codes")).status_code == 302
    for browser in (signed_in(site, Role.PORTER), signed_in(make_site(code="U"))):
        assert browser.post(form, {"procedure": chest(site).pk}).status_code == 404
    assert signed_in(site, Role.PORTER).get(reverse("codes")).status_code == 404
    assert "Every code is known" in signed_in(make_site(code="V")).get(reverse("codes")).content.decode()
    assert not CodeMapping.objects.exists()
