"""A search from what was asked to the bundle that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xraydesk.links.fhir import interactions, pages, searching
from xraydesk.links.fhir.answers_codec import Entry, outcome, searchset
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import Resource
from xraydesk.links.fhir.pages import PAGE, Page
from xraydesk.links.fhir.parts_codec import cut
from xraydesk.links.fhir.replies import refuse
from xraydesk.links.fhir.searching import Search


def searched(
    caller: Caller,
    name: str,
    asked: Sequence[tuple[str, str]],
    *,
    lenient: bool,
    base: str,
    here: str,
    at: datetime,
) -> Resource:
    """A page of what a search finds. `here` is its address; empty where its values must not stand in one.

    Raises Refusal and BadSearch.
    """
    kind = interactions.kind_for(caller, name, "search")
    page = _page(caller, asked, lenient=lenient, at=at)
    search = searching.read_search(
        kind, page.asked, lenient=page.lenient, limits=caller.limits(kind), base=base
    )
    found = searching.find(caller, search, after=page.after, total=page.total)
    interactions.log(caller, "search", kind, [*found.matches, *found.included], at=at)

    def address(of: Page) -> str:
        return f"{base}/{name}?{PAGE}={pages.sealed(of, who=caller.member.who, at=at)}"

    further = Page(page.asked, found.after, found.total, page.lenient) if found.after else None
    entries = [Entry(_cut(entry.resource, search), entry.mode) for entry in searching.entries_of(found)]
    if search.ignored and search.summary != "count":
        entries.append(Entry(outcome(search.ignored), "outcome"))
    return searchset(
        entries,
        total=found.total,
        base=base,
        here=here if here and not search.ignored else address(page),
        further=address(further) if further else None,
    )


def _page(caller: Caller, asked: Sequence[tuple[str, str]], *, lenient: bool, at: datetime) -> Page:
    token = dict(asked).get(PAGE)
    if token is None:
        return Page(tuple(asked), None, None, lenient)
    page = pages.opened(token, who=caller.member.who, at=at)
    if page is None:
        raise refuse(400, "invalid", "That page cannot be had any more: search anew.")
    return page


def _cut(resource: Resource, search: Search) -> Resource:
    """The parts that are asked for; elements are named of what is searched, not of what is put beside it."""
    is_match = resource["resourceType"] == search.kind.name
    return cut(resource, summary=search.summary, elements=search.elements if is_match else ())
