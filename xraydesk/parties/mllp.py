"""A plain MLLP sender, as any EHR has one."""

from __future__ import annotations

import socket
from types import TracebackType

from xraydesk.parties.department import Address

ANSWER_BYTES_MAX = 1_048_576
ANSWER_SECONDS_MAX = 20.0
CONNECT_SECONDS_MAX = 2.0


class NoAnswer(ConnectionError):
    """The desk closed the connection or did not answer in time; the message is sent again."""


def escaped(text: str) -> str:
    """`text` with HL7's separators escaped (HL7 2.5.1 §2.7.1)."""
    for plain, code in (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\")):
        text = text.replace(plain, code) if plain != "\\" else text.replace("\\", "\\E\\")
    return text


class Sender:
    """One connection that sends a message and waits for its answer."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket: socket.socket | None = None

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def ask(self, message: str) -> str:
        """Send one message and return the acknowledgement code (`AA`, `AE`, `AR`).

        Raises OSError (NoAnswer among them) where the desk is not there or does not answer.
        """
        try:
            if self.socket is None:
                self.socket = socket.create_connection(
                    (self.address.host, self.address.port), CONNECT_SECONDS_MAX
                )
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.settimeout(ANSWER_SECONDS_MAX)
            self.socket.sendall(b"\x0b" + message.encode() + b"\x1c\r")
            answer = b""
            while b"\x1c" not in answer:
                part = self.socket.recv(65536)
                if not part or len(answer) > ANSWER_BYTES_MAX:
                    raise NoAnswer("the desk hung up before it answered")
                answer += part
        except OSError:
            self.close()
            raise
        for segment in answer.strip(b"\x0b\x1c\r\n").split(b"\r"):
            fields = segment.split(b"|")
            if fields[0] == b"MSA" and len(fields) > 1:
                return fields[1].decode("ascii", "replace")
        raise NoAnswer("the answer has no MSA segment")
