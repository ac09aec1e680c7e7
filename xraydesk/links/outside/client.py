"""One HTTP request of ours: the host is resolved, its addresses are checked, and a checked one is connected to (row 23).

Nothing is resolved a second time, so that a name cannot mean another address once it was checked. Redirects are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from xraydesk.links.outgoing.wire import NoAnswer, NotReached
from xraydesk.links.outside.address_rules import BadUrl, Where, may_connect, read_url

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
"""From the connection to the last byte of the answer, however it dribbles."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
ADDRESSES_MAX = 16
"""A name that has more addresses is not looked at further."""


class Barred(NotReached):
    """The host lies where the site file does not let the desk connect to."""


@dataclass(frozen=True)
class Reach:
    """How far the desk may go: the networks within that are listed, and the file of certificates that are trusted there."""

    networks: tuple[str, ...] = ()
    authority: str = ""


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
        answered = connection.getresponse()
        whole = answered.read(ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException, ValueError) as broken:
        raise NoAnswer(f"its answer broke off or is none ({type(broken).__name__})") from broken
    finally:
        connection.end()
    if connection.is_late:
        raise NoAnswer("it did not answer in time")
    if len(whole) > ANSWER_BYTES_MAX:
        raise NoAnswer("its answer is longer than any should be")
    return HttpAnswer(answered.status, whole, {name.lower(): value for name, value in answered.getheaders()})


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
        super().__init__(where.host, where.port, timeout=seconds_max)
        self._seconds_max = seconds_max
        self._where, self._reach = where, reach
        self._watched: socket.socket | None = None
        self._end: threading.Timer | None = None
        self.is_late = False

    def connect(self) -> None:
        """Resolve, check and connect; from here on the answer has its seconds."""
        self.sock = _opened(checked_addresses(self._where, self._reach), self._where.port)
        self.sock.settimeout(self._seconds_max)
        self._watched = self.sock.dup()
        self._end = threading.Timer(self._seconds_max, self._hang_up)
        self._end.daemon = True
        self._end.start()
        if self._where.is_tls:
            context = ssl.create_default_context(cafile=self._reach.authority or None)
            self.sock = context.wrap_socket(self.sock, server_hostname=self._where.host)

    def _hang_up(self) -> None:
        self.is_late = True
        if self._watched is not None:
            with contextlib.suppress(OSError):
                self._watched.shutdown(socket.SHUT_RDWR)

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
