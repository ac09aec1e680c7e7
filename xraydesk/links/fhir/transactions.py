"""Bundles of interactions: a transaction is done whole or not at all, a batch entry by entry (FHIR R4 §3.1.0.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from django.db import transaction

from xraydesk.links.fhir import bundle_codec, interactions, searching, searchsets, shape_codec
from xraydesk.links.fhir.answers_codec import Issue
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import Resource, filled
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.replies import Refusal, Reply, refuse
from xraydesk.links.fhir.searching import BadSearch

ENTRIES_MAX = 200
"""A bundle with more is refused: split it."""

WRITE_ORDER = ("Patient", "Coverage", "ServiceRequest")
"""What others refer to is written first."""

METHOD_ORDER = ("DELETE", "POST", "PUT", "GET", "HEAD")
_STATUS = {200: "200 OK", 201: "201 Created"}


def done(caller: Caller, bundle: Any, *, base: str, at: datetime) -> Resource:
    """Do what a bundle asks; the bundle that answers it, entry by entry in the same order.

    Raises Refusal for a bundle that is none, and for a transaction of which one entry cannot be done: its path says which.
    """
    if not isinstance(bundle, dict):
        raise refuse(400, "structure", "A Bundle is sent as a JSON object.", "Bundle")
    if wrong := shape_codec.issues_of(bundle, "Bundle"):
        raise Refusal(400, *wrong)
    kind = bundle["type"]
    if kind not in ("transaction", "batch"):
        raise refuse(400, "not-supported", "A transaction or a batch is taken here.", "Bundle.type")
    entries = bundle.get("entry", [])
    if len(entries) > ENTRIES_MAX:
        raise refuse(413, "too-long", f"A bundle has at most {ENTRIES_MAX} entries.", "Bundle.entry")
    work = _Work(caller, base, at)
    answers = (
        work.whole(entries) if kind == "transaction" else [work.alone(n, e) for n, e in enumerate(entries)]
    )
    return filled(resourceType="Bundle", type=f"{kind}-response", entry=answers)


def _order(entry: Mapping[str, Any]) -> tuple[int, int]:
    request = entry.get("request", {})
    method = request.get("method", "")
    name = request.get("url", "").partition("?")[0].partition("/")[0]
    return (
        METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER),
        WRITE_ORDER.index(name) if name in WRITE_ORDER else len(WRITE_ORDER),
    )


class _Work:
    """The entries of one bundle, with what references between them lead to once they are written."""

    def __init__(self, caller: Caller, base: str, at: datetime) -> None:
        self.caller = caller
        self.base = base
        self.at = at
        self.known: dict[str, str] = {}

    def whole(self, entries: list[Mapping[str, Any]]) -> list[Resource]:
        twice = bundle_codec.repeated(entries)
        if twice is not None:
            raise refuse(
                400, "invariant", "Each entry has a fullUrl of its own.", f"Bundle.entry[{twice}].fullUrl"
            )
        answers: dict[int, Resource] = {}
        for number in sorted(range(len(entries)), key=lambda n: (_order(entries[n]), n)):
            answers[number] = self._one(number, entries[number])
        return [answers[number] for number in range(len(entries))]

    def alone(self, number: int, entry: Mapping[str, Any]) -> Resource:
        try:
            with transaction.atomic():
                return self._one(number, entry)
        except Refusal as refusal:
            return {"response": {"status": str(refusal.status), "outcome": refusal.resource}}

    def _one(self, number: int, entry: Mapping[str, Any]) -> Resource:
        try:
            return self._answer(entry)
        except BadSearch as bad:
            raise Refusal(400, *_placed(number, bad.issues)) from bad
        except Refusal as refusal:
            issues = _placed(number, refusal.issues)
            raise Refusal(refusal.status, *issues, contained=refusal.contained) from refusal

    def _answer(self, entry: Mapping[str, Any]) -> Resource:
        request = entry.get("request")
        if request is None:
            raise refuse(400, "required", "An entry says what is to be done.", "request")
        method, url = request["method"], request["url"].removeprefix(f"{self.base}/")
        path, _, query = url.partition("?")
        name, _, key = path.strip("/").partition("/")
        if method in ("GET", "HEAD"):
            return self._read(name, key, query)
        if method == "DELETE" and key and not query:
            interactions.delete(self.caller, name, key, at=self.at)
            return {"response": {"status": "204 No Content"}}
        resource = self._resolved(entry.get("resource"), bundle_codec.server_of(entry.get("fullUrl", "")))
        reply = self._write(name, key, query, request, resource)
        if full := entry.get("fullUrl"):
            self.known[full] = reply.location
        return _told(reply)

    def _write(self, name: str, key: str, query: str, request: Mapping[str, Any], resource: Any) -> Reply:
        caller, at, method = self.caller, self.at, request["method"]
        match method, bool(key), bool(query):
            case "POST", False, False:
                condition = request.get("ifNoneExist", "")
                return interactions.create(caller, name, resource, if_none_exist=condition, at=at)
            case "PUT", True, False:
                match_, unless = request.get("ifMatch", ""), request.get("ifNoneMatch", "")
                return interactions.update(
                    caller, name, key, resource, if_match=match_, if_none_match=unless, at=at
                )
            case "PUT", False, True:
                return interactions.conditional_update(caller, name, query, resource, at=at)
            case _:
                raise refuse(400, "not-supported", f"{method} is not done at that address here.", "request")

    def _read(self, name: str, key: str, query: str) -> Resource:
        if key:
            return _told(interactions.read(self.caller, name, key, at=self.at))
        asked = parse_qsl(query, keep_blank_values=True)
        found = searchsets.searched(
            self.caller, name, asked, lenient=False, base=self.base, here="", at=self.at
        )
        return {"resource": found, "response": {"status": "200 OK"}}

    def _resolved(self, value: Any, server: str) -> Any:
        """A resource with its references to other entries, and those by condition, as they are here."""
        if isinstance(value, list):
            return [self._resolved(part, server) for part in value]
        if not isinstance(value, dict):
            return value
        told = {name: self._resolved(part, server) for name, part in value.items()}
        named = told.get("reference")
        if isinstance(named, str):
            address = bundle_codec.whole(named, server)
            told["reference"] = self.known.get(address.partition("/_history/")[0]) or self._by_condition(
                address
            )
        return told

    def _by_condition(self, named: str) -> str:
        name, mark, criteria = named.partition("?")
        if not mark or name not in KINDS:
            return named
        search = searching.read_search(
            interactions.kind_for(self.caller, name, "search"),
            [*interactions.read_condition(criteria), ("_count", "2"), ("_total", "none")],
            lenient=False,
            limits=self.caller.limits(KINDS[name]),
        )
        found = searching.find(self.caller, search).matches
        if len(found) != 1:
            many = "More than one" if found else "No"
            raise refuse(412, "not-found", f"{many} {name} fits a reference by condition.", "resource")
        return f"{name}/{found[0].resource['id']}"


def _told(reply: Reply) -> Resource:
    version = reply.resource["meta"]["versionId"]
    response = filled(
        status=_STATUS[reply.status],
        location=f"{reply.location}/_history/{version}",
        etag=reply.etag,
        lastModified=reply.resource["meta"].get("lastUpdated"),
    )
    return {"resource": reply.resource, "response": response}


def _placed(number: int, issues: tuple[Issue, ...]) -> list[Issue]:
    """Issues of an entry with the path from the bundle: `Bundle.entry[2].resource.name`."""
    placed = []
    for issue in issues:
        kind, _, rest = issue.path.partition(".")
        inside = f".{issue.path}" if kind in ("request", "resource") else f".resource.{rest}" if rest else ""
        placed.append(replace(issue, path=f"Bundle.entry[{number}]{inside}"))
    return placed
