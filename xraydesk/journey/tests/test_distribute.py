"""Images that can be read: told once, the reader on call of a STAT called, the cover after them, and an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.factories import AT, make_exam
from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey import distribute, route
from xraydesk.journey.errors import WrongState
from xraydesk.journey.tests.performing import (
    PACS,
    begun,
    facts,
    header,
    minutes,
    received,
    site_with_pacs,
    told,
)
from xraydesk.orders.models import Exam
from xraydesk.results.models import Report
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.on_call import on_call_at
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, OnCallRole, RoutePlan

pytestmark = pytest.mark.django_db
THEN = AT + timedelta(minutes=3)
ALWAYS = dict.fromkeys(WEEKDAYS, ((datetime.min.time(), datetime.min.time()),))
BERG = OnCallPlan("BERG", "Dr Berg", ALWAYS, phone="ext. 1")
LEE = OnCallPlan("LEE", "Dr Lee", ALWAYS, phone="ext. 2")
TEAM = OnCallPlan("TEAM", "Trauma team", ALWAYS, OnCallRole.TEAM, phone="ext. 3")
AWAY = DestinationPlan("AWAY", "AWAY", "a.example", 2762, outside=True, tls=True)


def site_with(*people: OnCallPlan) -> Site:
    site = site_with_pacs(PACS, AWAY)
    plan = replace(from_json(site.plan), on_call=people, routes=(RoutePlan("All away", to=("AWAY",)),))
    site.plan = to_json(plan)
    site.save()
    return site


def sent(exam: Exam, destination: str = "PACS", *, at: datetime = THEN) -> None:
    route.queue_deliveries(exam_id=exam.pk, at=at)
    for delivery in Delivery.objects.filter(image__exam=exam, destination=destination, state="waiting"):
        route.record_sent(delivery_id=delivery.pk, at=at)


def performed(site: Site, images: int = 2, **fields: str) -> Exam:
    exam = make_exam(site, **fields)
    uid = begun(site, exam)
    for number in range(images):
        received(site, header(exam), at=AT + timedelta(seconds=number))
    told(site, uid, StepState.COMPLETED)
    return exam


def texts(site: Site) -> list[str]:
    found = Item.objects.filter(site=site, closed_at=None).exclude(kind=ItemKind.CHECK_MISSING)
    return list(found.order_by("id").values_list("text", flat=True))


def available(exam: Exam) -> list[Fact]:
    return list(Fact.objects.filter(accession=exam.accession, kind=FactKind.IMAGES_AVAILABLE).order_by("id"))


def test_images_can_be_read_once_all_are_at_a_destination_of_the_house_and_that_is_told_once() -> None:
    site = site_with()
    exam = performed(site)
    sent(exam, "AWAY")
    assert available(exam) == []
    first = Delivery.objects.filter(destination="PACS").first()
    route.record_sent(delivery_id=first.pk, at=AT + minutes(2))
    assert available(exam) == []
    sent(exam)
    (fact,) = available(exam)
    assert (fact.at, fact.data["destination"]) == (AT + minutes(3), "PACS")
    assert datetime.fromisoformat(fact.data["last"]) == AT + timedelta(seconds=1)
    received(site, header(exam), at=AT + minutes(5))
    sent(exam, at=AT + minutes(6))
    assert [one.at for one in available(exam)] == [AT + minutes(3), AT + minutes(6)]
    assert texts(site) == []


def test_for_a_stat_the_reader_on_call_and_the_team_are_to_be_told_and_opening_ends_it() -> None:
    site = site_with(BERG, LEE, TEAM)
    exam = performed(site, priority="stat")
    routine = performed(site)
    sent(routine)
    assert texts(site) == []
    with pytest.raises(WrongState, match="nowhere yet"):
        distribute.opened(exam_id=exam.pk, at=AT, by="user:r")
    sent(exam)
    reader, team = texts(site)
    assert reader.startswith("Call Dr Berg, ext. 1.")
    assert team.startswith("Tell Trauma team, ext. 3:")
    assert (
        distribute.somebody_told(exam_id=exam.pk, team=True, at=AT + minutes(4), by="user:c") == "Trauma team"
    )
    assert distribute.somebody_told(exam_id=exam.pk, team=False, at=AT + minutes(5), by="user:c") == "Dr Berg"
    (waits,) = texts(site)
    assert waits.startswith("Dr Berg was told at 10:05")
    distribute.opened(exam_id=exam.pk, at=AT + minutes(6), by="user:r")
    assert texts(site) == []
    assert facts(exam)[-3:] == ["reader told", "reader told", "images opened"]
    with pytest.raises(WrongState, match="opened already"):
        distribute.opened(exam_id=exam.pk, at=AT + minutes(7), by="user:r")
    with pytest.raises(WrongState, match="Nobody is to be told"):
        distribute.somebody_told(exam_id=exam.pk, team=False, at=AT + minutes(7), by="user:r")
    received(site, header(exam), at=AT + minutes(8))
    sent(exam, at=AT + minutes(9))
    assert len(available(exam)) == 2
    assert texts(site) == []


def test_who_covers_is_called_when_nobody_opened_a_stat_in_time() -> None:
    site = site_with(BERG, LEE)
    exam = performed(site, priority="stat")
    sent(exam, at=AT)
    assert distribute.pass_on_unopened(site=site, at=AT + minutes(9)) == 0
    assert distribute.pass_on_unopened(site=site, at=AT + minutes(10)) == 1
    assert distribute.pass_on_unopened(site=site, at=AT + minutes(30)) == 0
    (text,) = texts(site)
    assert text.startswith("Call Dr Lee, ext. 2. The images of STAT exam")
    assert "at PACS" in text
    assert facts(exam)[-1] == "passed to the covering reader"
    assert distribute.somebody_told(exam_id=exam.pk, team=False, at=AT + minutes(31), by="user:c") == "Dr Lee"


def test_where_nobody_is_on_that_is_said_and_a_site_without_a_file_passes_nothing_on() -> None:
    site = site_with(replace(BERG, hours={}), TEAM)
    exam = performed(site, priority="stat")
    sent(exam)
    assert texts(site)[0].startswith("Nobody is on call to read")
    assert distribute.pass_on_unopened(site=site, at=AT + minutes(30)) == 0
    assert (
        distribute.somebody_told(exam_id=exam.pk, team=False, at=AT + minutes(31), by="user:c") == "somebody"
    )
    site.plan = {}
    assert distribute.pass_on_unopened(site=site, at=AT) == 0


def test_a_report_ends_the_calling_and_one_that_was_read_is_called_for_nobody() -> None:
    site = site_with(BERG)
    exam = performed(site, priority="stat")
    sent(exam)
    distribute.was_read(exam_id=exam.pk, at=AT + minutes(5))
    assert len(texts(site)) == 1
    Report.objects.create(site=site, exam=exam, state="final", version=1, said_at=AT, changed_at=AT)
    distribute.was_read(exam_id=exam.pk, at=AT + minutes(5))
    assert texts(site) == []
    received(site, header(exam), at=AT + minutes(8))
    sent(exam, at=AT + minutes(9))
    assert texts(site) == []
    assert on_call_at((BERG,), wall=datetime(2026, 3, 2), location="", role=OnCallRole.TEAM) == ()
