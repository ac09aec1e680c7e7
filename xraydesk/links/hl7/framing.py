"""Finding messages in the bytes of an MLLP connection, however they were cut up on the way.

Pure and incremental: bytes in, frames and framing errors out. A frame is VT, the message,
FS, CR (HL7 v2 Transport Specification, MLLP release 1 §2.1). Peers cut frames anywhere,
leave out the CR, or put LF and NUL between frames; none of that is an error. What cannot
be a frame comes out as `Broken`, so that somebody sees it; nothing is skipped in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

VT = b"\x0b"
FS = b"\x1c"
CR = b"\r"
MARK = re.compile(rb"[\x0b\x1c]")
BETWEEN = b"\r\n\x00 \t"
"""Bytes that may lie between frames without meaning anything."""

NOISE_BYTES_MAX = 65_536
"""So many bytes outside a frame are kept; what follows them is dropped until the next VT."""

STARTS = (b"\x0bMSH", b"\x0bFHS", b"\x0bBHS")
"""A VT with one of these behind it begins a message, also where the one before has no end."""


class Fault(StrEnum):
    """What can be wrong with the bytes around a message."""

    NO_START = "bytes arrived outside a frame: the start of block (VT) is missing"
    NO_END = "the next message began before the end of block (FS)"
    NOT_ENDED = "the message was begun and not ended in time"
    CUT_OFF = "the connection ended inside the message"
    TOO_LONG = "the message is longer than this desk takes"


@dataclass(frozen=True)
class Frame:
    """One message as it lay between VT and FS."""

    payload: bytes


@dataclass(frozen=True)
class Broken:
    """Bytes that are no whole frame, why, and whether their sender waits for an answer to them."""

    fault: Fault
    payload: bytes
    answered: bool = True


Event = Frame | Broken


def framed(payload: bytes) -> bytes:
    """A message as it goes onto the wire."""
    return VT + payload + FS + CR


class Deframer:
    """The bytes of one connection, in order; at most `bytes_max` of a frame are ever held."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._inside = False
        self._dropping = False

    @property
    def begun(self) -> bool:
        """True while something was begun that is not ended: the connection's deadline runs."""
        return self._inside or self._dropping or bool(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """What became complete, or broke, with these bytes, in the order in which it was sent.

        After a `Broken` with Fault.TOO_LONG the connection is to be closed; what follows
        is not looked at.
        """
        events: list[Event] = []
        at = 0
        while at < len(data):
            at = self._inside_frame(data, at, events) if self._inside else self._outside(data, at, events)
        return events

    def give_up(self, fault: Fault) -> list[Event]:
        """What is left over when the deadline passed or the connection ended; empty where nothing is."""
        held = bytes(self._buffer)
        inside, self._inside, self._dropping = self._inside, False, False
        self._buffer.clear()
        if not inside and not held:
            return []
        return [Broken(fault if inside else Fault.NO_START, held, answered=inside)]

    def _outside(self, data: bytes, at: int, events: list[Event]) -> int:
        """Look for the next start of block from `at` on; the place behind it."""
        found = MARK.search(data, at)
        stop = found.start() if found else len(data)
        self._hold_noise(data[at:stop])
        if found is None:
            return stop
        if self._buffer:
            # An FS behind them means that the sender took them for a message, and waits.
            events.append(Broken(Fault.NO_START, bytes(self._buffer), answered=found[0] == FS))
            self._buffer.clear()
        self._dropping = False
        self._inside = found[0] == VT
        return stop + 1

    def _hold_noise(self, noise: bytes) -> None:
        kept = noise if self._buffer else noise.lstrip(BETWEEN)
        room = NOISE_BYTES_MAX - len(self._buffer)
        self._dropping = self._dropping or len(kept) > room
        self._buffer += kept[:room]

    def _inside_frame(self, data: bytes, at: int, events: list[Event]) -> int:
        """Look for the end of block from `at` on; the place behind it."""
        end = data.find(FS, at)
        stop = len(data) if end < 0 else end
        room = self._bytes_max - len(self._buffer)
        self._buffer += data[at : min(stop, at + room)]
        if stop - at <= room and end < 0:
            return stop
        self._inside = False
        whole = bytes(self._buffer)
        self._buffer.clear()
        if stop - at > room:
            events.append(Broken(Fault.TOO_LONG, whole))
            return len(data)
        events += _whole(whole)
        return stop + 1


def _whole(payload: bytes) -> list[Event]:
    """The frame, with what came before it where another start of block lies inside."""
    events: list[Event] = []
    at = max(payload.rfind(start) for start in STARTS)
    if at >= 0:
        for lost in _parts(payload[:at]):
            events.append(Broken(Fault.NO_END, lost))
        payload = payload[at + 1 :]
    if payload.strip(BETWEEN):
        events.append(Frame(payload))
    return events


def _parts(payload: bytes) -> list[bytes]:
    parts = []
    while (at := max(payload.rfind(start) for start in STARTS)) >= 0:
        parts.append(payload[at + 1 :])
        payload = payload[:at]
    return [part for part in [payload, *reversed(parts)] if part.strip(BETWEEN)]
