"""A message as people look at it: whitespace made visible, and each filled field with its name; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xraydesk.links.hl7.field_names import name_of
from xraydesk.links.hl7.reader import HEADERS, Message, Unreadable, read_batch

FIELDS_SHOWN_MAX = 2000
"""A message may have more; the page says so."""

VALUE_LENGTH_SHOWN_MAX = 500

_INVISIBLE = re.compile("[\x00-\x1f\x7f\u00a0\u2000-\u200f\u2028\u2029\u202f\u2060\u3000\ufeff]")
_SPACES = re.compile(r"(?<![^\s|^~&\\]) +| +(?![^\s|^~&\\])| {2,}")
"""Spaces that an eye passes over: at an end, beside a separator, or several."""


@dataclass(frozen=True)
class FieldShown:
    """One filled field: where it stands, its name, what is written there."""

    place: str
    name: str
    written: str


def visible(line: str) -> str:
    """A line with marks in place of what cannot be seen: `·` for a space that is easily missed, `→` for a tab."""
    dotted = _SPACES.sub(lambda found: "·" * len(found[0]), line)
    return _INVISIBLE.sub(_mark, dotted)


def _mark(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\t":
        return "→"
    if character < " ":
        return chr(0x2400 + ord(character))
    return "␡" if character == "\x7f" else f"‹U+{ord(character):04X}›"


def fields_of(raw: bytes, *, fallback: str) -> list[FieldShown]:
    """Every filled field of the first message in some bytes, in order; empty where none can be read."""
    try:
        message = read_batch(raw, fallback=fallback).messages[0]
    except Unreadable:
        return []
    return _fields(message)[:FIELDS_SHOWN_MAX]


def _fields(message: Message) -> list[FieldShown]:
    counts: dict[str, int] = {}
    found = []
    for segment in message.segments:
        counts[segment.name] = counts.get(segment.name, 0) + 1
        number = counts[segment.name]
        which = f"{segment.name} {number}" if number > 1 else segment.name or "no segment"
        first = 3 if segment.name in HEADERS else 1
        for field in range(first, len(segment.fields) + 1):
            if written := segment.raw(field):
                found.append(
                    FieldShown(
                        f"{which}-{field}",
                        name_of(segment.name, field),
                        visible(written[:VALUE_LENGTH_SHOWN_MAX]),
                    )
                )
    return found
