"""Left and right as people write them; pure."""

from __future__ import annotations

import re
from enum import Flag, auto


class Side(Flag):
    """Which sides a text names."""

    NONE = 0
    LEFT = auto()
    RIGHT = auto()


SIDE_OF = {"L": Side.LEFT, "R": Side.RIGHT, "B": Side.LEFT | Side.RIGHT, "": Side.NONE}
"""The side of an exam's laterality (`L`, `R`, `B`)."""

LETTER_OF = {side: letter for letter, side in SIDE_OF.items()}
"""The laterality that a side is written as."""

WORD_OF = {"L": "left", "R": "right", "B": "both sides"}
"""Laterality in words, as people read it."""

_PARTS = (
    "ankle|arm|calcaneus|clavicle|elbow|eye|femur|finger|fingers|foot|forearm|hand|heel|hip|humerus|knee|leg|"
    "patella|rib|ribs|scapula|shoulder|thigh|thumb|tibia|toe|toes|wrist"
)
_LEFT = re.compile(
    rf"\b(?:left(?!\s+(?:the|against|ama|without|hospital|ward)\b)|lt\.?(?=\s+(?:{_PARTS})\b)|l\.?\s+(?={_PARTS}\b))",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    rf"\b(?:right(?!\s+(?:away|now|after|before|angle)\b)|rt\.?(?=\s+(?:{_PARTS})\b)|r\.?\s+(?={_PARTS}\b))",
    re.IGNORECASE,
)
_PART = re.compile(rf"\b(?:{_PARTS})s?\b", re.IGNORECASE)
_IN_NAME = {
    Side.LEFT: re.compile(r"\blt\b|\bl$", re.IGNORECASE),
    Side.RIGHT: re.compile(r"\brt\b|\br$", re.IGNORECASE),
    Side.LEFT | Side.RIGHT: re.compile(r"\bbil(?:at)?\b", re.IGNORECASE),
}
_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both\s+sides)\b", re.IGNORECASE)


def sides_named(text: str) -> Side:
    """The sides that a text names: "left", "R wrist", "bilateral". "R/o fracture", "L spine" and "right away" name none."""
    found = Side.NONE
    if _LEFT.search(text):
        found |= Side.LEFT
    if _RIGHT.search(text):
        found |= Side.RIGHT
    if _BOTH.search(text):
        found |= Side.LEFT | Side.RIGHT
    return found


def sides_in_name(text: str) -> Side:
    """The sides that the name of a procedure says, as catalogues write them too: "HAND LT", "XR KNEE 3V R", "FEET BILAT".

    Only beside a part that has sides: "L SPINE" names none.
    """
    found = sides_named(text)
    if found is Side.NONE and _PART.search(text):
        for side, written in _IN_NAME.items():
            if written.search(text.strip().rstrip(".)")):
                found |= side
    return found
