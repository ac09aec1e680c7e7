"""Names in Greek and Cyrillic letters as machines write them in Latin ones; pure.

Passports, hospitals and machines each write them their own way, so a word has one plain form in
which the usual ways meet: `Щербакова`, `Shcherbakova` and `Scherbakowa` are the same word.
"""

from __future__ import annotations

import re

_CYRILLIC = {
    **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziiklmnoprstufye", strict=True)),
    "ё": "e",
    "ж": "zh",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "iu",
    "я": "ia",
    "і": "i",
    "ї": "i",
    "є": "ie",
    "ґ": "g",
    "ў": "u",
    "ђ": "d",
    "ћ": "c",
    "љ": "li",
    "њ": "ni",
    "џ": "dz",
    "ј": "i",
    "ѓ": "g",
    "ќ": "k",
    "ѕ": "dz",
}
"""Letter by letter after ICAO 9303 part 3, section 6; Serbian and Macedonian letters beside it."""

_GREEK_PAIRS = {
    "ου": "ou",
    "αυ": "av",
    "ευ": "ev",
    "ηυ": "iv",
    "μπ": "b",
    "ντ": "nt",
    "γκ": "gk",
    "γγ": "ng",
    "γχ": "nch",
    "γξ": "nx",
}
_GREEK = {
    **dict(zip("αβγδεζηικλμνξοπρστυφω", "avgdeziiklmnxoprstyfo", strict=True)),
    "θ": "th",
    "χ": "ch",
    "ψ": "ps",
    "ς": "s",
}
"""After ELOT 743; `υ` stands here as `y`, and in a pair as the pair says."""

_MEET = (
    ("shch|sch(?=[aeiouy])|szcz|tsch", "sh"),
    ("dzh|zh|dz|ž", "z"),
    ("sh|sz|š", "s"),
    ("ph", "f"),
    ("th", "t"),
    ("tch|ch|cz|kh|ts|tz|x|h", "k"),
    ("ck|c|q|gk|ng|g", "k"),
    ("w|b|mp", "v"),
    ("nt|nd|d", "t"),
    ("ou|oo|u", "o"),
    ("yi|iy|ii|ij|j|y|ei|oi|ie|ye", "i"),
    ("ia|ya|ja", "a"),
    ("io|yo|jo|iu|yu|ju", "o"),
    ("ai", "e"),
    (r"(.)\1+", r"\1"),
)
"""What is written in several ways, and the one in which they meet; from the longest to the shortest."""


def latin(word: str) -> str:
    """A word in Latin letters, one usual way; what is neither Greek nor Cyrillic stays."""
    low = word.lower()
    for pair, letters in _GREEK_PAIRS.items():
        low = low.replace(pair, letters)
    return "".join(_CYRILLIC.get(c, _GREEK.get(c, c)) for c in low)


def is_other_script(text: str) -> bool:
    """True where a text has Greek or Cyrillic letters."""
    return any("Ͱ" <= c <= "ӿ" for c in text)


def meeting_form(word: str) -> str:
    """The form in which all usual ways to write a word of another script meet.

    It forgets a good deal: compare two words by it only where one of them was in another script.
    """
    form = latin(word)
    for ways, meant in _MEET:
        form = re.sub(ways, meant, form)
    return form
