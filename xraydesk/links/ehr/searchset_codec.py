"""A page of what an EHR found, and how the next one is asked for. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urljoin

from xraydesk.lib import exact_json

PAGE_LENGTH = 100
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_VERSION_LENGTH_MAX = 64


class NotASearchset(ValueError):
    """What was answered is no page of resources."""


@dataclass(frozen=True)
class Page:
    """The resources of a page, and the address of the next one; empty where it is the last."""

    resources: tuple[Mapping[str, Any], ...]
    further: str


def search_url(base: str, kind: str, *, narrowed: str = "", since: datetime | None = None) -> str:
    """The address of the first page of what changed since a moment, that moment included."""
    asked = {"_count": str(PAGE_LENGTH), "_sort": "_lastUpdated"}
    if since is not None:
        asked["_lastUpdated"] = f"ge{since.isoformat()}"
    return f"{base}/{kind}?" + "&".join(part for part in (narrowed, urlencode(asked)) if part)


def first_search(narrowed: str) -> str:
    """What narrows the first search for orders: those that are still to be done, and not what an EHR has kept for years."""
    if any(part.startswith("status") for part in narrowed.split("&")):
        return narrowed
    return "&".join(part for part in (narrowed, "status=active") if part)


def read_json(body: bytes) -> Any:
    """What JSON says. Raises NotASearchset."""
    try:
        return exact_json.read(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise NotASearchset("it answers no JSON") from None


def read_page(told: Any, *, here: str) -> Page:
    """The page that a Bundle is; `here` is where it was read, for a next one that is named relative to it. Raises NotASearchset."""
    if not isinstance(told, dict) or told.get("resourceType") != "Bundle":
        raise NotASearchset("it answers no Bundle to a search")
    listed = (_resource(entry) for entry in _listed(told, "entry"))
    further = next(
        (link.get("url") for link in _listed(told, "link") if link.get("relation") == "next"),
        "",
    )
    if not isinstance(further, str):
        raise NotASearchset("its next page has no address (Bundle.link.url)")
    return Page(tuple(one for one in listed if one is not None), urljoin(here, further) if further else "")


def _listed(told: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = told.get(name, [])
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _resource(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The resource of an entry; None where there is none, or it tells of the search itself."""
    found = entry.get("resource")
    if not isinstance(found, dict) or found.get("resourceType") == "OperationOutcome":
        return None
    return found


def id_of(resource: Mapping[str, Any]) -> str:
    """The id of a resource; empty where it has none that FHIR allows."""
    found = resource.get("id")
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""


def version_of(resource: Mapping[str, Any]) -> str:
    """The version that a resource says it is, else a digest of what it says."""
    meta = resource.get("meta")
    told = meta.get("versionId") if isinstance(meta, dict) else None
    if isinstance(told, str) and 0 < len(told) <= _VERSION_LENGTH_MAX:
        return told
    text = exact_json.written({n: v for n, v in resource.items() if n != "meta"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def updated_at(resource: Mapping[str, Any]) -> datetime | None:
    """When it changed there the last time, as it says with an offset; None where it does not."""
    meta = resource.get("meta")
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    try:
        found = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def remote_id(named: Any, kind: str, base: str) -> str:
    """The id in a reference to a resource of `kind` at the EHR, relative or below its base; empty where it is another's."""
    if not isinstance(named, str):
        return ""
    below = named.removeprefix(f"{base}/").partition("/_history/")[0]
    told, _, key = below.partition("/")
    return key if told == kind and _ID.fullmatch(key) else ""
