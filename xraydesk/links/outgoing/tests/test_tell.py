"""What is queued for whom: each fact once, in order, whatever order its reactions run in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from tests.factories import load_demo_site, make_booking, make_exam
from xraydesk.access.models import Site
from xraydesk.billing.models import Charge
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.models import Message
from xraydesk.links.outgoing.tell import tell
from xraydesk.orders.models import Exam
from xraydesk.results.models import Report
from xraydesk.siteplan.plan import OutlinkPlan, Sends
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = pytest.mark.django_db


def outlink(name: str = "EHR-OUT", port: int = 1, sends: tuple[Sends, ...] = tuple(Sends)) -> OutlinkPlan:
    return OutlinkPlan(name, "127.0.0.1", port, sends, "XRAYDESK", "XRAY", "EHR", "HOSP")


def told_site(*outlinks: OutlinkPlan) -> Site:
    site = load_demo_site()
    site.plan = to_json(replace(from_json(site.plan), outlinks=outlinks or (outlink(),)))
    site.save()
    return site


def happened(exam: Exam, kind: FactKind, **data: Any) -> Fact:
    with transaction.atomic():
        return record(
            site_id=exam.site_id, kind=kind, at=clock.now(), by="rule", accession=exam.accession, data=data
        )


def place(start: str = "2026-03-02T15:00:00+00:00", *, given: bool = True) -> dict[str, Any]:
    end = "2026-03-02T15:10:00+00:00"
    return {"room": "XR1", "start": start, "end": end, "technologist": "T01", "given": given}


def queued(exam: Exam, link: str = "EHR-OUT") -> list[str]:
    found = Message.objects.filter(accession=exam.accession, link=link, direction="out").order_by("id")
    return list(found.values_list("type", flat=True))


def test_an_exams_messages_are_in_order_whatever_order_its_reactions_run_in() -> None:
    exam = make_exam(told_site())
    booked = happened(exam, FactKind.EXAM_BOOKED, **place())
    moved = happened(exam, FactKind.EXAM_MOVED, **{"from": place(), "to": place("2026-03-02T15:05:00+00:00")})
    begun = happened(exam, FactKind.EXAM_BEGUN)
    for fact in (begun, booked, moved, begun):
        tell(fact)
    assert queued(exam) == ["SIU^S12", "SIU^S13", "ORM^O01"]
    messages = list(Message.objects.order_by("id"))
    assert [m.fact for m in messages] == [booked.pk, moved.pk, begun.pk]
    assert len({m.control_id for m in messages}) == 3
    moved_to = read_message(bytes(messages[1].raw), fallback="utf-8").first("SCH").get(11, 4)
    assert moved_to.startswith("20260302100500-0500")


def test_a_walk_in_has_no_appointment_until_a_person_gives_a_time() -> None:
    exam = make_exam(told_site())
    tell(happened(exam, FactKind.EXAM_BOOKED, **place(given=False)))
    assert queued(exam) == []
    tell(happened(exam, FactKind.NO_SHOW, **place(given=False)))
    assert queued(exam) == []
    tell(happened(exam, FactKind.EXAM_MOVED, **{"from": place(given=False), "to": place()}))
    assert queued(exam) == ["SIU^S12"]
    make_booking(exam, room="XR2")
    tell(happened(exam, FactKind.EXAM_TAKEN, **{"from": "XR1", "to": "XR2"}))
    assert queued(exam) == ["SIU^S12", "SIU^S13"]


def test_an_appointment_that_was_given_up_is_new_when_it_is_booked_again() -> None:
    exam = make_exam(told_site())
    for kind, data in (
        (FactKind.EXAM_BOOKED, place()),
        (FactKind.PRIORITY_CHANGED, {}),
        (FactKind.BOOKING_RELEASED, place() | {"why": "the patient asked"}),
        (FactKind.PRIORITY_CHANGED, {}),
        (FactKind.EXAM_BOOKED, place()),
        (FactKind.NO_SHOW, place()),
        (FactKind.EXAM_CANCELLED, place()),
    ):
        tell(happened(exam, kind, **data))
    assert queued(exam) == ["SIU^S12", "SIU^S15", "SIU^S12", "SIU^S26", "SIU^S15", "ORM^O01"]


def test_each_system_is_told_of_what_it_asked_for_alone() -> None:
    site = told_site(outlink(sends=(Sends.STATUS,)), outlink("BILLING", 2, (Sends.CHARGES,)))
    exam = make_exam(site)
    tell(happened(exam, FactKind.EXAM_BOOKED, **place()))
    tell(happened(exam, FactKind.EXAM_ENDED))
    now = clock.now()
    charge = Charge.objects.create(
        site=site, exam=exam, number="A-1", state="ready", code="RX", service_at=now, made_at=now
    )
    tell(happened(exam, FactKind.CHARGE_READY, charge=charge.pk))
    tell(happened(exam, FactKind.CHARGE_CREDITED, charge=charge.pk, gone=False))
    tell(happened(exam, FactKind.CHARGE_CREDITED, charge=charge.pk, gone=True))
    tell(happened(exam, FactKind.CHARGE_READY, charge=0))
    assert (queued(exam), queued(exam, "BILLING")) == (["ORM^O01"], ["DFT^P03", "DFT^P03"])
    kinds = [
        read_message(bytes(m.raw), fallback="utf-8").first("FT1").get(6)
        for m in Message.objects.filter(link="BILLING").order_by("id")
    ]
    assert kinds == ["CG", "CD"]


def test_a_copy_of_the_report_goes_out_where_it_was_asked() -> None:
    exam = make_exam(told_site())
    now = clock.now()
    Report.objects.create(
        site=exam.site, exam=exam, state="final", text="Clear.", said_at=now, changed_at=now
    )
    tell(happened(exam, FactKind.REPORT_RECEIVED, state="final"))
    assert queued(exam) == ["ORU^R01"]


def test_what_was_learnt_long_ago_and_what_concerns_nobody_is_not_told() -> None:
    exam = make_exam(told_site())
    with transaction.atomic():
        Fact.objects.create(
            site=exam.site,
            kind=FactKind.EXAM_BEGUN,
            at=clock.now() - timedelta(days=2),
            recorded_at=clock.now() - timedelta(days=2),
            by="rule",
            accession=exam.accession,
        )
    tell(happened(exam, FactKind.EXAM_ENDED))
    assert len(queued(exam)) == 1
    tell(happened(exam, FactKind.NOTE_WRITTEN))
    with transaction.atomic():
        lost = record(
            site_id=exam.site_id, kind=FactKind.EXAM_ENDED, at=clock.now(), by="rule", accession="NOSUCH"
        )
    tell(lost)
    assert Message.objects.count() == 1


def test_a_site_that_tells_nobody_queues_nothing() -> None:
    site = load_demo_site()
    site.plan = to_json(replace(from_json(site.plan), outlinks=()))
    site.save()
    exam = make_exam(site)
    tell(happened(exam, FactKind.EXAM_BEGUN))
    site.plan = {}
    site.save()
    tell(happened(exam, FactKind.EXAM_ENDED))
    assert not Message.objects.exists()


def test_where_nothing_is_known_of_a_place_or_a_report_nothing_is_made_up() -> None:
    exam = make_exam(told_site())
    tell(happened(exam, FactKind.EXAM_BOOKED, given=True))
    tell(happened(exam, FactKind.REPORT_RECEIVED, state="final"))
    assert queued(exam) == []
