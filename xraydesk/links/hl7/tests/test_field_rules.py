"""What a sender puts elsewhere is read where it is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.factories import plan_with
from xraydesk.access.models import Site
from xraydesk.links.hl7.describe import describe_message, differences
from xraydesk.links.hl7.field_rules import TARGETS, as_ruled
from xraydesk.links.hl7.order import read_requisitions
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import header, order
from xraydesk.links.messages import read_under
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import RequestedExam
from xraydesk.siteplan.link_plan import FieldRule, LinkField

RULE = FieldRule(LinkField.ACCESSION, ("ZDS-1",))


def exams(raw: str, *rules: FieldRule) -> list[RequestedExam]:
    message = as_ruled(read_message(raw.encode()), rules)
    return [exam for order in read_requisitions(message, zone="UTC") for exam in order.exams]


def exam(raw: str, *rules: FieldRule) -> RequestedExam:
    (one,) = exams(raw, *rules)
    return one


def test_without_rules_a_message_is_read_as_it_is() -> None:
    message = read_message(order().encode())
    assert as_ruled(message, ()) is message


def test_every_field_of_a_site_file_has_its_places() -> None:
    assert set(TARGETS) == set(LinkField)


def test_the_first_place_that_is_filled_counts_and_an_empty_one_changes_nothing() -> None:
    rule = FieldRule(LinkField.ACCESSION, ("ZDS-1", "OBR-20.2.2"))
    assert exam(order(extra="ZDS|A77^EHR^DICOM"), rule).accession == "A77"
    assert exam(order(), rule).accession == ""
    raw = order().replace("OBR|1|P1^EHR||", "OBR|1|P1^EHR|F9|", 1)
    assert exam(raw, FieldRule(LinkField.ACCESSION, ("ZDS-1", "OBR-3"))).accession == "F9"


@pytest.mark.parametrize(
    ("places", "found"), [("PID-4.2", "B"), ("PID-4.1.2", "Y"), ("PID-4.3", ""), ("PID-4.1.9", "")]
)
def test_parts_of_a_field_are_taken_by_themselves(places: str, found: str) -> None:
    raw = order().replace("||Prüfer^Ada", "|X&Y^B|Prüfer^Ada", 1)
    assert exam(raw, FieldRule(LinkField.CLINICAL_INFORMATION, (places,))).clinical_information == found


def test_a_segment_that_is_missing_is_made_for_what_is_found_elsewhere() -> None:
    rule = FieldRule(LinkField.STUDY_INSTANCE_UID, ("ZST-2",))
    assert exam(order(extra="ZST||1.2.3"), rule).study_instance_uid == "1.2.3"


def test_a_senders_own_words_are_understood() -> None:
    rule = FieldRule(LinkField.PRIORITY, ("OBR-5",), {"1": "S", "2": "A"})
    for said, meant in (("1", "stat"), ("2", "urgent"), ("9", "routine")):
        raw = order().replace("XRCHEST2^Chest 2 views^L|", f"XRCHEST2^Chest 2 views^L|{said}", 1)
        assert exam(raw, rule).priority == meant
        with_timing = raw.replace("OBR|1", "TQ1|1||||||202603021100||R\rOBR|1", 1)
        assert exam(with_timing, rule).priority == meant


def test_each_exam_of_a_message_has_its_own() -> None:
    more = "ZDS|A1\rORC|NW|P2^EHR\rOBR|1|P2^EHR||XRCHEST2\rZDS|A2\rOBR|2|P2^EHR||XRCHEST2\rZDS|A3"
    assert [e.accession for e in exams(order(extra=more), RULE)] == ["A1", "A2", "A3"]


def test_an_imaging_order_has_it_in_its_ipc_too() -> None:
    raw = order(type_="OMI^O23^OMI_O23", extra="IPC|OLD|R1|1.2.3|S1\rZDS|NEW")
    assert exam(raw, RULE).accession == "NEW"


def test_a_side_that_is_said_elsewhere_stands_alone() -> None:
    raw = order().replace("||||||||||||1234^Order", "|||||||||||^^^^L|1234^Order", 1)
    assert exam(raw + "ZXR|R\r", FieldRule(LinkField.LATERALITY, ("ZXR-1",))).laterality == "R"


def test_patient_and_stay_are_taken_once_for_all_orders() -> None:
    rules = (
        FieldRule(LinkField.PATIENT_ID, ("PID-2",)),
        FieldRule(LinkField.WARD, ("ZPV-1",)),
        FieldRule(LinkField.ACCOUNT, ("PV1-50",)),
    )
    raw = order().replace("PID|1||", "PID|1|77^^^HOSP^MR|", 1) + "ZPV|ICU\r"
    (wish,) = read_requisitions(as_ruled(read_message(raw.encode()), rules), zone="UTC")
    assert [i.value for i in wish.patient.identifiers] == ["77"]
    raw = raw.replace("PV1|1|O|RAD^^^HOSP", "ZPV|ICU\rPV1|1|O|RAD^^^HOSP", 1)
    (wish,) = read_requisitions(as_ruled(read_message(raw.encode()), rules), zone="UTC")
    assert (wish.patient.visit.ward, wish.patient.visit.account) == ("ICU", "")


def test_the_separators_of_the_message_hold() -> None:
    raw = (
        header().replace("|", "#").replace("^~\\&", "*!$%")
        + "\rPID#1##N1\rORC#NW#P1\rOBR#1#P1##CODE\rZDS#A$F$7*x\r"
    )
    assert exam(raw, RULE).accession == "A#7"
    (wish,) = exams(raw, FieldRule(LinkField.REASON, ("ZDS-2", "OBR-4"), {"CODE": "a#b*c"}))
    assert wish.reason == "a#b*c"


def test_two_readings_are_told_apart_by_place() -> None:
    raw = read_message(order(extra="ZDS|A77").encode())
    before, now = describe_message(raw), describe_message(as_ruled(raw, (RULE,)))
    assert differences(before, now) == [("orders.1.accession", "", "A77")]
    assert differences([1], [1, {"a": 2}]) == [("2", None, {"a": 2})]
    assert differences(before, before) == []


@pytest.mark.django_db
def test_a_link_reads_by_its_rules_and_the_bytes_stay_as_they_came(
    site: Site, ask: Callable[..., list[str]]
) -> None:
    ruled: Any = replace(EHR, fields=(RULE,))
    site.plan, site.version = plan_with(ruled), 3
    site.save()
    assert ask(order(control="C1", extra="ZDS|A77"))[1] == "MSA|AA|C1"
    assert Exam.objects.get().accession == "A77"
    message = Message.objects.get()
    assert message.site_version == 3
    assert b"ZDS|A77" in bytes(message.raw)
    assert read_under(message, ruled)[0]["orders"][0]["accession"] == "A77"
    assert read_under(message, EHR)[0]["orders"][0]["accession"] == ""
    Message.objects.update(raw=b"noise")
    assert read_under(Message.objects.get(), EHR) == []
