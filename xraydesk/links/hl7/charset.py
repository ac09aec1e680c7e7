"""Turning a message's bytes into text, also where it says nothing of its character set, or lies.

The order in which is tried: a byte-order mark; UTF-8 where the bytes are valid UTF-8 and not
plain ASCII (text of another 8-bit set hardly ever is, so this also unmasks MSH-18 8859/1 over
UTF-8); what MSH-18 names; the link's fall-back; at last Latin-1, in which every byte means
something. The raw bytes are kept by whoever asks; this never fails.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

CODECS = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "ISO IR6": "ascii",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "euc_tw",
    "BIG-5": "big5",
}
"""HL7 table 0211 to Python's codecs. A name that is not here counts as no name."""

OTHER_CODECS = re.compile(r"iso8859-\d+|cp125\d|cp437|cp85[0-8]|cp86[0-6]|koi8-[ru]|utf-8|ascii|mac-roman")
"""Python's codecs that a site file may name besides: 8-bit ones in which ASCII is ASCII."""

LAST_RESORT = "iso8859-1"


@dataclass(frozen=True)
class Decoded:
    """A message's text, the codec it was read with, and whether that is what MSH-18 named."""

    text: str
    codec: str
    as_named: bool


def codec_of(name: str) -> str:
    """Python's codec for what MSH-18 or a site file calls a character set; empty where it is none for messages."""
    wanted = name.strip()
    if known := CODECS.get(wanted.upper()):
        return codecs.lookup(known).name
    try:
        found = codecs.lookup(wanted).name
    except (LookupError, ValueError):  # ValueError: a name with NUL in it
        return ""
    return found if OTHER_CODECS.fullmatch(found) else ""


def decoded(raw: bytes, *, named: str, fallback: str) -> Decoded:
    """The text of `raw`, whatever MSH-18 (`named`) says of it. NUL, which no text needs, is left out."""
    wanted = codec_of(named)
    marked = raw.startswith(codecs.BOM_UTF8)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    # Some engines put the mark before bytes of another character set: it promises nothing.
    tries = ["utf-8", wanted, codec_of(fallback)]
    if raw.isascii() and wanted and not marked:
        tries.insert(0, wanted)
    for codec in tries:
        if codec:
            try:
                return _decoded(raw, codec, wanted)
            except ValueError:
                continue
    return _decoded(raw, LAST_RESORT, wanted)


def _decoded(raw: bytes, codec: str, wanted: str) -> Decoded:
    return Decoded(raw.decode(codec).replace("\x00", ""), codec, as_named=codec == wanted)
