"""Reports of other houses as objects: structured ones as plain text, encapsulated ones as their bytes."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.shared_data import shared_data
from xraydesk.links.dicom import reading_report_codec
from xraydesk.links.dicom.file_head import where_it_begins
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.reading_report_codec import report_in, text_of_tree
from xraydesk.results.reporting import DocumentKind

BASIC_TEXT, PDF, DOSE = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("88.11", "104.1", "88.67"))


def coded(meaning: str, value: str = "X") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = value, meaning
    return code


def item(kind: str, name: str = "", *children: Dataset, **values: Any) -> Dataset:
    """One content item."""
    one = Dataset()
    one.ValueType = kind
    if name:
        one.ConceptNameCodeSequence = [coded(name)]
    for keyword, value in values.items():
        setattr(one, keyword, value)
    if children:
        one.ContentSequence = list(children)
    return one


def measured(value: str, unit: str) -> Dataset:
    one, of = Dataset(), Dataset()
    of.CodeValue = unit
    one.NumericValue, one.MeasurementUnitsCodeSequence = value, [of]
    return one


def tree() -> Dataset:
    return item(
        "CONTAINER",
        "Radiology Report",
        item("TEXT", "Findings", item("IMAGE", "Seen in"), TextValue="Lungs are clear.\r\nNo effusion.\x07"),
        item("CODE", "Side", ConceptCodeSequence=[coded("Left")]),
        item("CODE", "Nothing"),
        item("NUM", "Diameter", MeasuredValueSequence=[measured("3", "cm")]),
        item("NUM", "Count", MeasuredValueSequence=[measured("2", "1")]),
        item("NUM", "Depth"),
        item("PNAME", "Observer", PersonName="Grey^Eve"),
        item("CONTAINER", "", item("TEXT", "", TextValue="Unnamed.")),
        item("COMPOSITE"),
        SOPInstanceUID="1.2.3",
    )


def test_a_structured_report_is_read_in_order_a_line_an_item() -> None:
    bare = Dataset()
    bare.NumericValue = "4"
    ds = tree()
    ds.ContentSequence.append(item("NUM", "Bare", MeasuredValueSequence=[bare]))
    assert text_of_tree(ds).split("\n") == [
        "Findings: Lungs are clear.",
        "No effusion.",
        "  Seen in: an image",
        "Side: Left",
        "Nothing",
        "Diameter: 3 cm",
        "Count: 2",
        "Depth: not measured",
        "Observer: Grey^Eve",
        "Unnamed.",
        "another object",
        "Bare: 4",
    ]


def test_it_says_who_put_their_name_to_it_and_whether_it_is_done() -> None:
    ds = tree()
    found = report_in(ds, sop_class_uid=BASIC_TEXT)
    assert found is not None
    assert (found.kind, found.title, found.read_by) == (DocumentKind.TEXT, "Radiology Report", "")
    author, verifier = Dataset(), Dataset()
    author.PersonName, verifier.VerifyingObserverName = "Grey^Eve", "Chief^Ada"
    ds.AuthorObserverSequence = [author]
    ds.VerificationFlag, ds.CompletionFlag = "UNVERIFIED", "PARTIAL"
    draft = report_in(ds, sop_class_uid=BASIC_TEXT)
    assert draft is not None
    assert draft.text.startswith("Not verified by who wrote it.\nNot complete.\nFindings")
    assert (draft.read_by, draft.sha256 == found.sha256) == ("Grey^Eve", False)
    ds.VerifyingObserverSequence = [verifier]
    signed = report_in(ds, sop_class_uid=BASIC_TEXT)
    assert signed is not None
    assert signed.read_by == "Chief^Ada"


def test_a_report_without_end_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_report_codec, "CONTENT_ITEMS_MAX", 2)
    assert text_of_tree(tree()).endswith("\nThe rest is left out: it is longer than the desk takes.")


def test_an_encapsulated_document_comes_out_as_it_went_in() -> None:
    ds = Dataset()
    ds.DocumentTitle, ds.EncapsulatedDocument = "Chest", b"%PDF-1.4 x\0"
    found = report_in(ds, sop_class_uid=PDF)
    assert found is not None
    assert (found.kind, found.title, found.content) == (DocumentKind.PDF, "Chest", b"%PDF-1.4 x")
    ds.EncapsulatedDocumentLength = 8
    found = report_in(ds, sop_class_uid=PDF)
    assert found is not None
    assert found.content == b"%PDF-1.4"


def test_what_is_no_report_or_not_what_it_says_or_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert report_in(tree(), sop_class_uid=DOSE) is None
    assert report_in(Dataset(), sop_class_uid=BASIC_TEXT) is None
    ds = Dataset()
    assert report_in(ds, sop_class_uid=PDF) is None
    ds.EncapsulatedDocument = None
    assert report_in(ds, sop_class_uid=PDF) is None
    ds.EncapsulatedDocument = b"MZ no PDF."
    assert report_in(ds, sop_class_uid=PDF) is None
    monkeypatch.setattr(reading_report_codec, "DOCUMENT_BYTES_MAX", -1)
    assert report_in(ds, sop_class_uid=PDF) is None


@pytest.mark.data
def test_a_real_basic_text_report_is_read() -> None:
    path = shared_data("dicom_other") / "reportsi.dcm"
    with path.open("rb") as file:
        head = where_it_begins(file)
    ds = read_object(path, dataset_offset=head.dataset_offset, transfer_syntax=head.transfer_syntax_uid)
    found = report_in(ds, sop_class_uid=head.sop_class_uid)
    assert found is not None
    assert "Section Heading\n  Report Text: Enter text\n    Image Reference: an image" in found.text
