"""Reads a report that another house wrote as an object: a structured one as plain text, a document as its bytes. Pure."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset

from xraydesk.links.dicom.header_codec import number, text
from xraydesk.links.dicom.reading import items_of, value_of
from xraydesk.results.reporting import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_TEXT_LENGTH_MAX,
    DocumentKind,
    SaidDocument,
)
from xraydesk.results.written_rules import Unreadable, document_of

STRUCTURED = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    }
)
"""Reports that a reader wrote. Other structured ones are measurements, doses and marks, which go on with the images alone."""

ENCAPSULATED = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
        "1.2.840.10008.5.1.4.1.1.104.2",  # Encapsulated CDA
    }
)

CONTENT_ITEMS_MAX = 5_000
"""Of a report with more content items than these the rest is left, and said to be."""

_PLAIN_VALUES = {
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "PNAME": "PersonName",
    "UIDREF": "UID",
}
_REFERENCES = {"IMAGE": "an image", "COMPOSITE": "another object", "WAVEFORM": "a curve"}


def report_in(dataset: Dataset, *, sop_class_uid: str) -> SaidDocument | None:
    """What an object holds as a report; None where it is none, or is too large or no such document as it says."""
    try:
        if sop_class_uid in STRUCTURED:
            return _structured(dataset)
        if sop_class_uid in ENCAPSULATED:
            return _encapsulated(dataset)
    except Unreadable:
        return None
    return None


def _encapsulated(dataset: Dataset) -> SaidDocument:
    """The document in an object (PS3.3 C.24.2), without the byte that makes its length even."""
    element = dataset.get_item("EncapsulatedDocument")
    if element is None or getattr(element, "length", 0) > DOCUMENT_BYTES_MAX + 1:
        raise Unreadable("It is too large.")
    content = value_of(dataset, "EncapsulatedDocument")
    if not isinstance(content, bytes):
        raise Unreadable("It is no document.")
    length = number(dataset, "EncapsulatedDocumentLength", minimum=1)
    content = content[: int(length)] if length else content.rstrip(b"\0")
    return document_of(content, title=text(dataset, "DocumentTitle"), read_by=_observer(dataset))


def _structured(dataset: Dataset) -> SaidDocument:
    said = text_of_tree(dataset)
    if not said:
        raise Unreadable("It says nothing.")
    uid = text(dataset, "SOPInstanceUID")
    return SaidDocument(
        kind=DocumentKind.TEXT,
        title=_name(dataset) or "Structured report",
        content=said.encode(),
        text=said,
        read_by=_observer(dataset),
        sha256=hashlib.sha256(f"{uid}\n{said}".encode()).hexdigest(),
    )


def _observer(dataset: Dataset) -> str:
    """Who put their name to it (PS3.3 C.17.2): the verifying observer, else who wrote it."""
    for keyword, name in (
        ("VerifyingObserverSequence", "VerifyingObserverName"),
        ("AuthorObserverSequence", "PersonName"),
    ):
        found = next((n for item in items_of(dataset, keyword) if (n := text(item, name))), "")
        if found:
            return found
    return ""


def text_of_tree(dataset: Dataset) -> str:
    """The content of a structured report (PS3.3 C.17.3) in reading order: a line an item, indented below what it is part of.

    What is referred to (images, curves) is named by its kind. A report that nobody verified says so first.
    """
    lines = []
    if text(dataset, "VerificationFlag").upper() == "UNVERIFIED":
        lines.append("Not verified by who wrote it.")
    if text(dataset, "CompletionFlag").upper() == "PARTIAL":
        lines.append("Not complete.")
    waiting = [(item, 0) for item in reversed(items_of(dataset, "ContentSequence"))]
    seen = length = 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        line = _line(item, depth)
        length += len(line)
        if seen > CONTENT_ITEMS_MAX or length > DOCUMENT_TEXT_LENGTH_MAX:
            lines.append("The rest is left out: it is longer than the desk takes.")
            break
        lines += [line] if line else []
        below = depth + 1 if line else depth
        waiting += [(child, below) for child in reversed(items_of(item, "ContentSequence"))]
    return "\n".join(lines)


def _line(item: Dataset, depth: int) -> str:
    name, value = _name(item), _value(item)
    if not name and not value:
        return ""
    told = f"{name}: {value}" if name and value else name or value
    return "\n".join("  " * depth + one for one in told.splitlines())


def _name(item: Dataset) -> str:
    return _meaning(item, "ConceptNameCodeSequence")


def _meaning(item: Dataset, keyword: str) -> str:
    coded = items_of(item, keyword)
    return (text(coded[0], "CodeMeaning") or text(coded[0], "CodeValue")) if coded else ""


def _value(item: Dataset) -> str:
    kind = text(item, "ValueType").upper()
    if kind == "TEXT":
        said = str(value_of(item, "TextValue") or "").replace("\r\n", "\n").replace("\r", "\n")
        return "".join(c for c in said if c >= " " or c in "\n\t").strip()
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        return _measured(item)
    if kind in _PLAIN_VALUES:
        return text(item, _PLAIN_VALUES[kind])
    return _REFERENCES.get(kind, "")


def _measured(item: Dataset) -> str:
    """A number with its unit, in signs (mm) where it has no meaning in words."""
    measured = items_of(item, "MeasuredValueSequence")
    if not measured:
        return "not measured"
    units = items_of(measured[0], "MeasurementUnitsCodeSequence")
    unit = text(units[0], "CodeValue") if units else ""
    return " ".join(part for part in (text(measured[0], "NumericValue"), "" if unit == "1" else unit) if part)
