"""A program asks to be called when something changes, how that stands, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from xraydesk.links.fhir import searching
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.replies import Refusal, refuse
from xraydesk.links.fhir.writing import Written
from xraydesk.links.models import Subscription
from xraydesk.links.outgoing.wire import NotReached
from xraydesk.links.outside.address_rules import BadUrl, read_url
from xraydesk.links.outside.client import Reach, checked_addresses
from xraydesk.links.subscriptions import standing, subscription_codec
from xraydesk.links.subscriptions.calls import shake_hands
from xraydesk.links.subscriptions.topics import TOPICS

PROGRAMS = ("token:", "app:")
"""Who may be called: programs that act for themselves, not for a person who is signed in."""

ENDPOINT = "Subscription.channel.endpoint"


def write_subscription(caller: Caller, resource: Mapping[str, Any], key: int | None, at: datetime) -> Written:
    """Keep what a program asks for and ask it whether it hears. Raises Refusal, which names the element."""
    member = caller.member
    if not member.who.startswith(PROGRAMS):
        raise refuse(422, "business-rule", "Programs are called, not people.", "Subscription")
    try:
        asked = subscription_codec.read_subscription(resource)
    except subscription_codec.Unfit as unfit:
        raise Refusal(422, unfit.issue) from unfit
    if asked.until is not None and asked.until <= at:
        raise refuse(422, "value", "The end lies in the past.", "Subscription.end")
    _check_filters(caller, asked)
    _check_address(caller, asked.endpoint)
    kept = subscription_codec.kept_part(resource)
    try:
        row, secret = standing.create(member=member, asked=asked, resource=kept, base=caller.base, at=at)
    except standing.TooMany as many:
        raise refuse(422, "too-costly", str(many), "Subscription") from many
    shake_hands(row)
    return Written(row.pk, True, once={"url": subscription_codec.SIGNED_WITH, "valueString": secret})


def _check_filters(caller: Caller, asked: subscription_codec.Asked) -> None:
    kind = KINDS[TOPICS[asked.topic].kind]
    if not caller.may(kind, "read"):
        words = f"This token may not read what the topic tells of ({kind.name})."
        raise refuse(403, "forbidden", words, "Subscription.criteria")
    for one in asked.filters:
        pairs = parse_qsl(one, keep_blank_values=True)
        try:
            search = searching.read_search(
                kind, pairs, lenient=False, limits=caller.limits(kind), base=caller.base
            )
            searching.check(caller, search)
        except searching.BadSearch as bad:
            raise refuse(422, "invalid", str(bad), "Subscription.criteria") from bad
        if search != searching.only_conditions(search):
            words = "A filter asks what a thing is like, and not how the answer looks."
            raise refuse(422, "not-supported", words, "Subscription.criteria")


def _check_address(caller: Caller, endpoint: str) -> None:
    """Row 23: the host is resolved now, and anew at each call; what lies within is called where the site file says so."""
    plan = standing.subscriber(caller.member.site, caller.member.who)
    try:
        where = read_url(endpoint)
        if not where.is_tls and not plan.insecure:
            raise BadUrl("an address that is called begins with https://")
        checked_addresses(where, Reach(plan.networks, plan.authority))
    except (BadUrl, NotReached) as bad:
        raise refuse(422, "security", f"Not called there: {bad}.", ENDPOINT) from bad


def end_subscription(caller: Caller, key: int, at: datetime) -> None:
    """Call nobody for it any more."""
    standing.delete(Subscription.objects.select_related("site").get(pk=key), at=at)
