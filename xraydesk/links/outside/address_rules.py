"""Which addresses the desk connects to by HTTP (row 23 of the faults). Pure.

Whoever may name an address of theirs could name one that only this machine can reach. What lies within is reached where the site
file lists its network, and nowhere else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from xraydesk.lib.networks import lies_in

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""An IPv6 address in here stands for the IPv4 address in its last 32 bits (RFC 6052)."""

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""Nothing else of IPv6 is the internet (RFC 4291); `fec0::/10` meant a house's own network once, and may still."""

NOBODYS = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "2001:db8::/32")
)
"""For special purposes, relays that are no more, and examples (RFC 6890, 7526, 9637); not every Python knows them all."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadUrl(ValueError):
    """The text is no address that can be connected to."""


@dataclass(frozen=True)
class Where:
    """An address by HTTP, taken apart: `target` is path and query as they go into the request."""

    is_tls: bool
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        """As the Host header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What two addresses at one server have in common."""
        return self.is_tls, self.host, self.port


def read_url(text: str) -> Where:
    """An http or https address without a name, password or fragment in it. Raises BadUrl."""
    if any(ord(c) <= 32 or ord(c) >= 127 for c in text):
        raise BadUrl("an address has no spaces and no letters beyond ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadUrl("this is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadUrl("an address begins with https:// or http:// and a host")
    if port == 0:
        raise BadUrl("nothing is at port 0")
    if parts.username is not None or parts.fragment:
        raise BadUrl("an address has no name, password or fragment in it")
    is_tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Where(is_tls, parts.hostname.lower(), port or (443 if is_tls else 80), target)


def is_below(text: str, base: str) -> bool:
    """True for an address at the same server as `base`, and at its path or below it."""
    try:
        where, root = read_url(text), read_url(base)
    except BadUrl:
        return False
    path, above = where.target.partition("?")[0], root.target.partition("?")[0].rstrip("/")
    if where.origin != root.origin or ".." in path.split("/") or "%2e" in path.lower():
        return False
    return path == above or path.startswith(f"{above}/")


def may_connect(address: str, networks: Sequence[str]) -> bool:
    """True for an address of the public internet, and for one in a network that the site file lists."""
    try:
        meant = _meant(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(lies_in(str(meant), network) for network in networks):
        return True
    if meant.version == 6 and meant not in GLOBAL_UNICAST:
        return False
    return (
        meant.is_global
        and not meant.is_multicast
        and not meant.is_reserved
        and not any(meant in network for network in NOBODYS)
    )


def _meant(address: Address) -> Address:
    """The address that is reached in the end where one stands for another."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    within = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    return within or address
