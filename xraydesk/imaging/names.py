"""When two spellings are one person's name; pure."""

from __future__ import annotations

from itertools import product

from xraydesk.lib.text import folded

_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
"""Letters that Unicode does not take apart into a plain one and a mark."""

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""The other usual way to write these where a machine has no marks."""

_NAME_GROUPS = 3
"""PS3.5 section 6.2.1: alphabetic, ideographic and phonetic, parted by `=`."""


def same_name(one: str, other: str) -> bool:
    """True where two names, as DICOM writes them (`Family^Given^…=…`), are one person's.

    Case, accents, punctuation, middle names, titles and suffixes do not count, nor does the
    order where one of them was typed into a single field; `ü` may stand as `u` or `ue`. Any
    group of letters (alphabetic, ideographic, phonetic) of one may agree with any of the other.
    """
    return any(_same_group(a, b) for a, b in product(_groups(one), _groups(other)))


def _groups(name: str) -> list[str]:
    return [group for group in name.split("=", _NAME_GROUPS - 1) if group.replace("^", "").strip()]


def _same_group(one: str, other: str) -> bool:
    return any(
        _family_and_given(a) == _family_and_given(b) or _words(a) == _words(b)
        for a in _spellings(one)
        for b in _spellings(other)
    )


def _spellings(group: str) -> set[str]:
    """The group without accents, and the same with `ü` as `ue`."""
    low = group.lower()
    return {folded(low.translate(_LETTERS)), folded(low.translate(_GERMAN).translate(_LETTERS))}


def _family_and_given(group: str) -> tuple[str, str]:
    """Family name and first given name; two parts at least are needed to say so."""
    parts = [_plain(part) for part in group.split("^")]
    given = parts[1].split() if len(parts) > 1 else []
    return (parts[0], given[0]) if given and parts[0] else (" ".join(parts), "")


def _words(group: str) -> list[str]:
    return sorted(_plain(group).split())


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text).split())
