"""The parts of a WADO-RS answer (multipart/related, PS3.18 8.6.1.2.1), taken apart as their bytes come in. Pure.

python-multipart finds the boundaries; no part is held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

MULTIPART = "multipart/related"
DICOM = "application/dicom"

ACCEPT = f'{MULTIPART}; type="{DICOM}"; transfer-syntax=*'
"""Objects as DICOM files, each in the transfer syntax in which the archive keeps it (PS3.18 8.7.3.5.2)."""

HEADERS_A_PART_MAX = 16
HEADER_BYTES_MAX = 4_096
PARTS_MAX = 2_500


class BadParts(ValueError):
    """What was answered is no message in parts, or it is broken; the message says how, in words."""


@dataclass(frozen=True)
class Begins:
    """A part begins: what it holds, by its Content-Type, in small letters."""

    content_type: str


@dataclass(frozen=True)
class Goes:
    """Some bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True)
class Ends:
    """The part that began last is whole."""


Event = Begins | Goes | Ends


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts. Raises BadParts where the answer is no message of DICOM parts."""
    message = Message()
    message["Content-Type"] = "".join(c for c in content_type if c >= " ")
    if message.get_content_type() != MULTIPART:
        raise BadParts(f"it answers with {message.get_content_type()}, not with parts ({MULTIPART})")
    kind = message.get_param("type", DICOM)
    if not isinstance(kind, str) or kind.lower() != DICOM:
        raise BadParts(f"its parts are not {DICOM}")
    try:
        boundary = (message.get_boundary() or "").encode("ascii")
    except UnicodeEncodeError:
        boundary = b""
    if not boundary or len(boundary) > 70:
        # RFC 2046 5.1.1: a boundary has 1 to 70 characters.
        raise BadParts("it does not say what stands between its parts")
    return boundary


class PartReader:
    """Takes a message apart. Feed it the bytes as they come, then `finish` it; raises BadParts for what is none."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[Event] = []
        self._name = self._value = b""
        self._content_type = ""
        self._parts = 0
        self._is_over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._take_name,
                "on_header_value": self._take_value,
                "on_header_end": self._take_header,
                "on_headers_finished": self._go,
                "on_part_data": self._take_data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
            max_header_count=HEADERS_A_PART_MAX,
            max_header_size=HEADER_BYTES_MAX,
        )

    def feed(self, piece: bytes) -> Iterator[Event]:
        """What some more bytes hold."""
        if self._is_over:
            return  # whatever follows the last boundary is no part (RFC 2046 5.1.1)
        try:
            self._parser.write(piece)
        except FormParserError:
            raise BadParts("what stands between its parts is broken") from None
        events, self._events = self._events, []
        yield from events

    def finish(self) -> None:
        """Say that no more bytes come. Raises BadParts where the last boundary has not come."""
        if not self._is_over:
            raise BadParts("its answer broke off in the midst of its parts")

    def _begin(self) -> None:
        self._content_type = ""
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise BadParts(f"it answers with more than {PARTS_MAX:,} parts")

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _take_header(self) -> None:
        if self._name.lower() == b"content-type":
            self._content_type = self._value.partition(b";")[0].strip().lower().decode("latin-1")
        self._name = self._value = b""

    def _go(self) -> None:
        self._events.append(Begins(self._content_type))

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(Goes(data[start:end]))

    def _end(self) -> None:
        self._events.append(Ends())

    def _finish(self) -> None:
        self._is_over = True
