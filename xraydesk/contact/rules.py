"""What a patient is told when the desk changes their time; pure, and at a sixth-grade level."""

from __future__ import annotations

from datetime import datetime, timedelta

UNDO_SECONDS = 60
"""A notice waits so long after the change: until then it can be undone without anybody having been told."""


def due_after(at: datetime) -> datetime:
    """When a patient may be told of what was changed at a moment."""
    return at + timedelta(seconds=UNDO_SECONDS)


def moved_text(*, before: datetime, after: datetime, place: str) -> str:
    """The words to a patient whose time was changed; both moments in the department's zone, `place` in words."""
    day = f"{after:%A, %B} {after.day}"
    was = f"{before:%H:%M}" if before.date() == after.date() else f"{before:%A} {before:%H:%M}"
    return (
        f"Your x-ray has a new time: {after:%H:%M} on {day}, {place}. It was {was} before. "
        "We are sorry for the change. If the new time does not work for you, please call us."
    )
