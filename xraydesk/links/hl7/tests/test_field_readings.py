"""What is read of each field of a message, today and under rules that are tried."""

from __future__ import annotations

import pytest

from xraydesk.links.hl7.field_readings import PATIENT, FieldCompared, compared, read_fields, why_refused
from xraydesk.links.hl7.field_rules import as_ruled
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.tests.sent import adt, order
from xraydesk.siteplan.link_plan import FieldRule, LinkField, OrderControl


@pytest.mark.parametrize("name", LinkField)
def test_each_field_that_a_rule_fills_is_seen_to_be_read(name: LinkField) -> None:
    message = read_message(order().replace("PID|1", "ZXX|LT\rPID|1", 1).encode())
    ruled = as_ruled(message, (FieldRule(name, ("ZXX-1",)),))
    was, now = read_fields(message, "UTC"), read_fields(ruled, "UTC")
    assert name in {key[1] for key in {*was, *now} if was.get(key) != now.get(key)}


def test_fields_stand_in_the_order_of_the_message_each_with_its_exam() -> None:
    message = read_message(
        order(extra="ZDS|A77\rORC|NW|P2^EHR\rOBR|1|P2^EHR||XRHAND\rTQ1|1||||||||S").encode()
    )
    found = compared(message, as_ruled(message, (FieldRule(LinkField.ACCESSION, ("ZDS-1",)),)), "UTC")
    assert found[0] == FieldCompared(PATIENT, LinkField.PATIENT_ID, "N1 of HOSP", "N1 of HOSP")
    assert [one.exam for one in found] == sorted(one.exam for one in found)
    assert [one for one in found if one.differs] == [FieldCompared(1, LinkField.ACCESSION, "", "A77")]
    assert FieldCompared(2, LinkField.PROCEDURE_CODE, "XRHAND", "XRHAND") in found
    assert FieldCompared(2, LinkField.PRIORITY, "stat (S)", "stat (S)") in found


def test_it_is_told_why_an_order_would_not_be_taken() -> None:
    no_number = read_message(order(placer="").encode())
    assert "no placer number" in why_refused(no_number, "UTC")
    assert why_refused(as_ruled(no_number, (FieldRule(LinkField.PLACER, ("MSH-10",)),)), "UTC") == ""
    assert why_refused(read_message(order(action="SN").encode()), "UTC") == ""
    assert why_refused(read_message(order(action="RF").encode()), "UTC") != ""
    assert "NA gives an order number" in why_refused(read_message(order(action="NA").encode()), "UTC")
    status = read_message(order(action="SC").encode())
    assert why_refused(status, "UTC") != ""
    assert why_refused(status, "UTC", {"SC": OrderControl.NEWS}) == ""
    assert why_refused(read_message(adt("A08", control="C1").encode()), "UTC") == ""
