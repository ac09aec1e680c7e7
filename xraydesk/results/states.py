"""The small machines of a report and of a finding that must be told."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ReportState(StrEnum):
    """How far a report is, in the words of HL7's result status (table 0123)."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"


READ_STATES = (ReportState.FINAL, ReportState.CORRECTED)
"""States in which an exam counts as read; a preliminary report is shown beside `ended`."""


class ReportAction(StrEnum):
    """What can be said of a report."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECT = "correct"
    CANCEL = "cancel"


REPORT_TRANSITIONS: dict[tuple[ReportState | None, ReportAction], ReportState] = {
    (None, ReportAction.PRELIMINARY): ReportState.PRELIMINARY,
    (None, ReportAction.FINAL): ReportState.FINAL,
    (None, ReportAction.CORRECT): ReportState.CORRECTED,
    (ReportState.PRELIMINARY, ReportAction.PRELIMINARY): ReportState.PRELIMINARY,
    (ReportState.PRELIMINARY, ReportAction.FINAL): ReportState.FINAL,
    (ReportState.PRELIMINARY, ReportAction.CORRECT): ReportState.CORRECTED,
    (ReportState.PRELIMINARY, ReportAction.CANCEL): ReportState.CANCELLED,
    (ReportState.FINAL, ReportAction.FINAL): ReportState.CORRECTED,
    (ReportState.FINAL, ReportAction.CORRECT): ReportState.CORRECTED,
    (ReportState.FINAL, ReportAction.CANCEL): ReportState.CANCELLED,
    (ReportState.CORRECTED, ReportAction.FINAL): ReportState.CORRECTED,
    (ReportState.CORRECTED, ReportAction.CORRECT): ReportState.CORRECTED,
    (ReportState.CORRECTED, ReportAction.CANCEL): ReportState.CANCELLED,
    (ReportState.CANCELLED, ReportAction.PRELIMINARY): ReportState.PRELIMINARY,
    (ReportState.CANCELLED, ReportAction.FINAL): ReportState.FINAL,
    (ReportState.CANCELLED, ReportAction.CORRECT): ReportState.CORRECTED,
}
"""What each word leads to. A preliminary report after a final one is late and changes nothing; nothing can be cancelled twice."""


class DocumentState(StrEnum):
    """What a document that was brought as a report is taken for."""

    OFFERED = "offered"
    """It lay beside the images; a person says whether it is their report."""
    KEPT = "kept"
    LEFT = "no report"


class Category(IntEnum):
    """How soon somebody must hear of a finding (ACR Actionable Reporting, JACR 2014;11:552)."""

    MINUTES = 1
    HOURS = 2
    DAYS = 3


class FindingSource(StrEnum):
    """Who says that a finding must be told."""

    FLAG = "flag"
    """The radiologist, in the report or here."""
    PHRASE = "phrase"
    """Words that the site lists stand in the report; a person confirms."""
    CORRECTION = "correction"
    """The report was corrected after somebody had been told; a person says whether they must hear of it."""


class FindingState(StrEnum):
    """Where a finding that must be told stands."""

    SUSPECTED = "suspected"
    OPEN = "open"
    READ_BACK = "read back"
    DISMISSED = "dismissed"


class FindingAction(StrEnum):
    """What can happen to a finding."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    CALL = "call"
    ESCALATE = "escalate"
    READ_BACK = "read back"


FINDING_TRANSITIONS: dict[tuple[FindingState, FindingAction], FindingState] = {
    (FindingState.SUSPECTED, FindingAction.CONFIRM): FindingState.OPEN,
    (FindingState.SUSPECTED, FindingAction.DISMISS): FindingState.DISMISSED,
    (FindingState.OPEN, FindingAction.CALL): FindingState.OPEN,
    (FindingState.OPEN, FindingAction.ESCALATE): FindingState.OPEN,
    (FindingState.OPEN, FindingAction.READ_BACK): FindingState.READ_BACK,
    (FindingState.DISMISSED, FindingAction.CONFIRM): FindingState.OPEN,
}
"""What each action leads to. An open finding is ended by a read-back and by nothing else."""


class CallOutcome(StrEnum):
    """What came of one attempt to tell somebody."""

    NO_ANSWER = "no answer"
    LEFT_WORD = "left word"
    TOLD = "told, not read back"
    READ_BACK = "read back"


class CallWay(StrEnum):
    """How somebody was told."""

    PHONE = "phone"
    IN_PERSON = "in person"
    PAGER = "pager"
    SECURE_MESSAGE = "secure message"
