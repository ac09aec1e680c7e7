"""What `xraydesk read` prints of HL7."""

from __future__ import annotations

from xraydesk.links.hl7.describe import describe
from xraydesk.links.hl7.tests.sent import order, result


def test_an_order_is_described_as_the_contract_says() -> None:
    (found,) = describe(order(control="C1", name="Pr\\T\\fer^Ada").encode())
    assert (found["kind"], found["type"], found["control_id"]) == ("hl7", "ORM^O01", "C1")
    assert found["patient"]["ids"] == [{"id": "N1", "authority": "HOSP", "type": "MR"}]
    assert found["patient"]["name"]["family"] == "Pr&fer"
    assert found["patient"]["birth_date"] == "1969-05-12"
    assert found["patient"]["sex"] == "F"
    (one,) = found["orders"]
    assert one["procedure"] == {"code": "XRCHEST2", "text": "Chest 2 views", "system": "L"}
    assert (one["placer"], one["control"], one["status"], one["priority"]) == ("P1", "NW", "", "R")
    assert one["scheduled"] == "2026-03-02T10:30:00"


def test_what_cannot_be_read_is_printed_as_it_was_written() -> None:
    (found,) = describe(
        b"MSH|^~\\&|||||yesterday||ORM^O01|1\rPID|||1||A||Aug 15, 1942\rOBR|1|P1|||S||||||||||||||||||||||1^^^soon\r"
    )
    assert found["at"] == "yesterday"
    assert found["patient"]["birth_date"] == "Aug 15, 1942"
    assert (found["orders"][0]["scheduled"], found["orders"][0]["control"]) == ("soon", "")


def test_a_message_without_a_patient_says_so() -> None:
    (found,) = describe(b"MSH|^~\\&|||||||ACK|1\rMSA|AA|2\r")
    assert found["patient"] is None
    assert found["orders"] == []


def test_each_step_of_an_imaging_order_is_an_order_of_its_own() -> None:
    raw = b"MSH|^~\\&|||||||OMI^O23|1\rPID|||1\rORC|NW|P\rOBR|1|P||A\rIPC|X1|R1|1.2\rIPC|X2|R2|1.3\r"
    assert [(o["accession"], o["study_instance_uid"]) for o in describe(raw)[0]["orders"]] == [
        ("X1", "1.2"),
        ("X2", "1.3"),
    ]


def test_a_report_is_described_beside_its_order() -> None:
    values = ("OBX|1|TX|GDT||Clear lungs.|||AA|||F", "OBX|2|TX|&IMP||Fine.")
    (found,) = describe(result(accession="A1", filler="F1", values=values).encode())
    assert found["type"] == "ORU^R01"
    assert found["orders"][0]["result_status"] == "F"
    assert found["results"] == [
        {
            "accession": "A1",
            "filler": "F1",
            "placer": "P1",
            "study_instance_uid": "",
            "state": "final",
            "text": "Clear lungs.",
            "impression": "Fine.",
            "attachments": [],
            "category": 1,
            "radiologist": {"id": "99", "name": "Reader^Rita"},
        }
    ]


def test_an_order_and_a_report_without_a_text_have_no_results() -> None:
    for message in (order(), result(text="")):
        assert describe(message.encode())[0]["results"] == []
