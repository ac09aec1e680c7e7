"""A resource as it was sent, where it still tells the truth; as the desk knows it, where it does not. Pure.

What the desk has no place for (a photograph, a contact) comes back as it was sent. What it has a place for comes
back as sent while both say the same, and as the desk has it once somebody changed it here or by another link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xraydesk.links.fhir.elements_codec import Resource

KEPT_OF_META = ("profile", "tag", "security", "source")
"""What a sender says of a resource besides; how confidential it is, among them."""

SERVERS_OWN = frozenset({"resourceType", "id", "meta"})


@dataclass(frozen=True)
class Part:
    """Elements that say one thing together, and whether two resources say the same in them."""

    elements: tuple[str, ...]
    same: Callable[[Resource, Resource], bool]


def alike(told: Callable[[Resource], object]) -> Callable[[Resource, Resource], bool]:
    """Two resources say the same where what is read in them is equal."""
    return lambda own, sent: told(own) == told(sent)


def overlaid(own: Resource, sent: Mapping[str, Any] | None, parts: Iterable[Part]) -> Resource:
    """What is answered for a resource that was sent once; the desk's own view where it never was."""
    if sent is None:
        return own
    result = {name: value for name, value in sent.items() if name not in SERVERS_OWN}
    for part in parts:
        if not part.same(own, dict(sent)):
            for name in part.elements:
                result.pop(name, None)
                result.pop(f"_{name}", None)
            result |= {name: own[name] for name in part.elements if name in own}
    if meta := {name: value for name, value in sent.get("meta", {}).items() if name in KEPT_OF_META}:
        result["meta"] = meta
    result["identifier"] = _identifiers(own, sent)
    return {"resourceType": own["resourceType"], "id": own["id"]} | {
        k: v for k, v in result.items() if v != []
    }


def _identifiers(own: Resource, sent: Mapping[str, Any]) -> list[Resource]:
    """The numbers as they were sent, and those that the desk knows besides."""
    listed: list[Resource] = list(sent.get("identifier", ()))
    there = {i.get("value") for i in listed}
    return listed + [i for i in own.get("identifier", ()) if i["value"] not in there]
