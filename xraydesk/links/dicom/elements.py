"""Data elements of worklist queries and answers as plain values, and their encoding (PS3.5).

A worklist may list a thousand exams; a tree of tuples is matched and encoded many times
faster than a `Dataset`. Reading stays with pydicom, and tests hold the encoding to what
pydicom reads back. Pure.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydicom import charset
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

ITEM = 0xFFFEE000
SPECIFIC_CHARACTER_SET = 0x00080005
KEYS_MAX = 500
DEPTH_MAX = 4
"""Worklist attributes lie at most three sequences deep; a deeper query is refused."""

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Values that the character set of the data set applies to (PS3.5 6.1.2.3)."""
_LONG_VRS = frozenset({"SQ", "UC", "UR", "UT", "UN", "OB", "OW"})
_NUMBERS = {"US": "H", "UL": "L", "SS": "h", "SL": "l"}
_SINGLE_VRS = frozenset({"LT", "ST", "UT", "UR"})
_DELIMITERS = re.compile(r"([\\^=])")
_TO_FIT = {"SH": 16, "LO": 64, "PN": 64, "AE": 16, "CS": 16}


class BadKey(ValueError):
    """A query that cannot be understood; `tag` is the element that is wrong, 0 where it is all of it."""

    def __init__(self, tag: int, why: str) -> None:
        super().__init__(why)
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Element:
    """One data element: text of its values, or the items of a sequence."""

    vr: str
    values: tuple[str, ...] = ()
    items: tuple[Mapping[int, Element], ...] = ()


Tree = Mapping[int, Element]
"""Elements by tag."""


def tree_of(dataset: Dataset, *, depth: int = 0) -> dict[int, Element]:
    """The elements of a data set, group lengths and binary values left out; raises `BadKey`."""
    if depth > DEPTH_MAX or len(dataset) > KEYS_MAX:
        raise BadKey(0, "the query is too deep or too long")
    tree: dict[int, Element] = {}
    for key in sorted(dataset.keys()):
        tag = int(key)
        if tag & 0xFFFF == 0:
            continue
        try:
            element = dataset[key]
        except (
            Exception
        ):  # pydicom lets many kinds through for broken input; a value is decoded when asked for
            raise BadKey(tag, "the value of a key cannot be read") from None
        if element.VR == "SQ":
            items = tuple(tree_of(item, depth=depth + 1) for item in element.value)
            tree[tag] = Element("SQ", items=items)
        else:
            tree[tag] = Element(str(element.VR), tuple(_texts(element.value)))
    return tree


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, MultiValue | list | tuple):
        yield from (str(each) for each in value)
    elif value is not None and not isinstance(value, bytes) and str(value) != "":
        yield str(value)


def fitted(vr: str, text: str) -> str:
    """`text` as one value of a representation: no control characters, no backslash, not too long."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text.strip()[: _TO_FIT.get(vr, 10_240)].rstrip()
    if vr in _SINGLE_VRS:
        return "".join(c for c in text if c >= " " or c in "\n\r\t")
    plain = "".join(" " if c < " " else "/" if c == "\\" else c for c in text).strip()
    return plain[: _TO_FIT.get(vr, 10_240)].rstrip()


def texts_of(tree: Tree) -> Iterator[str]:
    """Every value that a character set must be able to write."""
    for element in tree.values():
        if element.vr in TEXT_VRS:
            yield from element.values
        for item in element.items:
            yield from texts_of(item)


def choose_charset(asked: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """The character set to answer in: the one of the query where it can write every name, else one that can.

    Without one in the query, plain ASCII needs none; then Latin-1, which old machines know
    best, then UTF-8 (PS3.3 C.12.1.1.2).
    """
    terms = tuple(term.strip() for term in asked)
    if can_write(terms, texts):
        return terms
    return ("ISO_IR 100",) if can_write(("ISO_IR 100",), texts) else ("ISO_IR 192",)


def can_write(terms: Sequence[str], texts: Sequence[str]) -> bool:
    """True where every text can be written in the character sets that `terms` name."""
    if all(text.isascii() for text in texts):
        return True
    if not any(terms):
        return False
    if any(term and term not in charset.python_encoding for term in terms):
        return False
    try:
        encodings = _encodings(terms)
        if len(encodings) == 1:
            "".join(texts).encode(encodings[0])
            return True
        for text in texts:
            for part in _DELIMITERS.split(text):
                _encoded_part(part, encodings)
    except (UnicodeError, LookupError):
        return False
    return True


def _encodings(terms: Sequence[str]) -> list[str]:
    """Python's names of character sets; the default repertoire is ASCII, not the Latin-1 that pydicom reads it as."""
    found = charset.convert_encodings(list(terms))
    plain = {"", "ISO_IR 6", "ISO 2022 IR 6"}
    return ["ascii" if term in plain else name for term, name in zip(terms, found, strict=False)]


def _encoded_part(part: str, encodings: Sequence[str]) -> bytes:
    """One component in the first of the character sets that can write it, with its escape sequence."""
    if part.isascii():
        return part.encode("ascii")
    if len(encodings) == 1:
        return part.encode(encodings[0])
    for encoding in encodings:
        try:
            part.encode(encoding)
        except UnicodeError:
            continue
        if encoding == encodings[0]:
            return part.encode(encoding)
        return _escaped(part, encodings[0], encoding)
    raise UnicodeError("no character set of the query can write this")


def _escaped(part: str, first: str, encoding: str) -> bytes:
    """A component between the escape sequences to another character set and back (PS3.5 6.1.2.5.3).

    pydicom takes Latin-1 for the default repertoire: a component that would slip through as
    that is not written here.
    """
    if first != "ascii":
        return bytes(charset.encode_string(part, [first, encoding]))
    if all(c <= "\xff" for c in part):
        raise UnicodeError("no character set of the query can write this")
    return bytes(charset.encode_string(part, [charset.default_encoding, encoding]))


@dataclass(frozen=True)
class Encoder:
    """Writes trees in one transfer syntax (little endian) and character set."""

    is_implicit: bool
    charset: tuple[str, ...] = ()

    def encode(self, tree: Tree) -> bytes:
        """The bytes of a data set, its elements in order of tag."""
        encodings = _encodings(self.charset) if any(self.charset) else ["ascii"]
        return self._encode(tree, encodings)

    def _encode(self, tree: Tree, encodings: Sequence[str]) -> bytes:
        return b"".join(self._element(tag, tree[tag], encodings) for tag in sorted(tree))

    def _element(self, tag: int, element: Element, encodings: Sequence[str]) -> bytes:
        if element.vr == "SQ":
            items = [self._encode(item, encodings) for item in element.items]
            data = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
        else:
            data = _value(element, encodings)
        if self.is_implicit or element.vr in _LONG_VRS:
            return _header(tag, element.vr, self.is_implicit) + len(data).to_bytes(4, "little") + data
        return _header(tag, element.vr, self.is_implicit) + len(data).to_bytes(2, "little") + data


@lru_cache(maxsize=512)
def _header(tag: int, vr: str, is_implicit: bool) -> bytes:
    """Tag and representation, as they stand before the length."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if is_implicit:
        return head
    return head + vr.encode("ascii") + (b"\0\0" if vr in _LONG_VRS else b"")


def _value(element: Element, encodings: Sequence[str]) -> bytes:
    if not element.values:
        return b""
    if element.vr in _NUMBERS:
        return b"".join(struct.pack(f"<{_NUMBERS[element.vr]}", int(value)) for value in element.values)
    text = "\\".join(element.values)
    if text.isascii():
        data = text.encode("ascii")
    elif element.vr in TEXT_VRS:
        data = b"".join(_encoded_part(part, encodings) for part in _DELIMITERS.split(text))
    else:
        data = text.encode("ascii", "replace")
    return data + (b"\0" if element.vr == "UI" else b" ") if len(data) % 2 else data
