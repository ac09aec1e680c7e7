"""When two spellings are one person's name, and how far apart they are where not; pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from itertools import product

from xraydesk.imaging.letters import is_other_script, meeting_form
from xraydesk.lib.text import folded

_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
"""Letters that Unicode does not take apart into a plain one and a mark."""

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""The other usual way to write these where a machine has no marks."""

_NAME_GROUPS = 3
"""PS3.5 section 6.2.1: alphabetic, ideographic and phonetic, parted by `=`."""

_GROUP_LENGTH_MAX = 64
"""PS3.5 table 6.2-1: a machine is given no more of a name, and writes no more of it into an image."""

NEAR_LETTERS_MIN = 5
"""In a shorter family name one letter makes another name; in a given name always: twins are named alike."""

_PARTICLES = frozenset(
    {
        "al",
        "bin",
        "da",
        "de",
        "del",
        "della",
        "der",
        "di",
        "do",
        "dos",
        "du",
        "el",
        "la",
        "le",
        "van",
        "von",
        "y",
        "zu",
    }
)

NUMBER_AS_NAME = "NO. "
"""How a name begins that a number stands for."""


def number_as_name(number: str) -> str:
    """What a machine is given as the name of a patient whose name it cannot show at all."""
    return NUMBER_AS_NAME + "".join(" " if c in "^=\\" else c for c in number)[: 64 - len(NUMBER_AS_NAME)]


def stands_for_name(name: str, numbers: Iterable[str]) -> bool:
    """True where an image carries, in place of a name, one of its patient's numbers as a worklist gave it."""
    said = folded(name.replace("^", " "))
    return any(said == folded(number_as_name(number)) for number in numbers if number)


class Likeness(StrEnum):
    """How alike two names are."""

    SAME = "same"
    NEAR = "near"
    """One letter of the family name is another, missing or too many; the given name is the same."""
    FAMILY_DIFFERS = "family differs"
    """The given name is the same and the family name another, as after a marriage."""
    OTHER = "other"


def same_name(one: str, other: str) -> bool:
    """True where two names, as DICOM writes them (`Family^Given^…=…`), are one person's.

    Case, accents, punctuation, middle names, titles and suffixes do not count, nor does the
    order where one of them was typed into a single field; `ü` may stand as `u` or `ue`. Greek and
    Cyrillic letters may stand in Latin ones in any usual way. Of a double family name one part
    is enough, and particles (van, de, al) may be left out. Any group of letters (alphabetic,
    ideographic, phonetic) of one may agree with any of the other. Of a name that is longer than an image can
    carry, as much counts as it can.
    """
    return likeness(one, other) is Likeness.SAME


def likeness(one: str, other: str) -> Likeness:
    """How alike two names are; where they have several groups of letters, the most alike ones decide."""
    found = {_group_likeness(a, b) for a, b in product(_groups(one), _groups(other))}
    return next((way for way in Likeness if way in found), Likeness.OTHER)


def _groups(name: str) -> list[str]:
    groups = (group[:_GROUP_LENGTH_MAX].rstrip("^ ") for group in name.split("=", _NAME_GROUPS - 1))
    return [group for group in groups if group.replace("^", "").strip()]


def _group_likeness(one: str, other: str) -> Likeness:
    if is_other_script(one) != is_other_script(other):
        pairs = [(_in_meeting_letters(one), _in_meeting_letters(other))]
    else:
        pairs = list(product(_spellings(one), _spellings(other)))
    found = {_spelt_likeness(a, b) for a, b in pairs}
    return next(way for way in Likeness if way in found)


def _in_meeting_letters(group: str) -> str:
    """The group, each word in the form in which usual ways to write another script meet."""
    return "^".join(
        " ".join(meeting_form(word) for word in _plain(folded(part)).split()) for part in group.split("^")
    )


def _spellings(group: str) -> list[str]:
    """The group without accents, and the same with `ü` as `ue`."""
    low = group.lower()
    return sorted({folded(low.translate(_LETTERS)), folded(low.translate(_GERMAN).translate(_LETTERS))})


def _spelt_likeness(one: str, other: str) -> Likeness:
    (family, given), (other_family, other_given) = _family_and_given(one), _family_and_given(other)
    if (family, given) == (other_family, other_given) or _words(one) == _words(other):
        return Likeness.SAME
    if not given or not other_given:
        return Likeness.OTHER
    if given == other_given:
        if _shares_a_part(family, other_family):
            return Likeness.SAME
        return Likeness.NEAR if _one_letter_apart(family, other_family) else Likeness.FAMILY_DIFFERS
    return Likeness.OTHER


def _shares_a_part(family: str, other: str) -> bool:
    """True where one family name is a part of the other's double name, particles left out."""
    one, two = (frozenset(name.split()) - _PARTICLES for name in (family, other))
    return bool(one and two) and (one <= two or two <= one)


def _one_letter_apart(one: str, other: str) -> bool:
    """True for two longer words of which one letter is changed, missing, or has changed places with the next."""
    if min(len(one), len(other)) < NEAR_LETTERS_MIN or abs(len(one) - len(other)) > 1:
        return False
    same_before = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    a, b = one[same_before:], other[same_before:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _family_and_given(group: str) -> tuple[str, str]:
    """Family name and first given name; two parts at least are needed to say so."""
    parts = [_plain(part) for part in group.split("^")]
    given = parts[1].split() if len(parts) > 1 else []
    return (parts[0], given[0]) if given and parts[0] else (" ".join(parts), "")


def _words(group: str) -> list[str]:
    return sorted(_plain(group).split())


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text).split())
