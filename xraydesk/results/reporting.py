"""What a reader's report says of one exam, whoever brings it: a message, a form, the seed; frozen, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xraydesk.patients.demographics import Demographics
from xraydesk.results.states import Category, ReportAction

DOCUMENT_BYTES_MAX = 10_485_760
"""A larger document is no report; scanned ones of some pages have two or three megabytes."""

DOCUMENT_TEXT_LENGTH_MAX = 200_000
DOCUMENTS_MAX = 20
"""No report has more documents beside it."""


class DocumentKind(StrEnum):
    """What a document is, by its media type."""

    PDF = "application/pdf"
    TEXT = "text/plain"
    CDA = "application/xml"


@dataclass(frozen=True)
class SaidDocument:
    """A report as a document. `text` is what it says where that can be read plainly, "" for a PDF.

    `sha256` tells whether it is here already; `read_by` is who put their name to it, "" where nobody is named.
    """

    kind: DocumentKind
    title: str
    content: bytes
    sha256: str
    text: str = ""
    read_by: str = ""

    @property
    def words(self) -> str:
        """What it is, in a line, with a mark of its bytes."""
        return document_words(self.kind, self.title, self.sha256)


def document_words(kind: str, title: str, sha256: str) -> str:
    """What a document is, in a line, with a mark of its bytes, so that another one is not taken for the same."""
    return f"{kind}{f' “{title}”' if title else ''}, mark {sha256[:8]}"


@dataclass(frozen=True)
class SaidExam:
    """The numbers by which a report names its exam; "" where it does not give one.

    `procedure_code` tells exams of one order apart.
    """

    accession: str = ""
    filler: str = ""
    study_instance_uid: str = ""
    placer: str = ""
    placer_authority: str = ""
    procedure_code: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that are given."""
        told = (self.accession, self.filler, self.study_instance_uid, self.placer)
        return tuple(number for number in told if number)

    @property
    def words(self) -> str:
        """The numbers as a person looks for them; no number is a person's."""
        told = (
            ("accession", self.accession),
            ("filler number", self.filler),
            ("order", self.placer),
            ("study", self.study_instance_uid),
        )
        return ", ".join(f"{word} {value}" for word, value in told if value) or "no number at all"


@dataclass(frozen=True)
class SaidReport:
    """One report of one exam as it was said. `patient` is None where nothing says whose it is.

    `category` is the reader's own flag, None where there is none. `said_at` is aware, in UTC;
    None where it is not said. `attachments` names what came beside the text (a PDF), which stays with its message.
    `shares` is True where the text stands in the report of another exam of the same message
    too: what must be told of it is told once, there.
    """

    exam: SaidExam
    action: ReportAction
    text: str = ""
    impression: str = ""
    attachments: tuple[str, ...] = ()
    category: Category | None = None
    radiologist_id: str = ""
    radiologist_name: str = ""
    said_at: datetime | None = None
    patient: Demographics | None = None
    shares: bool = False
    documents: tuple[SaidDocument, ...] = ()
    """Documents whose bytes came along; they stand beside the report, to be opened from its page."""

    @property
    def whole_text(self) -> str:
        """The text with a line for each thing that is kept beside it."""
        lines = [f"Kept with the message: {name}" for name in self.attachments]
        lines += [f"Kept with the report: {one.words}" for one in self.documents]
        return "\n".join(part for part in (self.text, *lines) if part)
