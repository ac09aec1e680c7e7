"""The Subscription resource: what a program asks for, read and told (Subscriptions R5 Backport 1.1, for R4). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xraydesk.lib import exact_json
from xraydesk.links.fhir.answers_codec import Issue
from xraydesk.links.fhir.elements_codec import Resource, filled, read_moment
from xraydesk.links.subscriptions.topics import TOPICS

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
FILTER, CONTENT, HEARTBEAT = (
    f"{BACKPORT}{n}" for n in ("filter-criteria", "payload-content", "heartbeat-period")
)
SIGNED_WITH = "urn:xraydesk:signing-secret"
"""Extension of the answer that makes a Subscription, and of no other."""

CONTENTS = ("empty", "id-only", "full-resource")
PAYLOADS = ("application/fhir+json", "application/json")
HEADERS_MAX = 5
HEADER_LENGTH_MAX = 1000
FILTERS_MAX = 10
FILTER_LENGTH_MAX = 500
ENDPOINT_LENGTH_MAX = 500
HEARTBEAT_SECONDS_MIN = 60
HEARTBEAT_SECONDS_MAX = 86_400
HIDDEN = "…"
"""In the place of what a header holds: it may let somebody in there."""

_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}):[ \t]*([\x20-\x7e]*)")
_OURS = ("host", "connection", "transfer-encoding", "accept-encoding", "expect", "te", "upgrade")
_OURS_BEGIN = ("content-", "webhook-", "proxy-")


class Unfit(ValueError):
    """A Subscription cannot be kept; `issue` names the element."""

    def __init__(self, words: str, path: str, code: str = "not-supported") -> None:
        super().__init__(words)
        self.issue = Issue(code, words, f"Subscription.{path}")


@dataclass(frozen=True)
class Asked:
    """What a Subscription asks for. `filters` are searches of the topic's type, all of which must find it."""

    topic: str
    filters: tuple[str, ...]
    endpoint: str
    headers: tuple[str, ...]
    content: str
    heartbeat_seconds: int
    until: datetime | None


def read_subscription(resource: Mapping[str, Any]) -> Asked:
    """What a Subscription of the right shape asks for. Raises Unfit."""
    if resource["status"] not in ("requested", "active"):
        raise Unfit("A new Subscription is requested.", "status", "business-rule")
    topic = TOPICS.get(resource["criteria"])
    if topic is None:
        raise Unfit(f"One of the topics is meant: {', '.join(TOPICS)}.", "criteria")
    channel = resource["channel"]
    if channel["type"] != "rest-hook":
        raise Unfit("Calls go by rest-hook alone.", "channel.type")
    endpoint = channel.get("endpoint", "")
    if not endpoint or len(endpoint) > ENDPOINT_LENGTH_MAX:
        raise Unfit("The address to be called is missing, or too long.", "channel.endpoint", "required")
    return Asked(
        topic=topic.url,
        filters=_filters(resource, topic.kind),
        endpoint=endpoint,
        headers=_headers(channel.get("header", ())),
        content=_content(channel),
        heartbeat_seconds=_heartbeat(channel),
        until=read_moment(resource.get("end", "")),
    )


def _filters(resource: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    told = [str(value) for value in _extensions(resource.get("_criteria"), FILTER)]
    if len(told) > FILTERS_MAX or any(len(one) > FILTER_LENGTH_MAX for one in told):
        raise Unfit(f"At most {FILTERS_MAX} filters of {FILTER_LENGTH_MAX} characters are taken.", "criteria")
    found = []
    for one in told:
        name, mark, criteria = one.partition("?")
        if not mark or name != kind:
            raise Unfit(f"A filter of this topic begins with {kind}?", "criteria", "value")
        found.append(criteria)
    return tuple(found)


def _headers(told: Sequence[str]) -> tuple[str, ...]:
    if len(told) > HEADERS_MAX or any(len(one) > HEADER_LENGTH_MAX for one in told):
        raise Unfit(
            f"At most {HEADERS_MAX} headers of {HEADER_LENGTH_MAX} characters are sent.", "channel.header"
        )
    for number, one in enumerate(told):
        found = _HEADER.fullmatch(one)
        name = found[1].lower() if found else ""
        if not name or name in _OURS or name.startswith(_OURS_BEGIN):
            raise Unfit(
                "A header is NAME: VALUE, and not one of the desk's own.",
                f"channel.header[{number}]",
                "value",
            )
    return tuple(told)


def _content(channel: Mapping[str, Any]) -> str:
    payload = channel.get("payload", "")
    if not payload:
        return "empty"
    if payload.partition(";")[0] not in PAYLOADS:
        raise Unfit("Calls carry application/fhir+json, or nothing.", "channel.payload")
    content = str(next(iter(_extensions(channel.get("_payload"), CONTENT)), "id-only"))
    if content not in CONTENTS:
        raise Unfit(f"One of {', '.join(CONTENTS)} is meant.", "channel.payload", "code-invalid")
    return content


def _heartbeat(channel: Mapping[str, Any]) -> int:
    told = next(iter(_extensions(channel, HEARTBEAT)), 0)
    if told and not (isinstance(told, int) and HEARTBEAT_SECONDS_MIN <= told <= HEARTBEAT_SECONDS_MAX):
        words = f"A heartbeat comes every {HEARTBEAT_SECONDS_MIN} to {HEARTBEAT_SECONDS_MAX} seconds."
        raise Unfit(words, "channel", "value")
    return int(told)


def _extensions(element: Mapping[str, Any] | None, url: str) -> list[Any]:
    """The values of the extensions of an element that have this address."""
    listed = (element or {}).get("extension", ())
    return [v for one in listed if one["url"] == url for k, v in one.items() if k.startswith("value")]


def kept_part(resource: Mapping[str, Any]) -> Resource:
    """A Subscription as it is kept and shown: what its headers hold is left out."""
    told = {name: value for name, value in resource.items() if name not in ("id", "meta", "status", "error")}
    channel = dict(told["channel"])
    if "header" in channel:
        channel["header"] = [f"{one.partition(':')[0]}: {HIDDEN}" for one in channel["header"]]
    return told | {"channel": channel}


def hidden_headers(raw: bytes) -> bytes:
    """A Subscription, or a Bundle with some, as it was sent, without what their headers hold; nothing of what cannot be read."""
    try:
        told = exact_json.read(raw.decode("utf-8-sig"))
        entries = told.get("entry", ()) if told.get("resourceType") == "Bundle" else [{"resource": told}]
        found = [one["resource"]["channel"] for one in entries if "channel" in one.get("resource", ())]
        for channel in found:
            if "header" in channel:
                channel["header"] = [f"{one.partition(':')[0]}: {HIDDEN}" for one in channel["header"]]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return b""
    return exact_json.written(told).encode() if any("header" in one for one in found) else raw


def subscription(key: str, kept: Mapping[str, Any], *, status: str, error: str, source: str) -> Resource:
    """A Subscription as it stands; `source` is who asked for it."""
    head = {"resourceType": "Subscription", "id": key, "meta": {"source": source}}
    return head | dict(kept) | filled(status=status, error=error)
