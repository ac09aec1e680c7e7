"""A program subscribes by FHIR, and is told just what it may see, each fact once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import RecordRead, Site, Token
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.tests.performing import jobs
from xraydesk.lib import clock
from xraydesk.links.fhir.tests.test_fhir import caller, get
from xraydesk.links.fhir.tests.test_sign_in import ask, service, signed, with_token
from xraydesk.links.fhir.tests.test_writes import send
from xraydesk.links.models import Message, Subscription
from xraydesk.links.outgoing.tests.test_tell import happened
from xraydesk.links.states import SubscriptionState
from xraydesk.links.subscriptions import standing, tell
from xraydesk.links.subscriptions.tests.test_codecs import asking, content, filtered, heart

pytestmark = pytest.mark.django_db
PUBLIC = {"endpoint": "https://93.184.215.14/hook"}


def subscribed(client: Client, **more: Any) -> Subscription:
    told = asking(**{"channel": PUBLIC, **more})
    status, made, _ = send(client, "POST", "Subscription", told)
    assert status == 201, made
    row = Subscription.objects.get(pk=int(made["id"]))
    standing.taken(row.pk, at=clock.now())
    row.refresh_from_db()
    return row


def booked(site: Site) -> Fact:
    exam = make_exam(site)
    make_booking(exam)
    return happened(exam, FactKind.EXAM_BOOKED)


def calls(kind: str = "event-notification") -> list[dict[str, Any]]:
    rows = Message.objects.filter(direction="out", type=kind).order_by("id")
    return [json.loads(bytes(row.raw)) for row in rows]


def test_a_subscription_is_made_shown_and_ended() -> None:
    site = make_site()
    client = caller(site)
    told = asking(channel={**PUBLIC, "header": ["Authorization: Bearer let-me-in"]})
    status, made, response = send(client, "POST", "Subscription", told)
    assert status == 201
    assert response["Location"].startswith("http://testserver/fhir/R4/Subscription/")
    assert made["extension"][0]["valueString"].startswith("whsec_")
    assert made["status"] == "requested"
    assert {"site_id": site.pk, "outlink": f"hook-{made['id']}"} in jobs("send_out")
    [handshake] = calls("handshake")
    assert handshake["entry"][0]["request"]["url"] == f"Subscription/{made['id']}/$status"
    _, again = get(client, f"Subscription/{made['id']}")
    assert "extension" not in again
    assert again["criteria"] == told["criteria"]
    kept = [bytes(m.raw) for m in Message.objects.filter(direction="in")]
    assert not any(b"let-me-in" in raw for raw in [*kept, json.dumps(again).encode()])
    for search in (
        "status=requested",
        "url=https://93.184.215.14/hook",
        "criteria=urn:xraydesk:topic:appointment",
    ):
        assert get(client, f"Subscription?{search}")[1]["total"] == 1
    _, status_told = get(client, f"Subscription/{made['id']}/$status")
    assert status_told["entry"][0]["resource"]["parameter"][3]["valueCode"] == "query-status"
    assert get(client, "Subscription/999/$status")[0] == 404
    for asked, many in (("", 1), (f"?id={made['id']}", 1), ("?id=999", 0)):
        status, all_told = get(client, f"Subscription/$status{asked}")
        assert (status, all_told["total"]) == (200, many)
    assert get(client, "Subscription/$status?status=active")[0] == 400
    for odd in ({}, {"parameter": 5}, {"parameter": [1]}, []):
        assert send(client, "POST", "Subscription/$status", odd)[1]["total"] == 1
    assert get(caller(site, name="third"), "Subscription/$status")[1]["total"] == 0
    other = caller(site, name="other")
    assert get(other, f"Subscription/{made['id']}")[0] == 404
    assert send(other, "DELETE", f"Subscription/{made['id']}", b"")[0] == 204
    assert get(client, "Subscription")[1]["total"] == 1
    assert send(client, "DELETE", f"Subscription/{made['id']}", b"")[0] == 204
    assert get(client, f"Subscription/{made['id']}")[0] == 404
    assert get(caller(site, Role.COORDINATOR, "c"), "Subscription")[0] == 404


def test_in_a_bundle_it_is_made_and_ended_as_by_itself_and_its_headers_are_kept_nowhere() -> None:
    client = caller(make_site())
    told = asking(channel={**PUBLIC, "header": ["Authorization: Bearer let-me-in"]})
    entry = {"resource": told, "request": {"method": "POST", "url": "Subscription"}}
    status, made, _ = send(
        client, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    )
    assert status == 200
    assert not any(b"let-me-in" in bytes(m.raw) for m in Message.objects.filter(direction="in"))
    key = made["entry"][0]["resource"]["id"]
    gone = {"request": {"method": "DELETE", "url": f"Subscription/{key}"}}
    _, ended, _ = send(client, "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [gone]})
    assert ended["entry"] == [{"response": {"status": "204 No Content"}}]
    assert get(client, f"Subscription/{key}")[0] == 404


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"channel": {"endpoint": "https://127.0.0.1/hook"}}, "channel.endpoint"),
        ({"channel": {"endpoint": "https://169.254.169.254/latest"}}, "channel.endpoint"),
        ({"channel": {"endpoint": "https://[::1]/hook"}}, "channel.endpoint"),
        ({"channel": {"endpoint": "http://93.184.215.14/hook"}}, "channel.endpoint"),
        ({"channel": {"endpoint": "file:///etc/passwd"}}, "channel.endpoint"),
        ({"end": "2020-01-01T00:00:00Z"}, "end"),
        ({"_criteria": filtered("Appointment?shoe=9")}, "criteria"),
        ({"_criteria": filtered("Appointment?date=never")}, "criteria"),
        ({"_criteria": filtered("Appointment?_count=1")}, "criteria"),
        ({"criteria": "Patient?name=a"}, "criteria"),
    ],
)
def test_row_23_and_whatever_else_cannot_be_is_refused_by_its_element(
    more: dict[str, Any], path: str
) -> None:
    client = caller(make_site())
    status, told, _ = send(client, "POST", "Subscription", asking(**{"channel": PUBLIC, **more}))
    assert (status, told["issue"][0]["expression"]) == (422, [f"Subscription.{path}"])
    assert not Subscription.objects.exists()


def test_an_event_is_told_once_to_those_whose_filter_finds_it() -> None:
    site = make_site()
    client = caller(site)
    row = subscribed(client, _criteria=filtered("Appointment?status=booked"))
    whole = subscribed(client, channel={**PUBLIC, **content("full-resource")})
    silent = subscribed(client, channel={**PUBLIC, "payload": None})
    subscribed(client, _criteria=filtered("Appointment?status=cancelled"))
    subscribed(client, criteria="urn:xraydesk:topic:report")
    fact = booked(site)
    tell.tell_subscribers(fact)
    tell.tell_subscribers(fact)
    found = {c["entry"][0]["request"]["url"].split("/")[1]: c for c in calls()}
    assert sorted(found) == sorted(str(one.pk) for one in (row, whole, silent))
    by_id = found[str(row.pk)]["entry"]
    assert by_id[1]["fullUrl"].startswith("http://testserver/fhir/R4/Appointment/")
    assert "resource" not in by_id[1]
    assert found[str(whole.pk)]["entry"][1]["resource"]["status"] == "booked"
    assert len(found[str(silent.pk)]["entry"]) == 1
    row.refresh_from_db()
    assert row.events == 1
    assert RecordRead.objects.filter(what="FHIR subscription Appointment").count() == 2


@pytest.mark.parametrize(
    ("topic", "kind"),
    [("order", FactKind.ORDER_CHANGED), ("study", FactKind.EXAM_ENDED), ("report", FactKind.REPORT_RECEIVED)],
)
def test_a_topic_whose_thing_is_not_there_tells_nothing(topic: str, kind: FactKind) -> None:
    site = make_site()
    subscribed(caller(site), criteria=f"urn:xraydesk:topic:{topic}")
    tell.tell_subscribers(happened(make_exam(site), kind))
    assert len(calls()) == (1 if topic == "order" else 0)


def test_an_app_is_told_what_its_scopes_let_it_read() -> None:
    site = make_site()
    app = service(site, "system/Subscription.cruds system/Appointment.rs")
    client = with_token(
        ask(signed(app), "system/Subscription.cruds system/Appointment.rs")[1]["access_token"]
    )
    subscribed(client)
    status, told, _ = send(
        client, "POST", "Subscription", asking(channel=PUBLIC, criteria="urn:xraydesk:topic:report")
    )
    assert (status, told["issue"][0]["expression"]) == (403, ["Subscription.criteria"])
    fact = booked(site)
    tell.tell_subscribers(fact)
    assert len(calls()) == 1
    app.revoked_at = clock.now()
    app.save()
    Message.objects.filter(type="event-notification").update(fact=None)
    tell.tell_subscribers(fact)
    assert len(calls()) == 1
    assert Subscription.objects.get().state == SubscriptionState.OFF


def test_time_ends_a_subscription_and_beats_its_heart() -> None:
    site = make_site()
    client = caller(site)
    beating = subscribed(client, channel={**PUBLIC, **heart(60)})
    over, mute = subscribed(client), subscribed(client)
    Message.objects.update(at=clock.now() - timedelta(minutes=2))
    Subscription.objects.filter(pk=over.pk).update(until=clock.now())
    Subscription.objects.filter(pk=mute.pk).update(failing_since=clock.now() - timedelta(days=4))
    tell.look_after_all()
    tell.look_after_all()
    assert len(calls("heartbeat")) == 1
    states = {row.pk: row.state for row in Subscription.objects.all()}
    assert states == {beating.pk: "active", over.pk: "off", mute.pk: "off"}
    assert Item.objects.filter(key=f"given up:hook-{mute.pk}").count() == 1
    Token.objects.update(revoked_at=clock.now())
    tell.look_after_all()
    assert not Subscription.objects.exclude(state="off").exists()


def test_no_program_has_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "SUBSCRIPTIONS_MAX", 1)
    client = caller(make_site())
    subscribed(client)
    assert send(client, "POST", "Subscription", asking(channel=PUBLIC))[0] == 422


def test_a_person_sees_who_subscribed_and_ends_it() -> None:
    site = make_site()
    row = subscribed(caller(site))
    client = signed_in(site, Role.ADMINISTRATOR)
    page = client.get(reverse("messages")).content.decode()
    assert "token:ehr" in page
    assert "a place was booked" in page
    assert client.get(reverse("link", args=["out", row.link])).status_code == 200
    assert client.post(reverse("subscription-end", args=[row.pk])).status_code == 303
    assert not Subscription.objects.exists()
    assert client.post(reverse("subscription-end", args=[row.pk])).status_code == 404
