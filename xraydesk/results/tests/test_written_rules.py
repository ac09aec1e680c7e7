"""Files that are brought as reports: told by their bytes, read plainly, refused where they would do harm."""

from __future__ import annotations

import pytest

from xraydesk.results import written_rules
from xraydesk.results.reporting import DocumentKind, SaidExam, SaidReport
from xraydesk.results.states import ReportAction
from xraydesk.results.written_rules import Unreadable, document_of

PDF = b"%PDF-1.4\n1 0 obj\n<< /OpenAction << /JS (app.alert(1)) >> >>\n%%EOF\n"
CDA = """<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>Chest</title>
<component><structuredBody><component><section><title>Findings</title>
<text><paragraph>Lungs are
 clear.</paragraph><list><item>No effusion.</item></list>Heart <content>normal</content> in size.<br/>Bones too.</text>
<entry><observation><text>left out</text></observation></entry></section></component></structuredBody></component>
</ClinicalDocument>"""


def test_a_document_is_told_by_its_bytes_and_its_name_is_no_path() -> None:
    told = document_of(b"\r\n" + PDF, title="..\\..\\REPORTS/chest \x00 of  May.pdf", read_by="Grey^Eve")
    assert (told.kind, told.title, told.text) == (DocumentKind.PDF, "chest of May.pdf", "")
    assert (told.read_by, len(told.sha256)) == ("Grey^Eve", 64)
    assert told.words.startswith("application/pdf “chest of May.pdf”, mark ")
    report = SaidReport(SaidExam(), ReportAction.FINAL, text="Clear.", documents=(told,))
    assert report.whole_text == f"Clear.\nKept with the report: {told.words}"


def test_a_clinical_document_is_read_section_by_section() -> None:
    told = document_of(CDA.encode())
    assert told.kind is DocumentKind.CDA
    assert told.text.split("\n") == [
        "Findings",
        "Lungs are clear.",
        "No effusion.",
        "Heart normal in size.",
        "Bones too.",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not empty"),
        (b"MZ" + bytes(20), "no PDF"),
        (b"{\\rtf1 Lungs}", "no PDF"),
        (b"plain", "no PDF"),
        (b"<html><body>x</body></html>", "no clinical document"),
        (b"<ClinicalDocument><a></ClinicalDocument>", "cannot be read"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "cannot be read"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><ClinicalDocument>&b;</ClinicalDocument>', "document type"),
        (b"<a>" * 200, "nested deeper"),
    ],
)
def test_anything_else_is_refused_in_words(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        document_of(content)


def test_a_text_counts_only_where_it_is_asked_for() -> None:
    assert document_of("\ufeffLungs\r\nclear. Ä".encode(), text_too=True).text == "Lungs\nclear. Ä"
    assert document_of("Größe normal".encode("latin-1"), text_too=True).text == "Größe normal"
    for content in (b"a\x00b", b"  \n", b"{\\rtf1 a}"):
        with pytest.raises(Unreadable, match="no plain text"):
            document_of(content, text_too=True)


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_rules, "DOCUMENT_TEXT_LENGTH_MAX", 10)
    with pytest.raises(Unreadable, match="no reader wrote it"):
        document_of(b"Lungs are clear.", text_too=True)
    monkeypatch.setattr(written_rules, "DOCUMENT_BYTES_MAX", 10)
    with pytest.raises(Unreadable, match="at most"):
        document_of(PDF)
