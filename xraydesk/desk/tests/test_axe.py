"""Every page looked at by axe-core: no page keeps anybody out, at either width, in either theme."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import transaction
from django.urls import reverse

from tests.factories import load_demo_site, make_booking, make_exam
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.desk.tests.browser import Desk
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.desk.tests.test_results import report
from xraydesk.imaging.states import StepState
from xraydesk.journey import fetch, tell
from xraydesk.journey.ahead import Wish, hold
from xraydesk.journey.charge import review_charge
from xraydesk.journey.tests import test_trial
from xraydesk.journey.tests.performing import begun, told
from xraydesk.journey.tests.test_charge import image
from xraydesk.journey.trial import run_trial
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.results.models import Finding
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Hold
from xraydesk.trials.models import Trial

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

LONG_NAME = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaft"


def furnished() -> tuple[Site, Exam, Finding]:
    """A department with something on every page."""
    site = load_demo_site()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    lying = make_exam(site)
    Patient.objects.filter(pk=lying.patient_id).update(family=LONG_NAME)
    order = lying.order
    order.patient_class, order.ward, order.bed, order.provider_id = "I", "W3", "12", "7001"
    order.save()
    make_booking(lying, room="XR2", start=clock.now() + timedelta(minutes=30))
    fetch.plan_transport(exam_id=lying.pk, at=clock.now())
    done = make_exam(site)
    Patient.objects.filter(pk=done.patient_id).update(family=LONG_NAME)
    make_booking(done, room="XR3", start=clock.now() - timedelta(minutes=30))
    uid = begun(site, done, ae_title="XR3", at=clock.now() - timedelta(minutes=30))
    image(done, "PA")
    told(site, uid, StepState.COMPLETED, at=clock.now() - timedelta(minutes=20))
    review_charge(exam_id=done.pk, at=clock.now())
    make_exam(site, triage="held")
    room = Room.objects.get(site=site, code="XR5")
    tomorrow = clock.now().replace(second=0, microsecond=0) + timedelta(days=1)
    hold(
        site=site,
        wish=Wish(exam_ids=(make_exam(site, patient=lying.patient, code="XRKNEE2", laterality="L").pk,)),
        places=[Place(room.pk, tomorrow, tomorrow)],
        at=clock.now(),
        by="user:somebody",
    )
    with transaction.atomic():
        (finding,) = tell.look_for_findings(report=report(done), at=clock.now(), by="link:REPORTS")
        raise_item(
            site_id=site.pk, kind=ItemKind.MERGE_REQUESTED, key="x", at=clock.now(), accession=done.accession
        )
    asked = test_trial.asked(site, days=1)
    run_trial(trial_id=asked.pk, now=clock.now, leave=lambda: False)
    return site, done, finding


def pages(exam: Exam, finding: Finding) -> list[str]:
    held = Hold.objects.get()
    return [
        reverse("find-place", args=[held.places[0]["key"]]),
        reverse("hold", args=[held.pk]),
        reverse("maintenance", args=["XR2"]) + "?minutes=60&first=00:00&last=00:00",
        "/",
        f"/?exam={exam.accession}",
        reverse("repair"),
        reverse("repair") + "?room=XR2&until=",
        reverse("rearrange"),
        reverse("attention"),
        reverse("triage"),
        reverse("codes"),
        reverse("connections"),
        reverse("sending"),
        reverse("exam", args=[exam.accession]),
        reverse("exam-check", args=[exam.accession]),
        reverse("exam-worklist", args=[exam.accession]),
        reverse("patient", args=[exam.patient_id]),
        reverse("merge", args=[exam.patient_id, Patient.objects.exclude(pk=exam.patient_id)[0].pk]),
        reverse("rooms"),
        reverse("room", args=["XR2"]),
        reverse("results"),
        reverse("finding", args=[finding.pk]),
        reverse("charges"),
        reverse("jobs"),
        reverse("porter"),
        reverse("measures"),
        reverse("measure", args=["exams"]),
        reverse("trials"),
        reverse("trial", args=[Trial.objects.get().pk]),
        reverse("wall"),
        reverse("guide"),
        reverse("order-new"),
        reverse("day"),
        reverse("messages"),
        reverse("search"),
        reverse("feedback"),
        *(reverse("image", args=[one.pk]) for one in exam.images.all()[:1]),
        reverse("pictures"),
        reverse("intended-use"),
    ]


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_no_page_keeps_anybody_out(desk: Desk, width: int, theme: str) -> None:
    site, exam, finding = furnished()
    page: Any = desk.page(site, width=width, theme=theme, role=Role.COORDINATOR)
    wrong: dict[str, list[str]] = {}
    for address in pages(exam, finding):
        page.goto(desk.address + address)
        found = Axe().run(page).response["violations"]
        told_of = [
            f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['html'][:120]}" for one in found
        ]
        if told_of:
            wrong[address] = told_of
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.setdefault(address, []).append("wider than the window")
    assert wrong == {}
