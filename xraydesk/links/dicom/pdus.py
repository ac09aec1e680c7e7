"""Cuts the bytes of a connection into PDUs and pieces of data, within stated limits (PS3.8 section 9.3).

Pure: bytes in, events out. Data is passed on as it comes, without a copy and without
waiting for the whole PDU, so that memory does not depend on what a length field claims.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

ASSOCIATE_RQ = 0x01
P_DATA = 0x04
DATA_BYTES_MAX = 1_048_576
"""The largest P-DATA-TF that is taken; it is what the desk negotiates (PS3.8 annex D.1)."""
ASSOCIATE_BYTES_MAX = 524_288
"""The largest association request: 128 contexts with 50 transfer syntaxes each need less."""
PDU_TYPES = frozenset(range(1, 8))
_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")


class BrokenPdu(ValueError):
    """The peer sends something that is no PDU, or one larger than was agreed."""


class Pdu(NamedTuple):
    """A whole PDU, header included; of a P-DATA-TF only its beginning is told, with no bytes."""

    type: int
    data: bytes


class Piece(NamedTuple):
    """Some bytes of a presentation data value; `is_end` with the last bytes of this one."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview
    is_end: bool


class PduReader:
    """Takes what a socket gave, in any portions, and yields what is whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._type = 0
        self._pdu_left = 0
        self._context_id = 0
        self._control = 0
        self._piece_left = -1

    @property
    def is_between_pdus(self) -> bool:
        """True where nothing of a next PDU has come yet."""
        return not self._held and not self._type

    def feed(self, data: memoryview) -> Iterator[Pdu | Piece]:
        """Yield what `data` completes; raises `BrokenPdu`. The pieces are views into `data`."""
        position, size = 0, len(data)
        while position < size:
            if self._piece_left >= 0:
                taken = min(self._piece_left, size - position)
                yield self._piece(data[position : position + taken])
                position += taken
                continue
            needed = self._needed() - len(self._held)
            self._held += data[position : position + needed]
            position += min(needed, size - position)
            if len(self._held) == self._needed():
                yield from self._whole()

    def _needed(self) -> int:
        if self._type in (0, P_DATA):
            return 6
        return 6 + self._pdu_left

    def _whole(self) -> Iterator[Pdu | Piece]:
        if self._type == 0:
            yield from self._begin()
        elif self._type == P_DATA:
            yield from self._begin_piece()
        else:
            pdu = Pdu(self._type, bytes(self._held))
            self._held.clear()
            self._type = 0
            yield pdu

    def _begin(self) -> Iterator[Pdu]:
        kind, length = _HEADER.unpack(self._held)
        if kind not in PDU_TYPES:
            raise BrokenPdu(f"there is no PDU of type {kind:#04x}")
        limit = {P_DATA: DATA_BYTES_MAX}.get(kind, ASSOCIATE_BYTES_MAX if kind <= 3 else 4)
        if length > limit or length < (6 if kind == P_DATA else 4):
            raise BrokenPdu(f"a PDU of type {kind} may not be {length} bytes long")
        self._type, self._pdu_left = kind, length
        if kind == P_DATA:
            self._held.clear()
            yield Pdu(P_DATA, b"")

    def _begin_piece(self) -> Iterator[Piece]:
        length, self._context_id, self._control = _PDV_HEADER.unpack(self._held)
        self._held.clear()
        if length < 2 or length + 4 > self._pdu_left:
            raise BrokenPdu("a presentation data value does not fit its PDU")
        self._pdu_left -= length + 4
        if 0 < self._pdu_left < 6:
            raise BrokenPdu("a PDU ends within the header of a presentation data value")
        self._piece_left = length - 2
        if self._piece_left == 0:
            yield self._piece(memoryview(b""))

    def _piece(self, data: memoryview) -> Piece:
        self._piece_left -= len(data)
        is_end = self._piece_left == 0
        if is_end:
            self._piece_left = -1
            if self._pdu_left == 0:
                self._type = 0
        return Piece(self._context_id, bool(self._control & 1), bool(self._control & 2), data, is_end)


def data_pdus(context_id: int, data: bytes, *, is_command: bool, length_max: int) -> Iterator[bytes]:
    """`data` as P-DATA-TF PDUs of one presentation data value each, none longer than the peer takes.

    `length_max` is the peer's maximum length (0 for no limit), which counts what follows
    the PDU's own six bytes.
    """
    room = (length_max or DATA_BYTES_MAX) - 6
    if room < 1:
        raise BrokenPdu("the peer takes no data at all")
    position = 0
    while True:
        part = data[position : position + room]
        position += len(part)
        is_last = position >= len(data)
        control = (1 if is_command else 0) | (2 if is_last else 0)
        yield (
            _HEADER.pack(P_DATA, len(part) + 6) + _PDV_HEADER.pack(len(part) + 2, context_id, control) + part
        )
        if is_last:
            return
