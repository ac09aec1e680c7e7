"""Result messages to reports: states, texts, flags, several exams in one message."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.hl7.reader import Separators, escaped, read_message
from xraydesk.links.hl7.refusals import Condition, Rejected
from xraydesk.links.hl7.report import REPORTS_MAX, TEXT_LENGTH_MAX, read_reports
from xraydesk.links.hl7.tests.sent import obr, result
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.states import Category, ReportAction

P, F, C, X = (ReportAction.PRELIMINARY, ReportAction.FINAL, ReportAction.CORRECT, ReportAction.CANCEL)
STUDY = "1.2.826.0.1.3680043.9.7"


def read(message: str) -> tuple[SaidReport, ...]:
    return read_reports(read_message(message.encode()), zone="America/New_York")


def one(*values: str, **fields: str) -> SaidReport:
    (found,) = read(result(values=values, **fields) if values else result(**fields))
    return found


def test_a_whole_report_is_read() -> None:
    found = one(
        "OBX|1|TX|XR^Chest&GDT||Lungs are clear.~No effusion.||||||F",
        "OBX|2|TX|XR&IMP||No acute finding.||||||F",
        f"OBX|3|HD|113014^DICOM Study^DCM||{STUDY}||||||F",
        accession="A1",
        filler="F1",
    )
    assert found.exam == SaidExam("A1", "F1", STUDY, "P1", "EHR", "XRCHEST2")
    assert (found.action, found.text, found.impression) == (
        F,
        "Lungs are clear.\nNo effusion.",
        "No acute finding.",
    )
    assert (found.radiologist_id, found.radiologist_name) == ("99", "Reader^Rita")
    assert found.said_at == datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
    assert found.patient is not None
    assert found.patient.identifiers[0].value == "N1"
    assert found.patient.birth_date == date(1969, 5, 12)
    assert (found.category, found.attachments, found.shares) == (None, (), False)


@pytest.mark.parametrize(
    ("status", "value", "action"),
    [
        ("P", "F", P),
        ("A", "", P),
        ("R", "", P),
        ("F", "F", F),
        ("F", "P", F),
        ("F", "C", C),
        ("C", "F", C),
        ("X", "X", X),
        ("", "F", F),
        ("", "R", P),
        ("", "W", C),
        ("", "X", X),
        ("", "", P),
        ("?", "F", F),
    ],
)
def test_the_state_is_of_the_order_and_where_it_is_silent_of_the_values(
    status: str, value: str, action: ReportAction
) -> None:
    assert one(f"OBX|1|TX|GDT||Clear.||||||{value}", status=status).action is action


@pytest.mark.parametrize("status", ["I", "S", "O", "Y", "Z"])
def test_nothing_is_read_where_nothing_was_read_yet(status: str) -> None:
    assert read(result(status=status, values=())) == ()


def test_a_report_is_taken_back_without_a_text() -> None:
    assert one(status="X", text="").action is X


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"one\.br\two", "one\ntwo"),
        (r"one\X0D\two", "one\ntwo"),
        (r"one\X0D0A\two", "one\ntwo"),
        (r"5 \T\ 6 \S\ 7 \F\ 8 \R\ 9 \E\ 10", "5 & 6 ^ 7 | 8 ~ 9 \\ 10"),
        ("heart & lungs ^ ribs", "heart & lungs ^ ribs"),
        (r"\H\Bold\N\ words", "Bold words"),
        ("first~~third", "first\n\nthird"),
        ('""', ""),
        ("Größe 3 µm", "Größe 3 µm"),
    ],
)
def test_a_text_has_no_parts_and_its_escapes_are_resolved(written: str, text: str) -> None:
    found = one(f"OBX|1|FT|GDT||{written}||||||F", "OBX|2|TX|&IMP||Done.||||||F")
    assert found.text == text


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_line_end_within_a_text_does_not_end_it(end: str) -> None:
    found = one(f"OBX|1|TX|GDT||the first line{end}and the second line||||||C", "OBX|2|TX|GDT||Third.")
    assert found.text == "the first line\nand the second line\nThird."
    assert found.action is C


def test_addenda_notes_and_other_values_are_told_with_their_names() -> None:
    found = one(
        "OBX|1|ST|XR&ADT||Left means right.||||||F",
        "NTE|1|L|Compared with the films of May.~Seen twice.",
        "OBX|2|NM|^Heart width||14.5|cm|||||F",
        "OBX|3|CWE|^Quality||G^Good^L||||||F",
        "OBX|4|CE|||X^^L||||||F",
        "OBX|5|NM|^Nothing||||||||F",
        "OBX|6|TX|19005-8^Impression^LN||Fine.||||||F",
        "OBX|7|TX|^IMPRESSION||Very fine.||||||F",
    )
    assert found.text.split("\n") == [
        "Addendum:",
        "Left means right.",
        "Compared with the films of May.",
        "Seen twice.",
        "Heart width: 14.5 cm",
        "Quality: Good",
        "X",
    ]
    assert found.impression == "Fine.\nVery fine."


def test_a_document_comes_with_its_bytes_beside_the_text() -> None:
    body = base64.b64encode(b"%PDF-1.4 x").decode()
    value = "OBX|{}|ED|18748-4^Diagnostic Imaging Report^LN||^application^pdf^Base64^{}||||||F"
    found = one("OBX|1|TX|GDT||Clear.||||||F", value.format(2, f"{body[:4]}\\X0D\\{body[4:]}"))
    (document,) = found.documents
    assert (document.content, document.title) == (b"%PDF-1.4 x", "Diagnostic Imaging Report")
    assert found.attachments == ()
    assert found.whole_text == f"Clear.\nKept with the report: {document.words}"
    assert one(value.format(1, body)).documents == (document,)
    for told in (value.format(1, "%%%"), value.format(1, body).replace("Base64", "Hex")):
        assert (one(told).documents, len(one(told).attachments)) == ((), 1)
    many = one(*(value.format(n, body) for n in range(1, 23)))
    assert (len(many.documents), len(many.attachments)) == (20, 2)


def test_a_document_is_named_and_is_no_text() -> None:
    values = ("OBX|1|ED|18748-4^Diagnostic Imaging Report^LN||^application^pdf^Base64^{}||||||F",)
    first, second = (one(values[0].format(body)) for body in ("QUJD", "QUJE"))
    assert first.text == ""
    assert first.attachments[0].startswith("application/pdf “Diagnostic Imaging Report”, mark ")
    assert first.attachments != second.attachments
    assert one("OBX|1|RP|||https://x||||||F").attachments[0].startswith("document, mark ")


@pytest.mark.parametrize(
    ("value", "category"),
    [
        ("OBX|2|TX|GDT||Air.|||AA|||F", 1),
        ("OBX|2|TX|GDT||Air.|||A~HH|||F", 1),
        ("OBX|2|TX|GDT||Air.|||A|||F", None),
        ("OBX|2|NM|^Critical finding||2||||||F", 2),
        ("OBX|2|ST|ACTIONABLE FINDING||Category 3||||||F", 3),
        ("OBX|2|ST|^Critical||Y||||||F", 1),
        ("OBX|2|ST|^Critical||yes||||||F", 1),
        ("OBX|2|ST|^Critical||N||||||F", None),
        ("OBX|2|ST|^Critical finding||Air of 3 cm.||||||F", None),
    ],
)
def test_a_flag_is_read(value: str, category: int | None) -> None:
    assert one("OBX|1|TX|GDT||Chest.", value).category == category


def test_several_exams_share_the_text_of_the_one_that_has_it() -> None:
    first, second, third = read(
        result(
            values=(
                obr(filler="F2", code="XRKNEE2", accession="A2"),
                "OBX|1|TX|GDT||Chest and knee.|||AA|||F",
                obr(filler="F3", code="XRHAND", accession="A3", status="P"),
            ),
            accession="A1",
        )
    )
    assert {r.text for r in (first, second, third)} == {"Chest and knee."}
    assert [r.exam.accession for r in (first, second, third)] == ["A1", "A2", "A3"]
    assert [r.shares for r in (first, second, third)] == [True, False, True]
    assert [r.category for r in (first, second, third)] == [None, Category.MINUTES, None]
    assert [r.action for r in (first, second, third)] == [F, F, P]


def test_an_exam_with_a_flag_of_its_own_shares_the_text_and_keeps_the_flag() -> None:
    first, _ = read(
        result(
            accession="A1",
            values=(
                "OBX|1|ST|^Critical||1||||||F",
                obr(filler="F2", code="XRKNEE2", accession="A2"),
                "OBX|1|TX|GDT||Knee.||||||F",
            ),
        )
    )
    assert (first.text, first.category, first.shares) == ("Knee.", Category.MINUTES, False)


def test_each_exam_keeps_its_own_text() -> None:
    found = read(
        result(
            values=(
                "OBX|1|TX|GDT||Chest.||||||F",
                obr(filler="F2", code="XRKNEE2", accession="A2"),
                "OBX|1|TX|GDT||Knee.||||||F",
            ),
            accession="A1",
        )
    )
    assert [(r.exam.accession, r.text) for r in found] == [("A1", "Chest."), ("A2", "Knee.")]


def test_several_parts_about_one_exam_are_one_report() -> None:
    again = obr(accession="A1")
    (both,) = read(
        result(
            accession="A1",
            values=(
                "OBX|1|TX|GDT||Chest.|||AA|||F",
                again,
                "OBX|1|TX|GDT||Addition.||||||F",
                "OBX|1|TX|&IMP||Well.",
            ),
        )
    )
    assert (both.text, both.impression, both.category) == ("Chest.\nAddition.", "Well.", Category.MINUTES)
    (first,) = read(result(accession="A1", values=("OBX|1|TX|GDT||Chest.||||||F", again)))
    (second,) = read(result(accession="A1", values=(again, "OBX|1|TX|GDT||Chest.||||||F")))
    assert first.text == second.text == "Chest."
    assert not first.shares
    assert not second.shares


@pytest.mark.parametrize(
    ("values", "study"),
    [
        ((f"OBX|2|ST|^Study Instance UID||{STUDY}",), STUDY),
        ((f"OBX|2|ST|113014^DICOM Study^DCM||urn:oid:{STUDY}",), STUDY),
        (("OBX|2|ST|113014^DICOM Study^DCM||no uid",), ""),
        ((f"ZDS|{STUDY}^RIS^Application^DICOM",), STUDY),
        ((f"OBX|2|ST|^Series Instance UID||{STUDY}",), ""),
    ],
)
def test_the_study_is_found(values: tuple[str, ...], study: str) -> None:
    found = one("OBX|1|TX|GDT||Clear.||||||F", *values)
    assert (found.exam.study_instance_uid, found.text) == (study, "Clear.")


@pytest.mark.parametrize(
    ("reader", "number", "name"),
    [
        ("99&Reader&Rita&M&Jr&Dr", "99", "Reader^Rita^M^Dr^Jr"),
        ("99^Reader^Rita", "99", "Reader^Rita"),
        ("99", "99", ""),
        ("99^20260302", "99", ""),
        ("", "7", "Observer^Otto"),
    ],
)
def test_who_read_it_is_read_as_old_and_new_senders_write_it(reader: str, number: str, name: str) -> None:
    found = one("OBX|1|TX|GDT||Clear.||||||F|||||7^Observer^Otto", reader=reader)
    assert (found.radiologist_id, found.radiologist_name) == (number, name)


def test_when_it_was_said_is_of_the_order_the_values_or_the_message() -> None:
    value = "OBX|1|TX|GDT||Clear.||||||F|||20260302120000"
    assert one(value, said="").said_at == datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
    assert one(said="").said_at == datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_a_report_without_a_patient_or_an_order_number_is_read() -> None:
    message = result().split("\r")
    without = "\r".join(line for line in message if not line.startswith(("PID", "ORC")))
    (found,) = read(without.replace("OBR|1|P1^EHR|", "OBR|1||"))
    assert found.patient is None
    assert found.exam.placer == ""


@pytest.mark.parametrize(
    ("message", "condition", "words"),
    [
        (result().replace("OBR|", "ZZZ|"), Condition.SEGMENT_SEQUENCE, "no OBR"),
        (result().replace("PV1|", "PID|2||N2\rPV1|"), Condition.SEGMENT_SEQUENCE, "more than one patient"),
        (result(text=""), Condition.FIELD_MISSING, "no text"),
        (
            result(values=("OBR|2||X",) * REPORTS_MAX),
            Condition.DATA_TYPE,
            f"more than {REPORTS_MAX} reports",
        ),
        (result(text="x" * (TEXT_LENGTH_MAX + 1)), Condition.DATA_TYPE, "characters"),
    ],
)
def test_what_its_sender_must_correct_is_refused(message: str, condition: Condition, words: str) -> None:
    with pytest.raises(Rejected, match=words) as caught:
        read(message)
    assert caught.value.condition is condition


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])), min_size=1))
def test_whatever_a_reader_writes_is_read_as_it_was_written(lines: list[str]) -> None:
    """Row 14: round-trips; cannot add a segment."""
    written = "~".join(escaped(line, Separators()) for line in lines)
    found = one("OBX|1|TX|&IMP||Done.||||||F", f"OBX|2|TX|GDT||{written}||||||F")
    assert found.impression == "Done."
    if written != '""':
        assert found.text == "\n".join(line.rstrip() for line in lines).strip("\n")


def document(
    *lines: str,
    event: str = "T02",
    completion: str = "LA",
    txa: bool = True,
    number: str = "A1",
    patient: str = "N1",
) -> str:
    """A document of a chest, named by its exam's number and its order's."""
    header = f"MSH|^~\\&|RIS|HOSP|XRAYDESK|XRAY|20260301101500||MDM^{event}|D1|P|2.5"
    said = f"TXA|1|DI|TX|20260301101000|||||7^Grey^Eve|||{number}-R||P1^EHR|{number}||{completion}||AV"
    return "\r".join(
        [
            header,
            f"EVN|{event}|20260301101500",
            f"PID|1||{patient}^^^HOSP^MR||Prüfer^Ada||19690512|F",
            *([said] if txa else []),
            *lines,
        ]
    )


@pytest.mark.parametrize(
    ("event", "completion", "action"),
    [
        ("T02", "LA", F),
        ("T02", "AU", F),
        ("T02", "PA", P),
        ("T02", "", P),
        ("T08", "LA", C),
        ("T10", "AU", C),
        ("T11", "LA", X),
    ],
)
def test_a_document_is_a_report_of_the_exam_that_its_header_names(
    event: str, completion: str, action: ReportAction
) -> None:
    lines = ("OBX|1|TX|GDT||Lungs are clear.||||||F", "OBX|2|TX|GDT||No effusion.||||||F")
    (found,) = read(document(*lines, event=event, completion=completion))
    assert (found.action, found.text) == (action, "Lungs are clear.\nNo effusion.")
    assert found.exam == SaidExam(filler="A1", placer="P1", placer_authority="EHR")
    assert (found.radiologist_id, found.said_at) == ("7", datetime(2026, 3, 1, 15, 10, tzinfo=UTC))


def test_a_document_may_be_a_pdf_alone_or_name_its_order_as_results_do() -> None:
    body = base64.b64encode(b"%PDF-1.4 x").decode()
    (found,) = read(document(f"OBX|1|ED|PDF^Report||^application^pdf^Base64^{body}||||||F"))
    assert [one.content for one in found.documents] == [b"%PDF-1.4 x"]
    (found,) = read(document("OBR|1|P2|F2|||||||||||||||A2|||||||F", "OBX|1|TX|GDT||Clear.||||||F"))
    assert (found.exam.accession, found.action) == ("A2", F)


def test_a_document_without_its_header_is_refused() -> None:
    with pytest.raises(Rejected, match="no TXA"):
        read(document("OBX|1|TX|GDT||Clear.||||||F", txa=False))
