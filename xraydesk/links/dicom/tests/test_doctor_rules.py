"""What ails a connection, in words."""

from __future__ import annotations

import pytest

from xraydesk.links.dicom.admission import Verdict
from xraydesk.links.dicom.doctor_rules import (
    call_in_words,
    clock_ahead_seconds,
    clock_in_words,
    rejection_in_words,
)


def test_a_rejection_says_what_to_enter_where() -> None:
    assert (
        rejection_in_words(1, 3, ours="XRAYDESK", theirs="PACS")
        == "It rejected the association: it does not know our AE title XRAYDESK: enter that there."
    )
    assert "it is not called PACS" in rejection_in_words(1, 7, ours="XRAYDESK", theirs="PACS")
    assert "source 9, reason 9" in rejection_in_words(9, 9, ours="XRAYDESK", theirs="PACS")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_words(verdict: Verdict) -> None:
    assert call_in_words(verdict.name, called="DESK", ours="XRAYDESK", is_known=False)


def test_a_machine_that_is_known_and_refused_speaks_in_clear() -> None:
    assert "in clear" in call_in_words("CALLING_UNKNOWN", called="D", ours="D", is_known=True)
    assert "it called DESK, and this desk is XRAYDESK" in call_in_words(
        "CALLED_UNKNOWN", called="DESK", ours="XRAYDESK", is_known=False
    )


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], ""),
        ([-2, -1, -3600], "right"),
        ([240, 238, -3600], "4 min ahead"),
        ([-7500, -7501, -7499], "2 h 5 min behind"),
        ([3600], "1 h ahead"),
    ],
)
def test_a_clock_is_told_by_the_middle_of_its_reports(samples: list[float], words: str) -> None:
    assert clock_in_words(clock_ahead_seconds(samples)) == words
