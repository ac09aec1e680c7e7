"""A call to a subscriber: a Bundle whose first entry says how the Subscription stands (R4 Backport). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xraydesk.links.fhir.elements_codec import Resource, instant
from xraydesk.links.subscriptions.subscription_codec import BACKPORT

HANDSHAKE, HEARTBEAT, EVENT, QUERY = "handshake", "heartbeat", "event-notification", "query-status"
PROFILE = f"{BACKPORT}subscription-status-r4"


def status_of(
    key: str,
    *,
    base: str,
    topic: str,
    status: str,
    kind: str,
    events: int,
    number: int = 0,
    at: datetime | None = None,
    focus: str = "",
) -> Resource:
    """How a Subscription stands, as Parameters; `number` is that of the event that is told, `focus` what it is about."""
    told: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{key}"}},
        {"name": "topic", "valueCanonical": topic},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(events)},
    ]
    if number:
        part: list[Resource] = [{"name": "event-number", "valueString": str(number)}]
        if at is not None:
            part.append({"name": "timestamp", "valueInstant": instant(at)})
        if focus:
            part.append({"name": "focus", "valueReference": {"reference": f"{base}/{focus}"}})
        told.append({"name": "notification-event", "part": part})
    return {"resourceType": "Parameters", "meta": {"profile": [PROFILE]}, "parameter": told}


def notice(
    status: Mapping[str, Any],
    *,
    key: str,
    name: str,
    base: str,
    at: datetime,
    focus: str = "",
    resource: Mapping[str, Any] | None = None,
) -> Resource:
    """The Bundle that is sent. `name` is its own, a UUID; `focus` what it is about where that may be told, `resource` as it stands."""
    entries: list[Resource] = [
        {
            "fullUrl": f"urn:uuid:{name}",
            "resource": dict(status),
            "request": {"method": "GET", "url": f"Subscription/{key}/$status"},
            "response": {"status": "200"},
        }
    ]
    if focus:
        entry: Resource = {"fullUrl": f"{base}/{focus}"}
        if resource is not None:
            entry["resource"] = dict(resource)
        entries.append(entry | {"request": {"method": "PUT", "url": focus}, "response": {"status": "200"}})
    profile = f"{BACKPORT}subscription-notification-r4"
    return {
        "resourceType": "Bundle",
        "id": name,
        "meta": {"profile": [profile]},
        "type": "history",
        "timestamp": instant(at),
        "entry": entries,
    }
