"""One MLLP connection of ours to another system: a message goes out, and its own answer is waited for."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from types import TracebackType

from xraydesk.links.hl7.reader import Unreadable, read_message
from xraydesk.siteplan.link_plan import OutlinkPlan

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 20.0
ANSWER_BYTES_MAX = 1_048_576
STRAY_ANSWERS_MAX = 5
"""Answers to earlier messages that are passed over while the right one is waited for (row 4 of the faults)."""

TAKEN = frozenset({"AA", "CA"})


class NotReached(ConnectionError):
    """The other system could not be connected to: the message is sent again, and nothing is wrong with it."""


class NoAnswer(ConnectionError):
    """The other system hung up, or did not answer this message in time: it is sent again."""


class Later(NoAnswer):
    """The other system asks to be tried again, and no sooner than after `seconds_min`."""

    def __init__(self, words: str, seconds_min: int = 0) -> None:
        super().__init__(words)
        self.seconds_min = seconds_min


@dataclass(frozen=True)
class Answered:
    """What the other system said of a message: its code (AA, AE, AR, CA, CE, CR), its words, its bytes."""

    code: str
    words: str
    raw: bytes

    @property
    def is_taken(self) -> bool:
        """True where it was taken."""
        return self.code in TAKEN


class Wire:
    """A connection that is opened when the first message goes, and closed after any failure."""

    def __init__(self, to: OutlinkPlan) -> None:
        self._to = to
        self._socket: socket.socket | None = None
        self._kept = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._kept = None, b""

    def ask(self, raw: bytes, *, number: str, sequence: int = 0) -> Answered:
        """Send one message and wait for the answer that names it (MSA-2). Over a wire its `sequence` means nothing.

        Raises OSError where none came, NotReached where nobody listens; the connection is closed then.
        """
        try:
            try:
                connection = self._connected()
            except OSError as away:
                raise NotReached(away.strerror or str(away) or type(away).__name__) from away
            connection.sendall(b"\x0b" + raw + b"\x1c\r")
            deadline = time.monotonic() + ANSWER_SECONDS_MAX
            for _ in range(STRAY_ANSWERS_MAX):
                answered = _read(self._frame(connection, deadline), number)
                if answered is not None:
                    return answered
            raise NoAnswer("it answers other messages than the one that was sent")
        except OSError:
            self.close()
            raise

    def _connected(self) -> socket.socket:
        if self._socket is None:
            plain = self._socket = socket.create_connection(
                (self._to.host, self._to.port), CONNECT_SECONDS_MAX
            )
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._to.tls:
                context = ssl.create_default_context(cafile=self._to.authority or None)
                if self._to.certificate:
                    context.load_cert_chain(self._to.certificate, self._to.key)
                self._socket = context.wrap_socket(plain, server_hostname=self._to.host)
        return self._socket

    def _frame(self, connection: socket.socket, deadline: float) -> bytes:
        while b"\x1c" not in self._kept:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoAnswer("it did not answer in time")
            connection.settimeout(left)
            part = connection.recv(65536)
            if not part:
                raise NoAnswer("it hung up before it answered")
            self._kept += part
            if len(self._kept) > ANSWER_BYTES_MAX:
                raise NoAnswer("its answer is longer than any should be")
        frame, _, self._kept = self._kept.partition(b"\x1c")
        return frame.lstrip(b"\r\n\x0b\x00")


def _read(frame: bytes, number: str) -> Answered | None:
    """The answer in a frame; None where it is to another message."""
    try:
        message = read_message(frame, fallback="iso8859-1")
    except Unreadable:
        raise NoAnswer("its answer is no HL7 v2 message") from None
    msa = message.first("MSA")
    if msa.get(2).strip() != number:
        return None
    words = " ".join(part for part in (msa.get(3), message.first("ERR").get(8)) if part)
    return Answered(msa.get(1).strip().upper(), words, frame)
