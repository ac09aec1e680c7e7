"""What the desk tells other systems: read back by the desk's own reader and by hl7apy."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date

import pytest
from hl7apy.parser import parse_message

from tests.factories import AT
from xraydesk.facts.kinds import FactKind
from xraydesk.links.hl7.appointment import (
    CHANGED,
    ENDED,
    KINDS,
    PLACED,
    AppointmentTold,
    Event,
    appointment_segments,
    event_for,
    still_told,
)
from xraydesk.links.hl7.document_out import document_kind, document_segments
from xraydesk.links.hl7.merging import MERGES, read_merges
from xraydesk.links.hl7.order import groups_of
from xraydesk.links.hl7.outgoing_header import OrderTold, PatientTold, message
from xraydesk.links.hl7.patient_out import (
    changed_segments,
    merged_segments,
    moved_segments,
    parted_segments,
)
from xraydesk.links.hl7.reader import Message, Segment, read_message
from xraydesk.links.hl7.report import read_reports
from xraydesk.links.hl7.report_out import DocumentTold, ReportTold, report_segments
from xraydesk.links.hl7.status import status_segments
from xraydesk.results.states import ReportState
from xraydesk.siteplan.link_plan import OutlinkPlan, Sends, Version

TO = OutlinkPlan("EHR-OUT", "127.0.0.1", 1, tuple(Sends), "XRAYDESK", "XRAY", "EHR", "HOSP")
ADA = PatientTold(
    (("N1", "HOSP", "MR"), ("7", "", "")),
    "Prü|fer",
    "Ada^x",
    "M",
    date(1969, 5, 12),
    "F",
    "I",
    "W3",
    "12",
    "V1",
)
KNEE = OrderTold("P1", "EHR", "A1", "A1", "XRKNEE2", "Knee & leg\r2 views", "L", "S", "7001", "Okafor, Ngozi")
PLACE = AppointmentTold(AT, 12, "XR2", "XR2 General", "T01", "moved")


def wire(kind: tuple[str, str, str], segments: list[Segment]) -> tuple[Message, str]:
    raw = message(kind, segments, number="S7", to=TO, at=AT)
    return read_message(raw, fallback="utf-8"), raw.decode()


def test_who_is_told_and_of_whom_is_read_as_it_was_meant_and_nothing_adds_a_field() -> None:
    """Row 14."""
    read, raw = wire(("SIU", "S12", "SIU_S12"), appointment_segments(Event.NEW, KNEE, ADA, PLACE))
    assert (read.type, read.control_id, read.header.get(18)) == ("SIU^S12", "S7", "UNICODE UTF-8")
    assert [read.header.get(n) for n in (3, 4, 5, 6)] == ["XRAYDESK", "XRAY", "EHR", "HOSP"]
    pid = read.first("PID")
    assert (pid.get(5), pid.get(5, 2), pid.get(7), pid.get(8)) == ("Prü|fer", "Ada^x", "19690512", "F")
    assert (pid.get(3), pid.get(3, 4), pid.get(3, 5)) == ("N1", "HOSP", "MR")
    pv1 = read.first("PV1")
    assert (pv1.get(2), pv1.get(3), pv1.get(3, 3), pv1.get(19)) == ("I", "W3", "12", "V1")
    assert [s.name for s in read.segments] == ["MSH", "SCH", "PID", "PV1", "RGS", "AIS", "AIL", "AIP"]
    assert raw.count("\r") == 8


@pytest.mark.parametrize(
    ("event", "status"),
    [("S12", "Booked"), ("S13", "Booked"), ("S14", "Booked"), ("S15", "Cancelled"), ("S26", "Noshow")],
)
def test_an_appointment_says_when_where_with_whom_and_how_it_stands(event: str, status: str) -> None:
    read, raw = wire(("SIU", event, "SIU_S12"), appointment_segments(Event(event), KNEE, ADA, PLACE))
    sch = read.first("SCH")
    assert (sch.get(1), sch.get(1, 2), sch.get(2), sch.get(25), sch.get(26)) == (
        "P1",
        "EHR",
        "A1",
        status,
        "P1",
    )
    assert sch.get(11, 4).startswith("20260302150000")
    assert sch.get(11, 5).startswith("20260302151200")
    assert [sch.get(n, 2) for n in (12, 16, 20)] == ["Okafor, Ngozi", "X-ray desk", "X-ray desk"]
    assert read.first("AIS").get(3) == "XRKNEE2"
    assert read.first("AIL").get(3) == "XR2"
    assert read.first("AIP").get(3) == "T01"
    assert parse_message(raw).name.startswith("SIU_S12")


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(PLACE, technologist="", reason="")
    order = replace(KNEE, placer_authority="", provider_number="", provider_name="")
    patient = replace(ADA, birth_date=None, ward="", patient_class="", identifiers=())
    read, _ = wire(("SIU", "S12", "SIU_S12"), appointment_segments(Event.NEW, order, patient, bare))
    assert not list(read.all("AIP"))
    assert (read.first("SCH").get(7, 2), read.first("SCH").get(12)) == ("", "")
    assert (read.first("PID").get(7), read.first("PV1").get(2), read.first("PV1").get(3)) == ("", "U", "")


def test_no_appointment_goes_out_for_a_time_that_nobody_gave_and_one_that_is_out_is_kept_right() -> None:
    for kind, is_told, is_given in itertools.product(FactKind, (True, False), (True, False)):
        event = event_for(kind, is_told=is_told, is_given=is_given)
        if kind not in KINDS:
            assert event is None, kind
        elif is_told:
            wanted = (
                Event.MOVED
                if kind in PLACED
                else Event.CANCELLED
                if kind in ENDED
                else Event.CHANGED
                if kind in CHANGED
                else Event.NO_SHOW
            )
            assert event is wanted, kind
        else:
            assert event is (Event.NEW if kind in PLACED and is_given else None), kind
    assert [e for e in Event if not still_told(e)] == [Event.CANCELLED]


@pytest.mark.parametrize(
    ("kind", "control", "status", "result"),
    [
        (FactKind.EXAM_BEGUN, "SC", "IP", "S"),
        (FactKind.EXAM_ENDED, "SC", "CM", "R"),
        (FactKind.EXAM_DISCONTINUED, "SC", "DC", "X"),
        (FactKind.EXAM_CANCELLED, "OC", "CA", "X"),
    ],
)
def test_a_status_carries_filler_and_accession(
    kind: FactKind, control: str, status: str, result: str
) -> None:
    read, raw = wire(("ORM", "O01", "ORM_O01"), status_segments(kind, KNEE, ADA, at=AT))
    (group,) = groups_of(read)
    assert [group.orc.get(n) for n in (1, 2, 3, 5)] == [control, "P1", "A1", status]
    assert [group.obr.get(n) for n in (3, 4, 18, 25)] == ["A1", "XRKNEE2", "A1", result]
    assert parse_message(raw).name.startswith("ORM_O01")


@pytest.mark.parametrize("state", ReportState)
def test_a_copy_of_a_report_is_read_as_it_was_written(state: ReportState) -> None:
    told = ReportTold(state, "Line one\nline | two", "Normal", AT, "99", "Rita Reader", "1.2.3", flagged=True)
    read, raw = wire(("ORU", "R01", "ORU_R01"), report_segments(KNEE, ADA, told))
    (said,) = read_reports(read, zone="UTC")
    assert (said.exam.accession, said.text, said.impression) == ("A1", "Line one\nline | two", "Normal")
    assert said.exam.study_instance_uid == "1.2.3"
    assert said.category == 1
    assert said.said_at == AT
    assert parse_message(raw).name.startswith("ORU_R01")


def test_a_report_without_impression_study_or_reader_says_its_text_alone() -> None:
    told = ReportTold(ReportState.FINAL, "Clear.", "", AT)
    read, _ = wire(("ORU", "R01", "ORU_R01"), report_segments(KNEE, ADA, told))
    assert len(list(read.all("OBX"))) == 1
    (said,) = read_reports(read, zone="UTC")
    assert (said.text, said.category) == ("Clear.", None)


def test_documents_go_out_beside_the_text_and_are_read_as_they_were() -> None:
    documents = (
        DocumentTold("application/pdf", "Chest", b"%PDF-1.4 x"),
        DocumentTold("application/pdf", "", b"%PDF-1.7 y"),
    )
    told = ReportTold(ReportState.FINAL, "Clear.", "", AT, documents=documents)
    read, raw = wire(("ORU", "R01", "ORU_R01"), report_segments(KNEE, ADA, told))
    (said,) = read_reports(read, zone="UTC")
    assert [(one.title, one.content) for one in said.documents] == [
        ("Chest", b"%PDF-1.4 x"),
        ("Report as a document", b"%PDF-1.7 y"),
    ]
    assert parse_message(raw).name.startswith("ORU_R01")
    read, raw = wire(document_kind(told), document_segments(KNEE, ADA, told))
    assert [(s.get(1), s.get(2), s.get(5, 3)) for s in read.all("OBX")] == [
        ("1", "TX", ""),
        ("2", "ED", "pdf"),
        ("3", "ED", "pdf"),
    ]
    assert parse_message(raw).name.startswith("MDM_T02")


@pytest.mark.parametrize(
    ("state", "event", "completion"),
    [
        (ReportState.PRELIMINARY, "T02", "PA"),
        (ReportState.FINAL, "T02", "LA"),
        (ReportState.CORRECTED, "T08", "LA"),
        (ReportState.CANCELLED, "T08", "IN"),
    ],
)
def test_a_report_is_a_document_to_whoever_files_documents(
    state: ReportState, event: str, completion: str
) -> None:
    told = ReportTold(state, "Line one\nline | two", "Normal", AT, "99", "Rita Reader")
    read, raw = wire(document_kind(told), document_segments(KNEE, ADA, told))
    assert (read.type, read.first("EVN").get(1)) == (f"MDM^{event}", event)
    txa = read.first("TXA")
    assert [txa.get(n) for n in (2, 3, 9, 12, 14, 15, 17, 19)] == [
        "DI", "TX", "99", "A1-R", "P1", "A1", completion, "AV",
    ]  # fmt: skip
    assert [s.get(5) for s in read.all("OBX")] == ["Line one", "line | two", "", "Impression", "Normal"]
    assert parse_message(raw).name.startswith("MDM_T02")


def test_a_document_without_impression_or_reader_says_its_text_alone() -> None:
    told = ReportTold(ReportState.FINAL, "Clear.", "", AT)
    read, _ = wire(("MDM", "T02", "MDM_T02"), document_segments(KNEE, ADA, told))
    assert [s.get(5) for s in read.all("OBX")] == ["Clear."]
    assert read.first("TXA").get(9) == ""


def test_news_of_patients_is_read_as_it_was_meant() -> None:
    other = PatientTold((("N2", "HOSP", "MR"),), "", "")
    for kind, body in (
        ("A08", changed_segments(ADA, at=AT)),
        ("A40", merged_segments(ADA, other, at=AT)),
        ("A37", parted_segments(ADA, other, at=AT)),
        ("A45", moved_segments(ADA, other, ["V1", "V2"], at=AT)),
    ):
        read, _ = wire(("ADT", kind, "ADT_A39"), body)
        if kind in MERGES:
            found = read_merges(read, kind, "UTC")
            assert [n.value for n in found[0].patient.identifiers] == ["N1", "7"]
            assert [n.value for n in found[0].prior] == ["N2"]
            assert [m.prior_visit for m in found] == (["V1", "V2"] if kind == "A45" else [""])
        else:
            assert read.first("PID").get(5) == "Prü|fer"


def test_who_asked_goes_out_by_the_parts_of_the_name() -> None:
    """A name is kept as DICOM writes it, prefix before suffix; HL7 has them the other way round."""
    told = replace(KNEE, provider_number="12", provider_name="Order^Otto^M^Dr^Jr")
    assert told.provider_field == ["12", "Order", "Otto", "M", "Jr", "Dr"]
    assert replace(told, provider_name="Dr Order, Otto").provider_field == ["12", "Dr Order, Otto", *[""] * 4]
    assert replace(told, provider_number="", provider_name="").provider_field == ""


NORMAL = replace(ADA, family="Prüfer", given="Ada")
REPORT = ReportTold(
    ReportState.FINAL,
    "Clear.",
    "Normal",
    AT,
    "99",
    "Rita Reader",
    "1.2.3",
    documents=(DocumentTold("application/pdf", "Chest", b"%PDF-1.4 x"),),
)
EVERY_KIND = [
    *((("SIU", str(e), "SIU_S12"), appointment_segments(e, KNEE, NORMAL, PLACE)) for e in Event),
    (("ORU", "R01", "ORU_R01"), report_segments(KNEE, NORMAL, REPORT)),
    (document_kind(REPORT), document_segments(KNEE, NORMAL, REPORT)),
    (("ADT", "A08", "ADT_A01"), changed_segments(NORMAL, at=AT)),
    (("ADT", "A40", "ADT_A39"), merged_segments(NORMAL, ADA, at=AT)),
    (("ADT", "A45", "ADT_A45"), moved_segments(NORMAL, ADA, ["V1"], at=AT)),
]


@pytest.mark.parametrize("version", [v for v in Version if v is not Version.V2_3])
@pytest.mark.parametrize(("kind", "segments"), EVERY_KIND, ids=["^".join(kind[:2]) for kind, _ in EVERY_KIND])
def test_an_independent_reader_finds_every_segment_and_field_that_its_version_wants(
    kind: tuple[str, str, str], segments: list[Segment], version: Version
) -> None:
    """Of 2.3 hl7apy knows no structures: MSH-9 does not name them there."""
    theirs = parse_message(
        message(kind, segments, number="S7", to=replace(TO, version=version), at=AT).decode()
    )
    assert theirs.version == version
    assert theirs.validate()


def test_a_reader_of_an_old_version_is_given_what_that_version_has() -> None:
    (kind, segments), old = EVERY_KIND[0], replace(TO, version=Version.V2_3)
    read = read_message(message(kind, segments, number="S7", to=old, at=AT))
    assert (read.header.raw(9), read.header.get(12)) == ("SIU^S12", "2.3")
    assert len(read.first("SCH").fields) == 25
