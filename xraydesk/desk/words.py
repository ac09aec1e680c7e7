"""How names, ages, times and stages are written on a page; pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta

NO_NAME = "no name yet"

GLYPHS = {
    "scheduled": "",
    "confirmed": "confirmed",
    "fetching": "fetching",
    "arrived": "arrived",
    "inroom": "inroom",
    "done": "done",
    "images": "images",
    "read": "read",
}
"""The drawn stages, and the glyph in the cap of each (`glyphs.html`); scheduled is a thin bar without one."""

STAGE_WORDS = {
    "scheduled": "Scheduled",
    "confirmed": "Confirmed",
    "fetching": "Being fetched",
    "arrived": "Arrived",
    "inroom": "In room",
    "done": "Done, no images yet",
    "images": "Images in",
    "read": "Read",
}


def age(born: date, today: date) -> str:
    """`42 y`; for the youngest `7 mo` or `12 d`, as a technologist needs them for exposure."""
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if years >= 2:
        return f"{years} y"
    days = (today - born).days
    if days >= 60:
        return f"{days * 12 // 365} mo"
    return f"{max(days, 0)} d"


def born(birth_date: date | None, today: date) -> str:
    """`06 Apr 1984 (42 y)`; says so where the date is missing."""
    if birth_date is None:
        return "birth date unknown"
    return f"{birth_date:%d %b %Y} ({age(birth_date, today)})"


def span(length: timedelta) -> str:
    """`28 min`, `3 h 20`, `2 d`: how long, without a sign."""
    minutes = abs(int(length.total_seconds())) // 60
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest:02}" if rest else f"{hours} h"
    return f"{minutes // (24 * 60)} d"


def left(until: datetime, at: datetime) -> str:
    """`16 min` until harm, or `12 min over`."""
    return span(until - at) if until >= at else f"{span(at - until)} over"


def due(until: datetime | None, at: datetime) -> str:
    """`in 30 min`, or `12 min over`; empty where nothing is due."""
    if until is None:
        return ""
    return f"in {span(until - at)}" if until >= at else f"{span(at - until)} over"


def side(laterality: str) -> str:
    """Left, right or both, in words; empty where the part has no side."""
    return {"L": "Left", "R": "Right", "B": "Both"}.get(laterality, "")


def procedure_words(text: str, laterality: str) -> str:
    """`Left knee 2 views`: the side first, in words, unless the text says it already."""
    word = side(laterality)
    if not word or not text or text.casefold().startswith(word.casefold()):
        return text or "procedure not named"
    return f"{word} {text[0].lower()}{text[1:]}" if not text[:2].isupper() else f"{word} {text}"


def origin(patient_class: str, ward: str, bed: str, *, bedside: bool = False) -> str:
    """Where the patient is fetched from: `W3` for an inpatient, `ED 3` in emergency, nothing for an outpatient.

    `bedside` adds the bed of an inpatient too, for a portable unit that goes there.
    """
    if patient_class not in {"I", "E"} and not ward:
        return ""
    if ward and bed and (bedside or patient_class == "E"):
        return f"{ward} {bed}"
    return ward or bed or {"I": "ward?", "E": "ED"}.get(patient_class, "")


CLASS_WORDS = {
    "I": "inpatient",
    "E": "emergency",
    "O": "outpatient",
    "P": "pre-admission",
    "R": "recurring",
    "B": "obstetrics",
}
"""HL7 table 0004."""


def how(transport: str) -> str:
    """How the patient comes: `bed`, `chair`; empty for walking, which needs no mark."""
    word = transport.strip().casefold()
    if word in {"bed", "stretcher", "gurney", "cart", "litter"}:
        return "bed"
    if word in {"chair", "wheelchair", "whlc"}:
        return "chair"
    return ""


def who(by: str) -> str:
    """`user:w.kamau` as people read it: a person's sign-in name, or what kind of machine."""
    kind, _, name = by.partition(":")
    match kind:
        case "user":
            return name
        case "token":
            return f"program {name}"
        case "link":
            return f"link {name}"
        case "modality":
            return f"machine {name}"
        case "destination":
            return name
        case "rule":
            return "by rule"
        case "autopilot":
            return "the desk by itself"
        case _:
            return "the desk"
