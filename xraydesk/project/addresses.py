"""Addresses that the desk listens on, and where it may not."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from xraydesk.lib.networks import is_loopback
from xraydesk.project.trouble import Trouble


@dataclass(frozen=True)
class Address:
    """A host and a port, as given to a flag."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True where only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def from_here(self) -> tuple[str, int]:
        """Where a client on this machine finds it."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port  # noqa: S104

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str, flag: str) -> Address:
    """`HOST:PORT` as an Address. Raises Trouble, naming the flag, where it is none."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Trouble(f"{flag} {text} is no address: write HOST:PORT, for example 127.0.0.1:8080")
    return Address(host, int(port))


def check_free(address: Address, flag: str) -> None:
    """Raises Trouble where something else listens there, or this machine has no such address."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind(where)
                trial.listen(1)
    except OSError as wrong:
        what = {
            "EADDRINUSE": f"Port {address.port} is in use",
            "EACCES": f"Port {address.port} needs rights that this user does not have",
        }.get(_name_of(wrong), f"Nothing can listen on {address} ({wrong.strerror})")
        raise Trouble(f"{what}: choose another with {flag} HOST:PORT") from wrong


def _name_of(wrong: OSError) -> str:
    import errno

    return errno.errorcode.get(wrong.errno or 0, "")


def refuse_exposed_web(address: Address, *, tls: bool, behind_proxy: bool) -> None:
    """Raises Trouble for pages on an address beyond this machine without TLS."""
    if not (address.is_loopback or tls or behind_proxy):
        raise Trouble(
            f"--http {address} can be reached from other machines in clear: give --tls-cert and --tls-key, "
            "or set XRAYDESK_BEHIND_PROXY=true where a proxy in front speaks TLS"
        )


def refuse_exposed_link(address: Address, flag: str, *, tls: bool, allowed: bool) -> None:
    """Raises Trouble for MLLP or DICOM in clear on an address beyond this machine, where no link of a site allows it."""
    if not (address.is_loopback or tls or allowed):
        raise Trouble(
            f"{flag} {address} can be reached from other machines in clear: give --tls-cert and --tls-key, or name "
            "in the site file who may speak in clear (insecure = true and peers on a link), or listen on 127.0.0.1 "
            "and let a TLS tunnel or VPN on this machine carry the link"
        )
