"""Which documents of outside reports are kept here, till when and why; pure. As with images, the desk is no archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class DocumentKept(StrEnum):
    """Why a document is here; the first that holds, in this order."""

    UNDECIDED = "a person says whether it is a report, or whose its study is"
    NOT_TAKEN = "another system is still to take it with its report"
    NOWHERE = "no other system has it"
    DAYS = "it is kept for some days more"
    MAY_GO = "nothing: it may go"


@dataclass(frozen=True)
class DocumentStanding:
    """How a document stands. `since` is when it came, or when somebody last said what it is.

    `taken_at` is when another system took it with its report, None where none did; `waits` whether one is still to.
    """

    is_decided: bool
    is_report: bool
    since: datetime
    taken_at: datetime | None = None
    waits: bool = False


def why_document_kept(
    standing: DocumentStanding, *, days: int, at: datetime
) -> tuple[DocumentKept, datetime | None]:
    """Why a document is still here, and till when where that is known: `days` after it is safe elsewhere, 0 for ever.

    What is no report is nobody's to keep, and stays as long for who changes their mind.
    """
    if not standing.is_decided:
        return DocumentKept.UNDECIDED, None
    since = standing.since
    if standing.is_report:
        if standing.waits:
            return DocumentKept.NOT_TAKEN, None
        if standing.taken_at is None:
            return DocumentKept.NOWHERE, None
        since = max(since, standing.taken_at)
    if not days:
        return DocumentKept.DAYS, None
    until = since + timedelta(days=days)
    return (DocumentKept.DAYS if until > at else DocumentKept.MAY_GO), until
