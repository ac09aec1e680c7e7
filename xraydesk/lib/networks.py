"""Whether an address is this machine's own, or lies in a network."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str) -> bool:
    """True for an address of this machine alone."""
    try:
        return ipaddress.ip_address(address.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return address == "localhost"


def lies_in(address: str, peer: str) -> bool:
    """True where an address is `peer`, or lies in it where that is a network (`10.1.0.0/16`)."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(peer, strict=False)
    except ValueError:
        return address == peer


def is_network(text: str) -> bool:
    """True for an address or a network, such as 10.0.0.0/8."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
