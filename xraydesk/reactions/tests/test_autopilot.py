"""After triage the desk lets others give way by itself, where the site wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from tests.factories import AT, make_booking, make_site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.autopilot import BY_AUTOPILOT, _left_alone, let_in
from xraydesk.journey.book import as_told, tell_booking
from xraydesk.journey.propose import propose_for
from xraydesk.journey.tests.test_autopilot import WIDE, full, steered
from xraydesk.journey.tests.test_book import set_policies
from xraydesk.journey.tests.test_rearrange import done, stat
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.links.outgoing.tests.test_tell import outlink
from xraydesk.orders.models import Exam
from xraydesk.reactions.run import react_to
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.link_plan import Sends
from xraydesk.siteplan.policies import AutopilotPlan
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("on", [True, False])
def test_an_accepted_stat_is_let_in_once_however_often_the_reaction_runs(
    on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    site = steered(on=on)
    full(site)
    exam = stat(site)
    fact = record(
        site_id=site.pk,
        kind=FactKind.EXAM_ACCEPTED,
        at=AT,
        by="rule",
        accession=exam.accession,
        patient=exam.patient_id,
    )
    react_to(fact.pk)
    react_to(fact.pk)
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.booked_by == (BY_AUTOPILOT if on else "rule")
    assert Rearrangement.objects.count() == on


def told(exam: Exam, others: list[Exam], *, since: int) -> list[tuple[str, str, list[str]]]:
    """What went out of these exams by facts from `since` on: type, for whom, and every segment but MSH, numbers aside."""
    names = {e.accession: f"exam {n}" for n, e in enumerate((exam, *others))}
    for fact in Fact.objects.filter(pk__gte=since, accession__in=names).order_by("pk"):
        react_to(fact.pk)
    found = []
    for message in Message.objects.filter(direction="out", fact__gte=since, accession__in=names).order_by(
        "fact", "pk"
    ):
        who = Exam.objects.select_related("order", "patient").get(accession=message.accession)
        text = bytes(message.raw).decode()
        for own in (
            who.order.placer,
            who.accession,
            *who.patient.identifiers.values_list("value", flat=True),
        ):
            text = text.replace(own, "#")
        segments = [s for s in text.split("\r") if s[:3] not in ("MSH", "")]
        found.append((message.type, names[message.accession], segments))
    return found


def test_a_stat_that_the_desk_lets_in_is_told_to_the_ehr_as_one_that_a_person_lets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    heard = []
    for code, by_person in (("T", False), ("U", True)):
        site = make_site(code, rooms=1)
        set_policies(site, autopilot=AutopilotPlan(**(WIDE | {"on": not by_person})))
        plan = replace(from_json(site.plan), outlinks=(outlink(sends=(Sends.APPOINTMENTS, Sends.STATUS)),))
        site.plan = to_json(plan)
        site.save()
        others = full(site)
        Booking.objects.filter(exam__in=others).update(time_was_given=True)
        for other in others:
            booked = live_booking(other.pk)
            assert booked is not None
            with transaction.atomic():
                tell_booking(other, FactKind.EXAM_BOOKED, booked, at=AT, by="rule", data=as_told(booked))
            react_to(Fact.objects.order_by("-pk")[0].pk)
        exam = stat(site)
        since = Fact.objects.order_by("-pk")[0].pk + 1
        if by_person:
            keep = _left_alone(site, at=AT)
            done(site, propose_for(site=site, accession=exam.accession, at=AT, keep=keep), keep=keep)
        else:
            assert let_in(exam_id=exam.pk, at=AT) is not None
        heard.append(told(exam, others, since=since))
    desk, person = heard
    assert desk == person
    assert next(kind for kind, who, _ in desk if who == "exam 0") == "SIU^S12"
    assert any(kind == "SIU^S13" for kind, who, _ in desk if who != "exam 0")


def raised_by(fact: FactKind, **data: object) -> Rearrangement | None:
    """What the desk does once an exam that has a place late in the morning was raised, as a fact tells."""
    site = steered()
    full(site, minutes=170)
    exam = stat(site)
    make_booking(exam, start=AT + timedelta(minutes=170))
    with transaction.atomic():
        told_of = record(
            site_id=site.pk, kind=fact, at=AT, by="link:EHR", accession=exam.accession, data=data
        )
    react_to(told_of.pk)
    react_to(told_of.pk)
    return Rearrangement.objects.first()


@pytest.mark.parametrize(
    ("fact", "data", "acts"),
    [
        (FactKind.PRIORITY_CHANGED, {"to": "stat"}, True),
        (FactKind.ORDER_CHANGED, {"changed": ["priority"]}, True),
        (FactKind.ORDER_CHANGED, {"changed": ["reason"]}, False),
    ],
)
def test_an_exam_that_is_raised_where_it_stands_is_looked_at_as_a_new_one(
    fact: FactKind, data: dict[str, object], acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    assert (raised_by(fact, **data) is not None) == acts
    assert Rearrangement.objects.count() == acts
