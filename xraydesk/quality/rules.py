"""Whom a reader's word is for, which views it can be said of, and who may take it back; pure."""

from __future__ import annotations

from collections.abc import Iterable

WHOLE_EXAM = ""
"""The view of a word that is said of the exam as a whole."""

VIEWS_MAX = 12
"""No more views of one exam are offered; an x-ray exam has no more."""

VIEW_LENGTH_MAX = 64
NOTE_LENGTH_MAX = 250


def views_to_judge(imaged: Iterable[str], planned: Iterable[str]) -> tuple[str, ...]:
    """The views that a word can be said of, each once: those of the images, else of the procedure; last the whole exam."""
    seen = tuple(dict.fromkeys(view for view in imaged if view)) or tuple(dict.fromkeys(planned))
    return (*seen[:VIEWS_MAX], WHOLE_EXAM)


def about(performed_by: str, technologist: str) -> str:
    """Whom a word is for: who pressed begin, else whoever the plan had in the room (a user's name), else the machine.

    A machine reports a step in its own name, so the plan says more.
    """
    if performed_by.startswith("user:") or not technologist:
        return performed_by
    return f"user:{technologist}"


def may_mark_seen(about: str, who: str) -> bool:
    """Whether somebody may say that a word was seen: only whom it is for, where that is a person."""
    return about == who or not about.startswith("user:")


def may_withdraw(by: str, who: str) -> bool:
    """Whether somebody may take a word back: only who said it."""
    return by == who
