"""Says in words what ails a DICOM connection: why an association was refused, how far a machine's clock is off. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

CLOCK_OFF_SECONDS_MIN = 60
"""A difference that is smaller than this is not worth a call to the vendor: a report takes a moment to come."""
SAMPLES_MAX = 15
"""So many of a machine's last reports say how its clock goes."""

_REJECTED = {
    (1, 1): "it gives no reason",
    (1, 2): "it does not know the application context: it speaks no DICOM that we know",
    (1, 3): "it does not know our AE title {ours}: enter that there",
    (1, 7): "it is not called {theirs}: its AE title is another one",
    (2, 1): "it gives no reason",
    (2, 2): "it speaks another version of the protocol",
    (3, 1): "it is too busy now",
    (3, 2): "it has as many associations as it takes",
}
"""By source and reason (PS3.8 table 9-21)."""


def rejection_in_words(source: int, reason: int, *, ours: str, theirs: str) -> str:
    """Why another system rejected our association, as a sentence that its vendor can act on."""
    words = _REJECTED.get((source, reason), f"source {source}, reason {reason}")
    return f"It rejected the association: {words.format(ours=ours, theirs=theirs)}."


def call_in_words(outcome: str, *, called: str, ours: str, is_known: bool) -> str:
    """What became of a call, by the name of its verdict (`admission.Verdict`)."""
    if outcome == "CALLED_UNKNOWN":
        return f"refused: it called {called}, and this desk is {ours}"
    if outcome == "CALLING_UNKNOWN":
        if is_known:
            return "refused: it may not speak in clear from that address"
        return "refused: the site file names no such machine"
    return {
        "TAKEN": "taken",
        "CONTEXT_NAME": "refused: its application context is none of DICOM",
        "FULL": "told to come again: every place was taken",
        "NOT_NOW": "told to come again: the database was away",
    }[outcome]


def clock_ahead_seconds(samples: Sequence[float]) -> float | None:
    """How far a machine's clock is ahead of ours (behind: negative), by its last reports; None without any.

    Each sample is what a report told less when it came. The middle one is taken: a single
    report that was held up for an hour says nothing of the clock.
    """
    return statistics.median(samples) if samples else None


def clock_in_words(ahead_seconds: float | None) -> str:
    """`right`, `4 min ahead`, `2 h 5 min behind`; empty where nothing is known."""
    if ahead_seconds is None:
        return ""
    if abs(ahead_seconds) < CLOCK_OFF_SECONDS_MIN:
        return "right"
    minutes = round(abs(ahead_seconds) / 60)
    hours, rest = divmod(minutes, 60)
    long = " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)
    return f"{long} {'ahead' if ahead_seconds > 0 else 'behind'}"
