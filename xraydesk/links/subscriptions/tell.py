"""What happened is put on its way to whoever subscribed to it: the thing as it stands, each fact once, numbered without a gap."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl

from django.db import transaction
from django.db.models import F

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock, locks
from xraydesk.links.fhir import interactions, searching
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.rows import Shown
from xraydesk.links.fhir.scopes_codec import Scope, read_scopes
from xraydesk.links.models import Message, Subscription
from xraydesk.links.outgoing.tell import EARLIER_MAX
from xraydesk.links.states import Direction, SubscriptionState
from xraydesk.links.subscriptions import standing
from xraydesk.links.subscriptions.calls import queue
from xraydesk.links.subscriptions.notice_codec import EVENT, HEARTBEAT
from xraydesk.links.subscriptions.topics import Topic, topics_of
from xraydesk.orders.models import Exam
from xraydesk.results.models import Finding, Report
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState


def tell_subscribers(fact: Fact) -> None:
    """Queue what a fact means to each program that subscribed. Safe to run again: a fact is told once a Subscription."""
    topics = {topic.url: topic for topic in topics_of(FactKind(fact.kind))}
    if not topics or not fact.accession or fact.recorded_at < clock.now() - EARLIER_MAX:
        return
    rows = Subscription.objects.filter(site=fact.site_id, state__in=standing.CALLED, topic__in=topics)
    for row in rows.select_related("site").order_by("id"):
        if row.created_at <= fact.recorded_at:
            _tell(row, topics[row.topic], fact)


def _tell(row: Subscription, topic: Topic, fact: Fact) -> None:
    locks.take([f"outlink:{row.site_id}:{row.link}"])
    if Message.objects.filter(
        site=row.site_id, direction=Direction.OUT, link=row.link, fact=fact.pk
    ).exists():
        return
    member = standing.holder(row)
    if member is None:
        standing.end(row, "its token or app was revoked", at=clock.now())
        return
    caller = Caller(
        member, by_token=True, scopes=scopes_of(row), base=row.base, reason=f"subscription {row.pk}"
    )
    shown = _found(caller, topic, fact, row.filters)
    if shown is None:
        return
    at = clock.now()
    Subscription.objects.filter(pk=row.pk).update(events=F("events") + 1)
    row.refresh_from_db(fields=["events"])
    focus = f"{topic.kind}/{shown.resource['id']}" if row.content != "empty" else ""
    if focus:
        interactions.log(caller, "subscription", KINDS[topic.kind], [shown], at=at)
    resource = shown.resource if row.content == "full-resource" else None
    queue(row, EVENT, focus=focus, resource=resource, fact=fact)


def scopes_of(row: Subscription) -> tuple[Scope, ...] | None:
    """The scopes of a Subscription as they are asked."""
    return None if row.scopes is None else read_scopes(row.scopes)


def _found(caller: Caller, topic: Topic, fact: Fact, filters: list[str]) -> Shown | None:
    """What a fact is about, where the program may see it and all its filters find it."""
    kind = KINDS[topic.kind]
    key = _key(topic.kind, caller.member.site, fact)
    if key is None or not caller.may(kind, "read"):
        return None
    asked = [("_id", str(key)), *(pair for one in filters for pair in parse_qsl(one, keep_blank_values=True))]
    search = searching.read_search(
        kind, [*asked, ("_total", "none")], lenient=False, limits=caller.limits(kind), base=caller.base
    )
    return next(iter(searching.find(caller, search).matches), None)


def _key(kind: str, site: Site, fact: Fact) -> int | None:
    exam = Exam.objects.filter(site=site, accession=fact.accession).only("pk").first()
    if exam is None or kind in ("ServiceRequest", "ImagingStudy"):
        return exam.pk if exam else None
    row: Booking | Report | Finding | None
    if kind == "Appointment":
        bookings = Booking.objects.filter(exam=exam).exclude(state=BookingState.HELD).order_by("-id")
        row = bookings.filter(state__in=(BookingState.BOOKED, BookingState.DONE)).first() or bookings.first()
    elif kind == "DiagnosticReport":
        row = Report.objects.filter(exam=exam).first()
    else:
        row = Finding.objects.filter(exam=exam, pk=fact.data.get("finding") or 0).first()
    return row.pk if row else None


@transaction.atomic
def look_after(row: Subscription) -> None:
    """What time brings: an end that was set, a program that was revoked, one that takes no calls, a heartbeat that is due."""
    at = clock.now()
    if row.until is not None and row.until <= at:
        standing.end(row, "its end has come", at=at)
    elif standing.holder(row) is None:
        standing.end(row, "its token or app was revoked", at=at)
    elif row.failing_since is not None and row.failing_since < at - standing.GIVEN_UP_AFTER:
        standing.give_up(row, at=at)
    elif row.heartbeat_seconds and row.state == SubscriptionState.ACTIVE:
        pause = timedelta(seconds=row.heartbeat_seconds)
        called = Message.objects.filter(
            site=row.site_id, direction=Direction.OUT, link=row.link, at__gt=at - pause
        )
        if not called.exists():
            queue(row, HEARTBEAT)


def look_after_all() -> None:
    """Each Subscription that stands."""
    rows = Subscription.objects.filter(state__in=standing.STANDING).select_related("site").order_by("id")
    for row in rows:
        look_after(row)
