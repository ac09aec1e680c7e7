"""Worklist values as a machine can show them that knows a few character sets alone (PS3.5 6.1.2, PS3.3 C.12.1.1.2). Pure.

A name that the machine's letters cannot write is transliterated: Cyrillic after ICAO 9303, Greek after ELOT 743, marks
left out as in a passport. Of its groups (alphabetic, ideographic, phonetic) those stay that can be written. Where nothing
of a patient's name is left, their number stands for it. In other texts the words that are left say so. Nothing is ever
written as a question mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from xraydesk.imaging.letters import is_other_script, latin
from xraydesk.imaging.names import number_as_name
from xraydesk.lib.text import folded
from xraydesk.links.dicom.elements import TEXT_VRS, Element, Tree, can_write, fitted

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020

NOT_SHOWN = "[not shown]"
"""Stands for words in letters that the machine does not have."""

NUMBERS = frozenset(
    {
        0x00080050,  # accession
        0x00080100,  # code
        PATIENT_ID,
        0x00101000,  # other patient IDs
        0x00400009,  # scheduled step
        0x00401001,  # requested procedure
    }
)
"""Never spelt otherwise: one that cannot be written is left out."""

_PASSPORT = {
    "ä": "ae",
    "ö": "oe",
    "ü": "ue",
    "å": "aa",
    "ø": "oe",
    "æ": "ae",
    "œ": "oe",
    "ß": "ss",
    "þ": "th",
    "ð": "d",
    "đ": "d",
    "ł": "l",
    "ı": "i",
    "ħ": "h",
    "ŋ": "n",
    "ŧ": "t",
    "ĸ": "k",
    "’": "'",
    "‘": "'",
    "–": "-",
    "—": "-",
    "…": "...",
}
"""ICAO 9303 part 3, section 6: what a Latin letter is written as without its mark."""

_SPACE = re.compile(r"[^\S\x00-\x7f]")
"""Spaces that are not the ordinary one, such as one that no line breaks at."""

_WORD = re.compile(r"[^\s^=,;/()]+")
_MARKED_TWICE = re.compile(r"\[not shown\](?:\s+\[not shown\])+")


def shown_name(name: str, terms: Sequence[str], *, number: str = "") -> str:
    """A person's name in the letters of `terms`; `number` stands for a patient of whose name nothing is left."""
    if can_write(terms, [name]):
        return name
    alphabetic, *others = _SPACE.sub(" ", name).split("=")
    spelt = _spelt(alphabetic, terms)
    groups = [spelt or "", *(group if can_write(terms, [group]) else "" for group in others)]
    found = "=".join(groups).rstrip("=")
    if found.strip("^= "):
        return found
    stand_in = number_as_name(number) if number else NOT_SHOWN
    return stand_in if can_write(terms, [stand_in]) else NOT_SHOWN


def shown_text(text: str, terms: Sequence[str]) -> str:
    """A text in the letters of `terms`: word by word as it stands, transliterated, or marked as not shown."""
    if can_write(terms, [text]):
        return text
    marked = _WORD.sub(lambda word: _spelt(word[0], terms) or NOT_SHOWN, _SPACE.sub(" ", text))
    return _MARKED_TWICE.sub(NOT_SHOWN, marked)


def _spelt(text: str, terms: Sequence[str]) -> str | None:
    """A text transliterated as far as needed, None where some of it cannot be."""
    found = _WORD.sub(lambda word: _in_latin(word[0], terms), text)
    return found if can_write(terms, [found]) else None


def _in_latin(word: str, terms: Sequence[str]) -> str:
    if can_write(terms, [word]):
        return word
    spelt = latin(folded(word)) if is_other_script(word) else word.lower()
    for letter, plain in _PASSPORT.items():
        spelt = spelt.replace(letter, plain)
    if not can_write(terms, [spelt]):
        spelt = "".join(c for c in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(c))
    return _cased(spelt, word)


def _cased(spelt: str, as_in: str) -> str:
    """Small and capital letters as in the word it stands for."""
    if len(as_in) > 1 and as_in.isupper():
        return spelt.upper()
    capitals = iter(part[:1].isupper() for part in as_in.split("-"))
    parts = (part.capitalize() if next(capitals, False) else part for part in spelt.split("-"))
    return "-".join(parts)


def also_as_shown(tree: Tree, terms: Sequence[str], *, number: str = "") -> dict[int, Element]:
    """An entry to be matched: beside each name the one that the machine shows, so that what is read off it finds it."""
    return {
        tag: _also(element, terms, number=number if tag == PATIENT_NAME else "")
        for tag, element in tree.items()
    }


def _also(element: Element, terms: Sequence[str], *, number: str) -> Element:
    if element.items:
        return Element(element.vr, items=tuple(also_as_shown(item, terms) for item in element.items))
    if element.vr == "PN" and element.values:
        name = element.values[0]
        return Element("PN", tuple(dict.fromkeys((name, shown_name(name, terms, number=number)))))
    return element


def as_shown(tree: Tree, terms: Sequence[str]) -> dict[int, Element]:
    """An answer with every value in the letters of `terms`; of names made by `also_as_shown`, the one that is shown."""
    return {tag: _shown(tag, element, terms) for tag, element in tree.items()}


def _shown(tag: int, element: Element, terms: Sequence[str]) -> Element:
    if element.items:
        items: tuple[Mapping[int, Element], ...] = tuple(as_shown(item, terms) for item in element.items)
        return Element(element.vr, items=items)
    if element.vr not in TEXT_VRS:
        return element
    if element.vr == "PN":
        return Element("PN", tuple(shown_name(value, terms) for value in element.values[-1:]))
    if tag in NUMBERS:
        return Element(element.vr, tuple(value for value in element.values if can_write(terms, [value])))
    return Element(element.vr, tuple(fitted(element.vr, shown_text(v, terms)) for v in element.values))
