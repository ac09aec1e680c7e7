"""One HTTP request of ours: the host is resolved, its addresses are checked, and a checked one is connected to (row 23).

Nothing is resolved a second time, so that a name cannot mean another address once it was checked. Redirects are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from xraydesk.links.outgoing.wire import NoAnswer, NotReached
from xraydesk.links.outside.address_rules import BadUrl, Where, may_connect, read_url

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
"""From the connection to the last byte of the answer, however it dribbles."""

SILENT_SECONDS_MAX = 30.0
"""However long a whole answer may take: nobody says nothing for so long in the midst of one."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
PIECE_BYTES = 262_144
ADDRESSES_MAX = 16
"""A name that has more addresses is not looked at further."""


class Barred(NotReached):
    """The host lies where the site file does not let the desk connect to."""


@dataclass(frozen=True)
class Reach:
    """How far the desk may go: the networks within that are listed, and the file of certificates that are trusted there.

    `certificate` and `key` are the files of the certificate that the desk shows where it is asked for one.
    """

    networks: tuple[str, ...] = ()
    authority: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class HttpAnswer:
    """What the other side answered; the names of `headers` are in small letters."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(
    method: str,
    url: str,
    *,
    reach: Reach,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    seconds_max: float | None = None,
) -> HttpAnswer:
    """Send one request and read its answer, whatever its status; in `seconds_max` from the connection on, where less is to be waited.

    Raises OSError: Barred where the address may not be connected to, NotReached where nobody is there, NoAnswer where
    the answer is none, breaks off, is too long or takes too long.
    """
    with opened(method, url, reach=reach, headers=headers, body=body, seconds_max=seconds_max) as answering:
        whole = b"".join(answering.pieces(bytes_max=ANSWER_BYTES_MAX))
    return HttpAnswer(answering.status, whole, answering.headers)


class Answering:
    """An answer that is coming in: its status and headers are here, its body is read a piece at a time."""

    def __init__(self, answered: http.client.HTTPResponse, connection: _Checked) -> None:
        self._answered, self._connection = answered, connection
        self.status = answered.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in answered.getheaders()}

    def end(self) -> None:
        """Read no more of it; what is not read yet is dropped."""
        self._answered.close()

    def pieces(self, *, bytes_max: int) -> Iterator[bytes]:
        """The body, in pieces of PIECE_BYTES at most. Raises NoAnswer where it breaks off, is longer, or takes too long."""
        size = 0
        while True:
            try:
                piece = self._answered.read(PIECE_BYTES)
            except (OSError, http.client.HTTPException, ValueError) as broken:
                raise self._connection.no_answer(broken) from broken
            if self._connection.is_late:
                raise NoAnswer("it did not answer in time")
            size += len(piece)
            if size > bytes_max:
                raise NoAnswer("its answer is longer than any should be")
            if not piece:
                # http.client says nothing where it was promised more.
                if self._answered.length:
                    raise NoAnswer("its answer broke off")
                return
            yield piece


@contextmanager
def opened(
    method: str,
    url: str,
    *,
    reach: Reach,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    seconds_max: float | None = None,
) -> Iterator[Answering]:
    """Send one request and hand out its answer while it comes in, for what is too large to be held; raises as `ask` does."""
    try:
        where = read_url(url)
    except BadUrl as bad:
        raise Barred(str(bad)) from None
    connection = _Checked(where, reach, seconds_max or ANSWER_SECONDS_MAX)
    try:
        connection.connect()
    except (OSError, ssl.SSLError) as away:
        connection.end()
        if isinstance(away, NotReached):
            raise
        raise NotReached(away.strerror or str(away) or type(away).__name__) from away
    try:
        connection.request(
            method,
            where.target,
            body=body,
            headers={"Host": where.host_header, "Accept-Encoding": "identity", **(headers or {})},
        )
        answering = Answering(connection.getresponse(), connection)
    except (OSError, http.client.HTTPException, ValueError) as broken:
        connection.end()
        raise connection.no_answer(broken) from broken
    try:
        yield answering
    finally:
        answering.end()
        connection.end()


def checked_addresses(where: Where, reach: Reach) -> list[str]:
    """The addresses that the host has now, in the order of the resolver. Raises Barred where any of them may not be connected to."""
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as unknown:
        raise NotReached(f"its name is not known here ({type(unknown).__name__})") from unknown
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))[:ADDRESSES_MAX]
    for address in addresses:
        if not may_connect(address, reach.networks):
            raise Barred("it lies within, where the site file lists no network (networks)")
    return addresses


class _Checked(http.client.HTTPConnection):
    """A connection to one of the addresses that were checked; TLS asks for the certificate of the name."""

    def __init__(self, where: Where, reach: Reach, seconds_max: float) -> None:
        super().__init__(where.host, where.port, timeout=min(seconds_max, SILENT_SECONDS_MAX))
        self._seconds_max = seconds_max
        self._where, self._reach = where, reach
        self._watched: socket.socket | None = None
        self._end: threading.Timer | None = None
        self.is_late = False

    def connect(self) -> None:
        """Resolve, check and connect; from here on the answer has its seconds."""
        self.sock = _opened(checked_addresses(self._where, self._reach), self._where.port)
        self.sock.settimeout(self.timeout)
        self._watched = self.sock.dup()
        self._end = threading.Timer(self._seconds_max, self._hang_up)
        self._end.daemon = True
        self._end.start()
        if self._where.is_tls:
            context = ssl.create_default_context(cafile=self._reach.authority or None)
            if self._reach.certificate:
                context.load_cert_chain(self._reach.certificate, self._reach.key)
            self.sock = context.wrap_socket(self.sock, server_hostname=self._where.host)

    def _hang_up(self) -> None:
        self.is_late = True
        if self._watched is not None:
            with contextlib.suppress(OSError):
                self._watched.shutdown(socket.SHUT_RDWR)

    def no_answer(self, broken: Exception) -> NoAnswer:
        """What went wrong with an answer, in words."""
        if self.is_late or isinstance(broken, TimeoutError):
            return NoAnswer("it did not answer in time")
        if self._where.is_tls and isinstance(broken, ssl.SSLError | ConnectionError):
            # Under TLS 1.3 whoever misses a certificate of ours says so, or just hangs up, after the handshake.
            return NoAnswer("it hung up without an answer: it may want a certificate of the desk")
        return NoAnswer(f"its answer broke off or is none ({type(broken).__name__})")

    def end(self) -> None:
        """Hang up, also where the answer was not read to its end."""
        if self._end is not None:
            self._end.cancel()
        if self._watched is not None:
            self._watched.close()
        self.close()


def _opened(addresses: list[str], port: int) -> socket.socket:
    trouble: OSError = NotReached("its name has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), CONNECT_SECONDS_MAX)
        except OSError as away:
            trouble = away
    raise trouble
