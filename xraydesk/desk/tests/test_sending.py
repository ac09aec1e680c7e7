"""Images on their way: what the exam's page says of it, the queues, what was given up, and rules that are tried."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.urls import reverse

from tests.factories import AT, make_exam
from xraydesk.desk.tests.people import signed_in
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.tests.performing import PACS, begun, header, received, site_with_pacs, told
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.plan import DestinationPlan, RoutePlan

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
