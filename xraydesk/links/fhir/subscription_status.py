"""`$status`: how what a program asked to be called for stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xraydesk.links.fhir import interactions, searching
from xraydesk.links.fhir.answers_codec import Entry, searchset
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import Resource
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.replies import refuse
from xraydesk.links.models import Subscription
from xraydesk.links.subscriptions import notice_codec


def status_of(caller: Caller, key: str, *, base: str, here: str) -> Resource:
    """`$status`: how a Subscription stands, and how many events were told. Raises Refusal."""
    if not searching.load(caller, KINDS["Subscription"], [key]):
        raise refuse(404, "not-found", "There is no such Subscription here.")
    return _statuses([int(key)], base=base, here=here)


def statuses_of(caller: Caller, told: Any, *, base: str, here: str) -> Resource:
    """`$status` of all that a program asked for; or of those that it names by `id`, as far as they are its own."""
    kind = interactions.kind_for(caller, "Subscription", "search")
    told_of = told.get("parameter") if isinstance(told, dict) else None
    listed = [p for p in told_of if isinstance(p, dict)] if isinstance(told_of, list) else []
    ids = [p.get("valueId") or p.get("valueString") for p in listed if p.get("name") == "id"]
    if unknown := [p.get("name") for p in listed if p.get("name") != "id"]:
        raise refuse(400, "not-supported", f"$status takes id alone, and not {str(unknown[0])[:60]}.")
    asked = [("_id", ",".join(map(str, ids)))] if ids else []
    search = searching.read_search(
        kind, [*asked, ("_count", "100")], lenient=False, limits=caller.limits(kind)
    )
    found = searching.find(caller, search).matches
    return _statuses([int(shown.resource["id"]) for shown in found], base=base, here=here)


def _statuses(keys: Sequence[int], *, base: str, here: str) -> Resource:
    rows = Subscription.objects.filter(pk__in=keys).order_by("pk")
    told = [
        notice_codec.status_of(
            str(row.pk),
            base=base,
            topic=row.topic,
            status=row.state,
            kind=notice_codec.QUERY,
            events=row.events,
        )
        for row in rows
    ]
    return searchset(map(Entry, told), total=len(told), base=base, here=here, further=None)
