"""Documents of outside reports stay until another system has them, and some days more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from xraydesk.results.document_rules import DocumentKept, DocumentStanding, why_document_kept

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=40)
YOUNG = NOW - timedelta(days=4)


@pytest.mark.parametrize(
    ("standing", "days", "kept", "until"),
    [
        ({"is_decided": False}, 30, DocumentKept.UNDECIDED, None),
        ({"waits": True, "taken_at": OLD}, 30, DocumentKept.NOT_TAKEN, None),
        ({}, 30, DocumentKept.NOWHERE, None),
        ({"taken_at": YOUNG}, 30, DocumentKept.DAYS, YOUNG + timedelta(days=30)),
        ({"taken_at": OLD, "since": YOUNG}, 30, DocumentKept.DAYS, YOUNG + timedelta(days=30)),
        ({"taken_at": OLD}, 30, DocumentKept.MAY_GO, OLD + timedelta(days=30)),
        ({"taken_at": OLD}, 0, DocumentKept.DAYS, None),
        ({"is_report": False}, 30, DocumentKept.MAY_GO, OLD + timedelta(days=30)),
        (
            {"is_report": False, "waits": True, "since": YOUNG},
            30,
            DocumentKept.DAYS,
            YOUNG + timedelta(days=30),
        ),
    ],
)
def test_a_document_stays_until_it_is_safe_elsewhere(
    standing: dict[str, Any], days: int, kept: DocumentKept, until: datetime | None
) -> None:
    whole = DocumentStanding(**({"is_decided": True, "is_report": True, "since": OLD} | standing))
    assert why_document_kept(whole, days=days, at=NOW) == (kept, until)
