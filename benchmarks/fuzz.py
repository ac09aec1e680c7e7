"""Fuzzing: changed bytes at the upper layer of DICOM and at the readers, for as long as is asked, guided by what they reach.

Method. Each target of `tests/fuzzing.py` is a real part of the desk without sockets, threads or database:
the listener's associations with all that lies behind them (PDUs, states, DIMSE, data sets, worklist, steps,
promises), the reader of objects and of files, the picture, the frames and messages of HL7 v2. It is fed a
sound input of our own making, changed once or several times: bits, bytes, lengths at their limits, pieces
left out, doubled, moved, or taken from another input. At the upper layer half of the changes keep the shape:
PDUs in another order, doubled, left out, taken from another conversation, cut into pieces of a byte or put
together; values changed with lengths that fit, or lengths alone; and each beginning is first cut off at every byte.
Python's tracing says which lines follow which in
`xraydesk/links`; an input that goes where none went before is kept, and changed in turn. At the end the
fewest inputs are kept that go everywhere (`tests/seeds`), which a test plays again. What fails in a way
that is not promised is printed once for each place, with its input. Memory is told at the first tenth and
at the end. It lowers its own priority.

    python benchmarks/fuzz.py [minutes [target …]]
"""

from __future__ import annotations

import os
import random
import struct
import sys
import time
import traceback
import warnings
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
LINKS = str(ROOT / "xraydesk" / "links")
INPUT_BYTES_MAX = 6_000
SLOW_SECONDS = 3.0
TURN_SECONDS = 20.0
"""So long one target is tried before the next has its turn."""
INTERESTING = [
    *(bytes([n]) for n in (0, 1, 2, 3, 0x0B, 0x0D, 0x1C, 0x5C, 0x7F, 0x80, 0xFE, 0xFF)),
    *(struct.pack("<L", n) for n in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 65_536)),
    *(struct.pack(">L", n) for n in (1, 6, 0x7FFFFFFF, 1_048_577)),
    *(struct.pack("<H", n) for n in (0, 0xFFFF, 0x8000, 0x0101)),
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"SQ\0\0\xff\xff\xff\xff", b"UN\0\0\xff\xff\xff\xff", b"OB\0\0\xff\xff\xff\xff", b"IS", b"DS", b"PN", b"LO", b"SQ", b"US",
    b"ISO_IR 192", b"ISO 2022 IR 87", b"\x1b$B", b"\x1b(B", b"\\", b"^", b"*", b"?", b"../", b"nan", b"inf", b"1e400",
    b"\r", b"\n", b"|", b"~", b"&", b"\\X0D\\", b"\\.br\\", b'""', b"\x0b", b"\x1c\r", b"-", b"99999999",
]  # fmt: skip


class Reached:
    """Which line was followed by which, in the files of the links, while a call ran."""

    def __init__(self) -> None:
        self.arcs: set[int] = set()
        self._files: dict[str, int] = {}

    def of(self, call: Callable[[], None]) -> set[int]:
        """Run it; raises what it raises."""
        self.arcs = set()
        sys.settrace(self._called)
        try:
            call()
        finally:
            sys.settrace(None)
        return self.arcs

    def _called(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(LINKS):
            return None
        number = self._files.setdefault(name, len(self._files) + 1) << 32
        last, arcs = 0, self.arcs

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                arcs.add(number | last << 16 | frame.f_lineno)
                last = frame.f_lineno
            return line

        return line


def changed(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """`data` with one to eight changes."""
    told = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4, 8))):
        at = chance.randrange(len(told) + 1)
        size = min(chance.choice((1, 2, 4, 8, 32, 200)), len(told) - at)
        kind = chance.randrange(8)
        if kind == 0 and told:
            told[at % len(told)] ^= 1 << chance.randrange(8)
        elif kind == 1 and told:
            told[at % len(told)] = chance.randrange(256)
        elif kind == 2:
            new = chance.choice(INTERESTING)
            told[at : at + len(new)] = new
        elif kind == 3:
            told[at:at] = chance.choice(INTERESTING)
        elif kind == 4:
            del told[at : at + size]
        elif kind == 5:
            told[at:at] = told[at : at + size] * chance.choice((1, 1, 1, 20))
        elif kind == 6:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            told[at : at + size] = other[start : start + chance.choice((8, 64, 600))]
        else:
            del told[at:]
    return bytes(told[:INPUT_BYTES_MAX])


def pdus_of(data: bytes) -> list[bytes]:
    """The PDUs of a conversation by their lengths; what fits none is the last one."""
    found, start = [], 0
    while start < len(data):
        end = start + 6 + int.from_bytes(data[start + 2 : start + 6].ljust(4, b"\0"), "big")
        found.append(data[start:end])
        start = end
    return found


def values_of(pdu: bytes) -> list[tuple[bytes, bytes]]:
    """Head (context and control) and bytes of each value of a P-DATA-TF."""
    found, start = [], 6
    while start + 6 <= len(pdu):
        end = start + 4 + int.from_bytes(pdu[start : start + 4], "big")
        found.append((pdu[start + 4 : start + 6], pdu[start + 6 : end]))
        start = max(end, start + 6)
    return found


def data_pdu(values: list[tuple[bytes, bytes]]) -> bytes:
    """One P-DATA-TF of these values, its lengths right."""
    body = b"".join(struct.pack(">L", len(data) + 2) + head + data for head, data in values)
    return struct.pack(">BxL", 4, len(body)) + body


def in_pieces(values: list[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    """The values cut into pieces of so many bytes; the last of each alone says that it is the last."""
    found = []
    for head, data in values:
        starts = range(0, max(len(data), 1), size)
        for start in starts:
            control = head[1] if start == starts[-1] else head[1] & ~2
            found.append((bytes([head[0], control]), data[start : start + size]))
    return found


def changed_pdus(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A conversation with one to eight changes to its PDUs."""
    pdus = pdus_of(data[1:])
    for _ in range(chance.choice((1, 1, 2, 2, 4, 8))):
        at = chance.randrange(len(pdus) + 1)
        here = pdus[at] if at < len(pdus) else b""
        values = values_of(here) if here[:1] == b"\4" else []
        kind = chance.randrange(9)
        if kind == 0:
            pdus[at : at + 1] = []
        elif kind == 1:
            pdus[at:at] = [here] * chance.choice((1, 1, 3, 20))
        elif kind == 2:
            pdus.insert(chance.randrange(len(pdus) + 1), here)
            pdus[at : at + 1] = []
        elif kind == 3:
            pdus.insert(at, chance.choice(pdus_of(chance.choice(others)[1:]) or [b""]))
        elif kind == 4 and values:
            pieces = in_pieces(values, chance.choice((1, 2, 7, 100)))
            pdus[at : at + 1] = (
                [data_pdu(pieces)] if chance.random() < 0.5 else [data_pdu([p]) for p in pieces]
            )
        elif kind == 5 and values:
            following = values_of(pdus[at + 1]) if pdus[at + 1 : at + 2] and pdus[at + 1][:1] == b"\4" else []
            pdus[at : at + 2] = [data_pdu(values + following)]
        elif kind == 6 and values:
            which = chance.randrange(len(values))
            head, value = values[which]
            if chance.random() < 0.3:
                head = bytes([chance.choice((head[0], 0, 1, 3, 5, 255)), chance.randrange(4)])
            else:
                value = changed(value, others, chance)
            values[which] = (head, value)
            pdus[at : at + 1] = [data_pdu(values)]
        elif kind == 7 and len(here) > 6:
            where = chance.choice((2, 6)) if values else 2
            length = int.from_bytes(here[where : where + 4], "big") + chance.choice((-2, -1, 1, 2, 1_048_576))
            pdus[at] = here[:where] + struct.pack(">L", length % 2**32) + here[where + 4 :]
        else:
            body = bytes(chance.choice((4, 4, 4, 0, 5, 74)))
            pdus.insert(at, struct.pack(">BxL", chance.randrange(9), len(body)) + body)
    return (data[:1] + b"".join(pdus))[:INPUT_BYTES_MAX]


class Fuzzed:
    """One target: what is kept of its inputs, what they reach, what failed."""

    def __init__(self, name: str) -> None:
        from tests import fuzzing

        self.name = name
        self._run = fuzzing.TARGETS[name]
        self._reached = Reached()
        self.kept: dict[bytes, set[int]] = {}
        self.everywhere: set[int] = set()
        self.tries = 0
        self.seconds = 0.0
        self.found: dict[str, bytes] = {}
        beginnings = fuzzing.beginnings(name)
        for data in (*beginnings, *fuzzing.seeds(name)):
            self._try(data)
        self._change = (changed, changed_pdus) if name == "upper_layer" else (changed,)
        for data in beginnings if name == "upper_layer" else ():
            for end in range(len(data)):
                self._try(data[:end])

    def turn(self, seconds: float, chance: random.Random) -> None:
        """Try changed inputs for so long."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            inputs = [*self.kept]
            # What was found last has been changed the least.
            source = inputs[-1 - int(len(inputs) * chance.random() ** 2)]
            self._try(chance.choice(self._change)(source, inputs, chance))
        self.seconds += time.monotonic() - begun

    def _try(self, data: bytes) -> None:
        self.tries += 1
        begun = time.process_time()
        try:
            arcs = self._reached.of(lambda: self._run(data))
        except Exception as error:  # what is looked for
            self._tell(error, data)
            return
        if time.process_time() - begun > SLOW_SECONDS:
            self._tell(TimeoutError("slow"), data)
        if not arcs <= self.everywhere:
            self.everywhere |= arcs
            self.kept[data] = arcs

    def _tell(self, error: Exception, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if frame.filename.startswith(str(ROOT / "xraydesk"))]
        place = ours[-1] if ours else frames[-1] if frames else None
        key = (
            f"{type(error).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"
            if place
            else str(error)
        )
        if isinstance(error, AssertionError) and not ours:
            key = f"{type(error).__name__}: {error}"
        if key not in self.found:
            self.found[key] = data
            print(f"{self.name}: {key}: {str(error)[:200]}\n  {b64encode(data).decode()}", flush=True)

    def fewest(self) -> list[bytes]:
        """Inputs that go everywhere, small ones first: each adds something."""
        seen: set[int] = set()
        chosen = []
        for data in sorted(self.kept, key=lambda data: len(data) / (1 + len(self.kept[data]))):
            if not self.kept[data] <= seen:
                seen |= self.kept[data]
                chosen.append(data)
        return chosen


def resident_mb() -> float:
    """This process's memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(minutes: float, names: list[str]) -> None:
    """Fuzz, tell, keep."""
    os.nice(19 - os.nice(0))
    os.environ.setdefault("XRAYDESK_SECRET_KEY", "fuzz")
    os.environ["DJANGO_SETTINGS_MODULE"] = "xraydesk.project.settings"
    sys.path.insert(0, str(ROOT))
    import logging

    import django

    django.setup()
    logging.disable()
    warnings.simplefilter("ignore")
    from tests import fuzzing

    targets = [Fuzzed(name) for name in names or [*fuzzing.TARGETS]]
    chance = random.Random(time.time_ns())
    begun, early = time.monotonic(), 0.0
    while (gone := time.monotonic() - begun) < minutes * 60:
        for target in targets:
            target.turn(min(TURN_SECONDS, minutes * 60 / len(targets)), chance)
        if not early and gone * 10 >= minutes * 60:
            early = resident_mb()
    for target in targets:
        kept = target.fewest()
        fuzzing.keep_seeds(target.name, kept)
        print(
            f"{target.name:12} {target.seconds / 60:6.1f} min {target.tries:9} inputs {target.tries / max(target.seconds, 1):7.0f}/s "
            f"{len(target.everywhere):6} steps reached, {len(kept):4} seeds of {sum(map(len, kept)) / 1000:.0f} kB, "
            f"{len(target.found)} failures"
        )
    print(f"memory: {early:.0f} MB after a tenth, {resident_mb():.0f} MB at the end")
    if any(target.found for target in targets):
        sys.exit(1)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2:])
