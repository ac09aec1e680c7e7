"""What references between the entries of a Bundle lead to (FHIR R4 §2.36.4.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_TYPE_AND_ID = r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?"
_FULL = re.compile(rf"(?P<server>https?://\S+)/{_TYPE_AND_ID}")
_RELATIVE = re.compile(_TYPE_AND_ID)


def server_of(full_url: str) -> str:
    """The server at which the fullUrl of an entry lies; empty where it is no address of a resource (`urn:uuid:…`)."""
    found = _FULL.fullmatch(full_url)
    return found["server"] if found else ""


def whole(reference: str, server: str) -> str:
    """A reference within an entry of a server, as an address: `Patient/5` there is the Patient 5 of that server, and no other."""
    return f"{server}/{reference}" if server and _RELATIVE.fullmatch(reference) else reference


def repeated(entries: Iterable[Mapping[str, Any]]) -> int | None:
    """The first entry whose fullUrl another one before it has; None where each has its own (invariant bdl-7)."""
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        full = entry.get("fullUrl", "")
        if full and full in seen:
            return number
        seen.add(full)
    return None
