"""FHIR R4 over HTTP: read and search of what the desk can answer truly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from xraydesk.access.actions import record_read
from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.lib import clock
from xraydesk.links.fhir import codec, queries

CONTENT_TYPE = "application/fhir+json; charset=utf-8"
COUNT_USUAL = 50
COUNT_MAX = 100
OFFSET_MAX = 100_000


class BadSearch(ValueError):
    """A search parameter is unknown or cannot be read."""


def _answer(resource: codec.Resource, status: int = 200) -> HttpResponse:
    response = HttpResponse(
        json.dumps(resource, ensure_ascii=False), content_type=CONTENT_TYPE, status=status
    )
    response["Cache-Control"] = "no-store"
    return response


def _refuse(status: int, code: str, words: str) -> HttpResponse:
    return _answer(codec.outcome(code, words), status)


@dataclass(frozen=True)
class Kind:
    """One resource type: its search parameters with their types, and how it is found."""

    parameters: dict[str, str]
    found: Callable[..., queries.Found]


KINDS: dict[str, Kind] = {
    "Patient": Kind({"_id": "token", "identifier": "token"}, queries.patients),
    "ServiceRequest": Kind(
        {"_id": "token", "identifier": "token", "patient": "reference"}, queries.service_requests
    ),
    "ImagingStudy": Kind(
        {"_id": "token", "identifier": "token", "patient": "reference"}, queries.imaging_studies
    ),
    "DiagnosticReport": Kind(
        {
            "_id": "token",
            "identifier": "token",
            "patient": "reference",
            "based-on": "reference",
            "status": "token",
            "issued": "date",
        },
        queries.diagnostic_reports,
    ),
}
"""What is served; `/metadata` lists just this."""

PAGING = ("_count", "_offset")
SILENT = ("_format", "_pretty", "_summary")
"""Parameters that change nothing here and are let through."""


def _base(request: HttpRequest) -> str:
    return request.build_absolute_uri("/fhir/R4")


def metadata(request: HttpRequest) -> HttpResponse:
    """The CapabilityStatement, for anybody."""
    return _answer(
        codec.capability_statement(
            at=clock.now(),
            base=_base(request),
            version=version("xraydesk"),
            parameters={kind: served.parameters for kind, served in KINDS.items()},
        )
    )


def _member(request: HttpRequest) -> Member | None:
    member = getattr(request, "member", None)
    return member if member else None


def _gate(request: HttpRequest, kind: str) -> Member | HttpResponse:
    """The member behind a request, or the answer to somebody who may not ask this."""
    member = _member(request)
    if member is None:
        refused = _refuse(401, "login", "Send a bearer token: xraydesk token create NAME --role system")
        refused["WWW-Authenticate"] = 'Bearer realm="xraydesk"'
        return refused
    if not member.may(Permission.FHIR):
        return _refuse(404, "not-found", "There is nothing here for this role.")
    if kind not in KINDS:
        return _refuse(404, "not-supported", f"The type {kind[:40]} is not served here; see metadata.")
    if request.method not in ("GET", "HEAD"):
        refused = _refuse(405, "not-supported", f"{kind} is only read here.")
        refused["Allow"] = "GET, HEAD"
        return refused
    return member


@csrf_exempt
def read(request: HttpRequest, kind: str, key: str) -> HttpResponse:
    """One resource by its id."""
    gate = _gate(request, kind)
    if isinstance(gate, HttpResponse):
        return gate
    found = KINDS[kind].found(gate.site, queries.Asked(keys=(key,)))
    if not found.resources:
        return _refuse(404, "not-found", f"There is no such {kind} here.")
    _log(gate, kind, found)
    return _answer(found.resources[0])


@csrf_exempt
def search(request: HttpRequest, kind: str) -> HttpResponse:
    """A page of the resources that fit; unknown parameters are refused rather than ignored."""
    gate = _gate(request, kind)
    if isinstance(gate, HttpResponse):
        return gate
    try:
        asked = _asked(request, kind, gate.site.timezone)
    except BadSearch as bad:
        return _refuse(400, "invalid", str(bad))
    found = KINDS[kind].found(gate.site, asked)
    _log(gate, kind, found)
    count, offset = asked.count, asked.offset
    further = None
    if count and offset + count < found.total:
        query = request.GET.copy()
        query["_count"], query["_offset"] = str(count), str(offset + count)
        further = f"{_base(request)}/{kind}?{urlencode(list(query.items()))}"
    return _answer(
        codec.bundle(
            found.resources,
            total=found.total,
            base=_base(request),
            here=request.build_absolute_uri(),
            further=further,
        )
    )


def _asked(request: HttpRequest, kind: str, zone: str) -> queries.Asked:
    for name in request.GET:
        if name not in KINDS[kind].parameters and name not in PAGING and name not in SILENT:
            raise BadSearch(f"The parameter {name[:40]} is not known for {kind}; see metadata.")
        if any("\0" in value for value in request.GET.getlist(name)):
            raise BadSearch(f"The parameter {name} holds a character that no text has.")
    patient = request.GET.get("patient")
    based_on = _several(request, "based-on")
    return queries.Asked(
        keys=_several(request, "_id"),
        identifiers=_several(request, "identifier"),
        patient=patient.removeprefix("Patient/") if patient is not None else None,
        based_on=tuple(b.removeprefix("ServiceRequest/") for b in based_on) if based_on is not None else None,
        statuses=_several(request, "status"),
        issued=tuple(c for written in request.GET.getlist("issued")[:2] for c in _compared(written, zone)),
        count=_number(request, "_count", COUNT_USUAL, COUNT_MAX),
        offset=_number(request, "_offset", 0, OFFSET_MAX),
    )


_DATE = re.compile(r"(eq|ge|le|gt|lt)?(\d{4}-\d\d-\d\d)(T[0-9:.]+(?:Z|[+-]\d\d:\d\d))?")


def _compared(written: str, zone: str) -> tuple[tuple[str, datetime], ...]:
    """A date search value as comparisons with moments (FHIR R4 §3.1.1.4.7): a day is the site's, from midnight to midnight."""
    found = _DATE.fullmatch(written.strip().replace(" ", "+"))
    try:
        if found is None:
            raise ValueError
        if found[3]:
            first = datetime.fromisoformat(found[2] + found[3])
            after = first + timedelta(microseconds=1)
        else:
            first, after = clock.day_bounds(date.fromisoformat(found[2]), zone)
    except (ValueError, OverflowError):
        raise BadSearch("issued takes a day or a time with its offset, such as ge2026-03-02.") from None
    match found[1]:
        case "ge":
            return (("gte", first),)
        case "gt":
            return (("gte", after),)
        case "le":
            return (("lt", after),)
        case "lt":
            return (("lt", first),)
        case _:
            return (("gte", first), ("lt", after))


def _several(request: HttpRequest, name: str) -> tuple[str, ...] | None:
    """The values of a token parameter, any of which may fit; None where it was not given."""
    if name not in request.GET:
        return None
    return tuple(value for value in request.GET[name].split(",") if value)[:COUNT_MAX]


def _number(request: HttpRequest, name: str, usual: int, most: int) -> int:
    text = request.GET.get(name, str(usual))
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise BadSearch(f"{name} takes a whole number.")
    return min(int(text), most)


def _log(member: Member, kind: str, found: queries.Found) -> None:
    at = clock.now()
    for patient, accession in found.read:
        record_read(member=member, patient=patient, accession=accession, what=f"FHIR {kind}", at=at)


@csrf_exempt
def nothing_here(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Any other address below the base."""
    gate = _gate(request, "Patient")
    if isinstance(gate, HttpResponse) and gate.status_code == 401:
        return gate
    return _refuse(404, "not-found", "There is nothing at this address; see metadata.")
