"""What a file that is brought as a report is: PDF, clinical document (CDA) or plain text; pure.

It is told by its bytes, never by its name. What it may hold (scripts, links, other files) is kept and handed on
as it is, and never run here.
"""

from __future__ import annotations

import hashlib
from xml.parsers import expat

from xraydesk.lib.text import shortened
from xraydesk.results.reporting import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_TEXT_LENGTH_MAX,
    DocumentKind,
    SaidDocument,
)

TITLE_LENGTH_MAX = 120
PDF_MARK_WITHIN_BYTES = 1_024
"""ISO 32000-1 says that the mark stands at the very start; readers find it in the first kilobyte, and real files need that."""

XML_DEPTH_MAX = 100
CDA_NAMESPACE = "urn:hl7-org:v3"
_BLOCKS = frozenset({"title", "paragraph", "item", "tr", "br", "table", "list", "caption", "text"})


class Unreadable(ValueError):
    """It is no document that the desk takes; the message says why, in words for a page."""


def document_of(
    content: bytes, *, title: str = "", read_by: str = "", text_too: bool = False
) -> SaidDocument:
    """A file as a document. Raises Unreadable.

    Plain text counts only where `text_too`: on a disc, a text is a help file more often than a report.
    """
    if not content or len(content) > DOCUMENT_BYTES_MAX:
        raise Unreadable(
            f"A document has at most {DOCUMENT_BYTES_MAX // 1024**2} MB, and is not empty. Nothing was kept."
        )
    kind, text = _read(content, text_too=text_too)
    return SaidDocument(
        kind=kind,
        title=_title(title),
        content=content,
        text=text,
        read_by=read_by,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _title(written: str) -> str:
    """A title as one line, without what could be taken for a path."""
    name = written.replace("\\", "/").rpartition("/")[2]
    return shortened(" ".join("".join(c if c.isprintable() else " " for c in name).split()), TITLE_LENGTH_MAX)


def _read(content: bytes, *, text_too: bool) -> tuple[DocumentKind, str]:
    if b"%PDF-" in content[:PDF_MARK_WITHIN_BYTES]:
        return DocumentKind.PDF, ""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return DocumentKind.CDA, text_of_cda(content)
    if text_too and not content.startswith(b"{\\rtf"):
        return DocumentKind.TEXT, _plain(content)
    raise Unreadable("It is no PDF, no clinical document (CDA) and no plain text. Nothing was kept.")


def _plain(content: bytes) -> str:
    """A text in UTF-8, else in Latin-1. Raises Unreadable where it has signs that no text has."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if any(c < " " and c not in "\n\t\f" for c in text) or not text:
        raise Unreadable("It is no PDF, no clinical document (CDA) and no plain text. Nothing was kept.")
    return _bounded(text)


def _bounded(text: str) -> str:
    if len(text) > DOCUMENT_TEXT_LENGTH_MAX:
        raise Unreadable(
            f"Its text has more than {DOCUMENT_TEXT_LENGTH_MAX:,} letters: no reader wrote it. Nothing was kept."
        )
    return text


def text_of_cda(content: bytes) -> str:
    """The narrative of a clinical document (CDA R2): the titles and texts of its sections, a line a block.

    Raises Unreadable for anything else, for what names a document type (its entities could unpack without end),
    and for what is nested deeper than XML_DEPTH_MAX.
    """
    reader = _Narrative()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.words
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as why:
        if isinstance(why, Unreadable):
            raise
        raise Unreadable("It is XML that cannot be read. Nothing was kept.") from None
    if not reader.is_cda:
        raise Unreadable("It is XML, but no clinical document (CDA). Nothing was kept.")
    lines = (" ".join(line.split()) for line in "".join(reader.said).split("\n"))
    return _bounded("\n".join(line for line in lines if line))


def _refuse_doctype(*said: object) -> None:
    raise Unreadable("It is XML with a document type of its own, which no clinical document has.")


class _Narrative:
    """Collects the words of sections as the parser comes to them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_cda = False
        self._path: list[str] = []
        self._inside = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if not self._path:
            self.is_cda = (namespace, tag) == (CDA_NAMESPACE, "ClinicalDocument")
        self._path.append(tag)
        if len(self._path) > XML_DEPTH_MAX:
            raise Unreadable("It is nested deeper than any clinical document. Nothing was kept.")
        begins = self._path[-2:] in (["section", "title"], ["section", "text"])
        if self._inside or begins:
            self._inside += 1
            self.said.append("\n" if tag in _BLOCKS else " ")

    def end(self, name: str) -> None:
        tag = self._path.pop()
        if self._inside:
            self._inside -= 1
            self.said.append("\n" if tag in _BLOCKS else " ")

    def words(self, data: str) -> None:
        if self._inside:
            self.said.append(data.replace("\n", " "))
