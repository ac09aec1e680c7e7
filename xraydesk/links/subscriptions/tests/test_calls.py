"""A subscriber on a real socket: handshake, signed events in order, refusals, silence, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.factories import load_demo_site, make_booking, make_exam
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.links import jobs
from xraydesk.links.fhir.tests.test_fhir import caller
from xraydesk.links.fhir.tests.test_writes import send as ask
from xraydesk.links.models import Message, Subscription
from xraydesk.links.outgoing import send
from xraydesk.links.outgoing.tests.test_tell import happened
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer
from xraydesk.links.subscriptions import signing_codec
from xraydesk.links.subscriptions.reaction import tell_subscribers
from xraydesk.links.subscriptions.tests.test_codecs import asking
from xraydesk.siteplan.link_plan import SubscriberPlan
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


class Subscriber:
    """What it heard, and how it answers the next call."""

    def __init__(self) -> None:
        self.heard: list[Asked] = []
        self.status = 200
        self.address = ""

    def answer(self, asked: Asked) -> Told:
        self.heard.append(asked)
        return Told(self.status)

    @property
    def kinds(self) -> list[str]:
        bundles = [json.loads(one.body)["entry"][0]["resource"]["parameter"] for one in self.heard]
        return [p["valueCode"] for told in bundles for p in told if p["name"] == "type"]


@pytest.fixture
def lab() -> Iterator[Subscriber]:
    running = Subscriber()
    with peer(running.answer) as address:
        running.address = f"{address}/hook"
        yield running


def site_with(*networks: str) -> Site:
    site = load_demo_site()
    plan = SubscriberPlan("ehr", networks, insecure=True)
    site.plan = to_json(replace(from_json(site.plan), subscribers=(plan,)))
    site.save()
    return site


def go(row: Subscription) -> Subscription:
    Message.objects.update(next_at=None)
    send.send_out(site_id=row.site_id, outlink=row.link)
    row.refresh_from_db()
    return row


def test_a_subscriber_is_called_signed_and_in_order_and_ends_it(lab: Subscriber) -> None:
    site = site_with("127.0.0.0/8")
    client = caller(site)
    told = asking(channel={"endpoint": lab.address, "header": ["Authorization: Bearer let-me-in"]})
    status, made, _ = ask(client, "POST", "Subscription", told)
    assert status == 201, made
    secret = made["extension"][0]["valueString"]
    row = Subscription.objects.get()
    exam = make_exam(site)
    make_booking(exam)
    tell_subscribers(happened(exam, FactKind.EXAM_BOOKED))
    assert (go(row).state, lab.kinds) == ("active", ["handshake"])

    fact = happened(exam, FactKind.EXAM_BOOKED)
    tell_subscribers(fact)
    lab.status = 503
    assert go(row).state == "error"
    assert "503" in row.why
    lab.status = 200
    assert (go(row).state, row.why, row.events) == ("active", "", 1)
    assert lab.kinds == ["handshake", "event-notification", "event-notification"]
    first, again = lab.heard[1:]
    assert first.headers["authorization"] == "Bearer let-me-in"
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    at = clock.now().fromtimestamp(int(again.headers["webhook-timestamp"]), tz=clock.now().tzinfo)
    signed = signing_codec.signed(again.body, secret=secret, number=again.headers["webhook-id"], at=at)
    assert again.headers["webhook-signature"] == signed["webhook-signature"]

    lab.status = 410
    tell_subscribers(happened(exam, FactKind.EXAM_MOVED))
    assert go(row).state == "error"
    assert Item.objects.filter(closed_at=None, text__contains="410").count() == 1

    lab.status = 200
    tell_subscribers(happened(exam, FactKind.PATIENT_ARRIVED))
    assert ask(client, "DELETE", f"Subscription/{row.pk}", b"")[0] == 204
    send.send_out(site_id=site.pk, outlink=row.link)
    assert len(lab.heard) == 4
    assert Message.objects.filter(link=row.link, state="withdrawn").count() == 1
    jobs.look_after_subscriptions(0)


def test_row_23_a_subscriber_within_is_not_called_once_the_site_file_names_its_network_no_more(
    lab: Subscriber,
) -> None:
    site = site_with("127.0.0.0/8")
    ask(caller(site), "POST", "Subscription", asking(channel={"endpoint": lab.address}))
    row = Subscription.objects.get()
    plan = replace(from_json(site.plan), subscribers=(SubscriberPlan("ehr", insecure=True),))
    site.plan = to_json(plan)
    site.save()
    assert go(row).state == "requested"
    assert "lies within" in row.why
    assert not lab.heard
    jobs.look_after_subscriptions(0)
