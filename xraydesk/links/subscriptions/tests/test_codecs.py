"""What a Subscription asks for is read element by element, and calls are written and signed as told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.subscription import Subscription

from tests.factories import AT
from xraydesk.links.subscriptions import notice_codec, signing_codec, subscription_codec
from xraydesk.links.subscriptions.subscription_codec import CONTENT, FILTER, HEARTBEAT, HIDDEN, Unfit
from xraydesk.links.subscriptions.topics import TOPICS

APPOINTMENTS = "urn:xraydesk:topic:appointment"


SOMEBODY = {"resourceType": "Patient", "name": [{"family": "Prüfer"}]}


def asking(**more: Any) -> dict[str, Any]:
    """A Subscription; what is None in `more` is left out, `channel` is laid over the usual one."""
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": "https://lab.example/hook",
        "payload": "application/fhir+json",
    } | more.pop("channel", {})
    told = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to show who comes",
        "criteria": APPOINTMENTS,
        "channel": {name: value for name, value in channel.items() if value is not None},
    } | more
    Subscription.model_validate(told)
    return told


def filtered(*criteria: str) -> dict[str, Any]:
    return {"extension": [{"url": FILTER, "valueString": one} for one in criteria]}


def content(code: str) -> dict[str, Any]:
    return {"_payload": {"extension": [{"url": CONTENT, "valueCode": code}]}}


def heart(seconds: int) -> dict[str, Any]:
    return {"extension": [{"url": HEARTBEAT, "valueUnsignedInt": seconds}]}


def test_a_subscription_is_read() -> None:
    asked = subscription_codec.read_subscription(
        asking(
            _criteria=filtered("Appointment?location=3", "Appointment?status=booked"),
            end="2026-03-03T00:00:00Z",
            channel={"header": ["Authorization: Bearer abc"], **content("full-resource"), **heart(60)},
        )
    )
    assert asked.topic == APPOINTMENTS
    assert asked.filters == ("location=3", "status=booked")
    assert asked.headers == ("Authorization: Bearer abc",)
    assert (asked.content, asked.heartbeat_seconds) == ("full-resource", 60)
    assert asked.until == datetime(2026, 3, 3, tzinfo=UTC)
    usual = subscription_codec.read_subscription(asking())
    assert (usual.content, usual.heartbeat_seconds, usual.until, usual.filters) == ("id-only", 0, None, ())
    silent = asking(channel={"payload": None})
    assert subscription_codec.read_subscription(silent).content == "empty"


@pytest.mark.parametrize(
    ("told", "path"),
    [
        (asking(status="off"), "status"),
        (asking(criteria="Observation?code=1"), "criteria"),
        (asking(channel={"type": "email"}), "channel.type"),
        (asking(channel={"endpoint": None}), "channel.endpoint"),
        (asking(channel={"endpoint": "https://a/" + "b" * 500}), "channel.endpoint"),
        (asking(_criteria=filtered("Patient?name=a")), "criteria"),
        (asking(_criteria=filtered("Appointment")), "criteria"),
        (asking(_criteria=filtered(*["Appointment?status=booked"] * 11)), "criteria"),
        (asking(channel={"payload": "application/fhir+xml"}), "channel.payload"),
        (asking(channel=content("all")), "channel.payload"),
        (asking(channel=heart(59)), "channel"),
        (asking(channel={"header": ["A: b"] * 6}), "channel.header"),
        (asking(channel={"header": ["Host: elsewhere"]}), "channel.header[0]"),
        (asking(channel={"header": ["A: b", "webhook-id: 1"]}), "channel.header[1]"),
        (asking(channel={"header": ["no header"]}), "channel.header[0]"),
    ],
)
def test_what_cannot_be_kept_is_named(told: dict[str, Any], path: str) -> None:
    with pytest.raises(Unfit) as unfit:
        subscription_codec.read_subscription(told)
    assert unfit.value.issue.path == f"Subscription.{path}"


def test_what_headers_hold_is_kept_nowhere_in_sight() -> None:
    told = asking(id="9", channel={"header": ["Authorization: Bearer abc"]})
    kept = subscription_codec.kept_part(told)
    assert kept["channel"]["header"] == [f"Authorization: {HIDDEN}"]
    assert "id" not in kept
    assert subscription_codec.kept_part(asking())["channel"] == asking()["channel"]
    shown = subscription_codec.subscription("3", kept, status="error", error="no", source="token:lab")
    Subscription.model_validate(shown)
    assert (shown["id"], shown["status"], shown["error"]) == ("3", "error", "no")
    raw = subscription_codec.hidden_headers(json.dumps(told).encode())
    assert b"abc" not in raw
    assert json.loads(raw)["channel"]["header"] == [f"Authorization: {HIDDEN}"]
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"request": {}}, {"resource": told}, {"resource": SOMEBODY}],
    }
    raw = subscription_codec.hidden_headers(json.dumps(bundle).encode())
    assert b"abc" not in raw
    assert json.loads(raw)["entry"][2] == {"resource": SOMEBODY}
    plain = json.dumps(asking()).encode()
    assert subscription_codec.hidden_headers(plain) == plain
    assert subscription_codec.hidden_headers(b"{") == b""
    assert subscription_codec.hidden_headers(b"[]") == b""
    assert subscription_codec.hidden_headers(b'{"channel": {"header": [1]}}') == b""


def test_a_call_is_a_bundle_that_says_how_the_subscription_stands() -> None:
    base = "https://desk/fhir/R4"
    status = notice_codec.status_of(
        "3",
        base=base,
        topic=APPOINTMENTS,
        status="active",
        kind=notice_codec.EVENT,
        events=2,
        number=2,
        at=AT,
        focus="Appointment/7",
    )
    resource = {
        "resourceType": "Appointment",
        "id": "7",
        "status": "booked",
        "participant": [{"status": "accepted"}],
    }
    told = notice_codec.notice(
        status, key="3", name="6fa1", base=base, at=AT, focus="Appointment/7", resource=resource
    )
    Bundle.model_validate(told)
    first, second = told["entry"]
    assert told["type"] == "history"
    parts = {p["name"]: p for p in first["resource"]["parameter"]}
    assert parts["subscription"]["valueReference"]["reference"] == f"{base}/Subscription/3"
    event = {p["name"]: p for p in parts["notification-event"]["part"]}
    assert event["event-number"]["valueString"] == "2"
    assert event["focus"]["valueReference"]["reference"] == f"{base}/Appointment/7"
    assert (second["fullUrl"], second["resource"]) == (f"{base}/Appointment/7", resource)
    quiet = notice_codec.status_of(
        "3", base=base, topic=APPOINTMENTS, status="active", kind=notice_codec.EVENT, events=3, number=3
    )
    assert [p["name"] for p in quiet["parameter"][-1]["part"]] == ["event-number"]
    greeting = notice_codec.status_of(
        "3", base=base, topic=APPOINTMENTS, status="requested", kind=notice_codec.HANDSHAKE, events=0
    )
    assert [p["name"] for p in greeting["parameter"]][-1] == "events-since-subscription-start"
    without = notice_codec.notice(status, key="3", name="6fa2", base=base, at=AT, focus="Appointment/7")
    assert "resource" not in without["entry"][1]
    assert len(notice_codec.notice(quiet, key="3", name="6fa3", base=base, at=AT)["entry"]) == 1


def test_a_call_is_signed_as_standard_webhooks_has_it() -> None:
    secret = signing_codec.secret_of(b"k" * 32)
    told = signing_codec.signed(b"{}", secret=secret, number="n1", at=AT)
    body = f"n1.{int(AT.timestamp())}.{{}}".encode()
    digest = base64.b64encode(hmac.new(b"k" * 32, body, hashlib.sha256).digest()).decode()
    assert told["webhook-signature"] == f"v1,{digest}"
    assert told["webhook-id"] == "n1"


def test_each_topic_tells_of_something() -> None:
    assert all(topic.facts and url.endswith(topic.name) for url, topic in TOPICS.items())
