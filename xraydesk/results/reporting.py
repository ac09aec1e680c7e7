"""What a reader's report says of one exam, whoever brings it: a message, a form, the seed; frozen, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.patients.demographics import Demographics
from xraydesk.results.states import Category, ReportAction


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

    @property
    def whole_text(self) -> str:
        """The text with a line for each thing that is kept beside it."""
        lines = [f"Kept with the message: {name}" for name in self.attachments]
        return "\n".join(part for part in (self.text, *lines) if part)
