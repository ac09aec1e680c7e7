"""What is queued for whom: each fact once, in order, whatever order its reactions run in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from tests.factories import AT, load_demo_site, make_booking, make_exam, make_patient
from xraydesk.access.models import Site
from xraydesk.billing.models import Charge
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.merge import merge_by_hand, receive_merge, undo_merge
from xraydesk.lib import clock
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.models import Message
from xraydesk.links.outgoing.tell import preview, tell, tell_of_patient
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.demographics import Demographics, Identifier, VisitDetails
from xraydesk.patients.merge_rules import MergeKind, MergeNews
from xraydesk.patients.models import Merge
from xraydesk.results.models import Report
from xraydesk.siteplan.link_plan import OutlinkPlan, Sends
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
    assert queued(exam) == ["ORU^R01", "MDM^T02"]


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


def adt(link: str = "EHR-OUT") -> list[str]:
    found = Message.objects.filter(link=link, type__startswith="ADT").order_by("id")
    return [bytes(m.raw).decode().replace("\r", "\n") for m in found]


def merged(site: Site, *, exam: bool = True) -> Merge:
    stays, goes = make_patient(site, number="N1"), make_patient(site, number="N2", family="Unknown", given="")
    if exam:
        Order.objects.filter(pk=make_exam(site, patient=goes).order_id).update(visit_number="V1")
    return merge_by_hand(site=site, stays_id=stays.pk, goes_id=goes.pk, at=AT, by="user:a")


def the_fact(kind: FactKind) -> Fact:
    return Fact.objects.filter(kind=kind).latest("pk")


def test_whoever_keeps_images_is_told_which_record_stays_and_when_it_is_taken_back() -> None:
    site = told_site(outlink(), outlink("BILLING", 2, (Sends.CHARGES,)))
    merge = merged(site)
    for _ in range(2):
        tell_of_patient(the_fact(FactKind.PATIENTS_MERGED))
    (told,) = adt()
    assert "ADT^A40^ADT_A39" in told
    assert "\nPID|1||N1^^^HOSP^MR||" in told
    assert "\nMRG|N2^^^HOSP^MR||||||Unknown" in told
    undo_merge(merge_id=merge.pk, at=AT, by="user:a")
    tell_of_patient(the_fact(FactKind.PATIENTS_PARTED))
    assert "ADT^A37^ADT_A37" in adt()[1]
    assert adt()[1].count("\nPID|") == 2
    assert not adt("BILLING")


PACS = replace(outlink("PACS"), receiving_application="PACS")


def test_a_stay_that_went_over_and_came_back_is_told_as_such() -> None:
    site = told_site(PACS)
    make_patient(site, number="N1")
    wrong = make_patient(site, number="N2")
    Order.objects.filter(pk=make_exam(site, patient=wrong).order_id).update(visit_number="V7")
    said = Demographics((Identifier("N1", "HOSP", "MR"),), visit=VisitDetails(number="V7"))
    news = MergeNews(MergeKind.MOVE_VISIT, said, (Identifier("N2", "HOSP", "MR"),), prior_visit="V7")
    done = receive_merge(site=site, news=news, link="EHR", at=AT, by="link:EHR", why="ADT^A45")
    tell_of_patient(the_fact(FactKind.STAY_MOVED))
    undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:a")
    tell_of_patient(the_fact(FactKind.PATIENTS_PARTED))
    over, back = adt("PACS")
    assert "\nPID|1||N1^" in over
    assert "\nMRG|N2^^^HOSP^MR||||V7" in over
    assert "\nPID|1||N2^" in back


def test_another_name_is_told_of_those_who_have_exams_here_alone_and_not_to_whoever_said_it() -> None:
    site = told_site(PACS, outlink())
    patient = make_exam(site).patient
    nobody = make_patient(site)
    for one, identity in ((patient, True), (patient, False), (nobody, True)):
        with transaction.atomic():
            fact = record(
                site_id=site.pk,
                kind=FactKind.PATIENT_UPDATED,
                at=AT,
                by="link:EHR",
                patient=one.pk,
                data={"identity": identity},
            )
        tell_of_patient(fact)
    (told,) = adt("PACS")
    assert "ADT^A08^ADT_A01" in told
    assert not adt()


def test_a_merge_without_exams_and_a_site_that_tells_nobody_send_nothing() -> None:
    site = told_site()
    merged(site, exam=False)
    tell_of_patient(the_fact(FactKind.PATIENTS_MERGED))
    site.plan = {}
    site.save()
    tell_of_patient(Fact.objects.get(pk=the_fact(FactKind.PATIENTS_MERGED).pk))
    assert not adt()


def test_what_would_be_told_of_an_exam_is_shown_before_anything_goes() -> None:
    exam = make_exam(told_site())
    for kind in (FactKind.EXAM_BOOKED, FactKind.EXAM_BEGUN, FactKind.EXAM_ENDED):
        happened(exam, kind, **(place() if kind is FactKind.EXAM_BOOKED else {}))
    shown = preview(exam, outlink(sends=(Sends.APPOINTMENTS, Sends.STATUS)))
    assert [kind for kind, _ in shown] == ["SIU^S12", "ORM^O01", "ORM^O01"]
    assert exam.accession in shown[1][1]
    assert preview(exam, outlink(sends=(Sends.CHARGES,))) == []
    assert not Message.objects.exists()
