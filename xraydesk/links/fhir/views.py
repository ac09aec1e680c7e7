"""FHIR R4 over HTTP: read, search, create and update of what the desk can answer truly."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version as version_of_package
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from xraydesk.lib import clock
from xraydesk.links.fhir import (
    booking,
    capability_codec,
    interactions,
    maps,
    operations,
    searchsets,
    sign_in,
    subscription_status,
    transactions,
)
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.http import (
    answer,
    answer_refusal,
    answer_reply,
    base_of,
    body_of,
    fhir,
    is_lenient,
    negotiate,
    only,
    written,
)
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.parts_codec import cut_as_asked
from xraydesk.links.fhir.replies import Refusal, Reply, refuse
from xraydesk.links.subscriptions.topics import TOPICS

FORM = "application/x-www-form-urlencoded"


@csrf_exempt
def metadata(request: HttpRequest) -> HttpResponse:
    """The CapabilityStatement, for anybody."""
    try:
        only(request, "GET", "HEAD")
        negotiate(request)
    except Refusal as refusal:
        return answer_refusal(refusal)
    return answer(
        capability_codec.capability_statement(
            at=clock.now(),
            base=base_of(request),
            version=version_of_package("xraydesk"),
            served=served(),
            oauth=_oauth(request),
        )
    )


def _oauth(request: HttpRequest) -> dict[str, str]:
    told = sign_in.configuration(sign_in.base_of(request))
    return {"authorize": told["authorization_endpoint"], "token": told["token_endpoint"]}


def served() -> list[capability_codec.Served]:
    """Every type as it is served, from the table that serves it."""
    return [
        capability_codec.Served(
            name=kind.name,
            says=kind.says,
            parameters={n: p.type for n, p in kind.parameters.items() if "." not in n},
            includes=[f"{kind.name}:{n}" for n, p in kind.parameters.items() if p.targets],
            revincludes=[
                f"{other.name}:{n}"
                for other in KINDS.values()
                if other.finder is None
                for n, p in other.parameters.items()
                if kind.name in p.targets
            ],
            writes=kind.writes,
            operations=kind.operations,
            topics=[t.url for t in TOPICS.values()] if kind.of_programs else [],
        )
        for kind in KINDS.values()
    ]


@fhir
def instance(request: HttpRequest, caller: Caller, *, kind: str, key: str) -> HttpResponse:
    """One resource: read it, or bring it up to date."""
    writes = [method for method, done in (("PUT", "update"), ("DELETE", "delete")) if _is_written(kind, done)]
    only(request, "GET", "HEAD", *writes, kind=kind)
    at = clock.now()
    if request.method == "DELETE":
        written(request, caller, kind, lambda: interactions.delete(caller, kind, key, at=at))
        return answer(None, 204)
    if request.method == "PUT":
        resource = body_of(request)
        match, unless = request.headers.get("If-Match", ""), request.headers.get("If-None-Match", "")
        reply = written(
            request,
            caller,
            kind,
            lambda: interactions.update(
                caller, kind, key, resource, if_match=match, if_none_match=unless, at=at
            ),
        )
        return answer_reply(request, reply, written=True)
    reply = interactions.read(caller, kind, key, at=at)
    response = _shown(request, reply)
    if interactions.fits_etag(request.headers.get("If-None-Match", ""), reply.etag):
        response.status_code, response.content = 304, b""
    return response


def _shown(request: HttpRequest, reply: Reply) -> HttpResponse:
    """One resource that is read, or the parts of it that are asked for; its version is that of the whole."""
    try:
        resource = cut_as_asked(reply.resource, request.GET.dict())
    except ValueError as bad:
        raise refuse(400, "invalid", f"{bad}.", "http._summary") from None
    return answer_reply(request, replace(reply, resource=resource))


@fhir
def version(request: HttpRequest, caller: Caller, *, kind: str, key: str, number: str) -> HttpResponse:
    """One version of a resource: the one that stands, for older ones are not kept."""
    only(request, "GET", "HEAD")
    reply = interactions.read(caller, kind, key, at=clock.now())
    if reply.resource["meta"]["versionId"] != number:
        raise refuse(404, "not-found", "That version is not kept; read the one that stands.")
    return _shown(request, reply)


@fhir
def collection(request: HttpRequest, caller: Caller, *, kind: str) -> HttpResponse:
    """All resources of a type: search them, make one, or bring the one that fits a condition up to date."""
    interactions.kind_for(caller, kind, "read")
    writes = [method for method, done in (("POST", "create"), ("PUT", "update")) if _is_written(kind, done)]
    only(request, "GET", "HEAD", *writes, kind=kind)
    at = clock.now()
    if request.method in ("GET", "HEAD"):
        return _search(request, caller, kind, request.GET)
    resource = body_of(request)
    if request.method == "POST":
        condition = request.headers.get("If-None-Exist", "")
        reply = written(
            request,
            caller,
            kind,
            lambda: interactions.create(caller, kind, resource, if_none_exist=condition, at=at),
        )
    else:
        criteria = request.META.get("QUERY_STRING", "")
        reply = written(
            request,
            caller,
            kind,
            lambda: interactions.conditional_update(caller, kind, criteria, resource, at=at),
        )
    return answer_reply(request, reply, written=True)


def _is_written(kind: str, done: str) -> bool:
    return kind in KINDS and done in KINDS[kind].writes


@fhir
def search_by_form(request: HttpRequest, caller: Caller, *, kind: str) -> HttpResponse:
    """A search whose values stand in the body, so that no patient's number is in an address."""
    only(request, "POST")
    if request.content_type != FORM:
        raise refuse(415, "not-supported", f"Send {FORM}.")
    asked = QueryDict(request.META.get("QUERY_STRING", ""), mutable=True)
    asked.update(request.POST)
    return _search(request, caller, kind, asked)


def _search(request: HttpRequest, caller: Caller, name: str, query: QueryDict) -> HttpResponse:
    asked = tuple((name, str(value)) for name, values in query.lists() for value in values)
    here = request.build_absolute_uri() if request.method == "GET" else ""
    found = searchsets.searched(
        caller, name, asked, lenient=is_lenient(request), base=base_of(request), here=here, at=clock.now()
    )
    return answer(found)


@csrf_exempt
def root(request: HttpRequest) -> HttpResponseBase:
    """The base itself: who looks there is led to what is served; several interactions at once are posted to it."""
    if request.method not in ("GET", "HEAD"):
        return together(request)
    if request.GET:
        words = "Nothing is searched for in all types at once here: ask one, such as Patient; metadata tells of each."
        return answer_refusal(refuse(400, "not-supported", words))
    return HttpResponseRedirect(reverse("fhir-metadata"))


@fhir
def together(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Several interactions at once: all or none (transaction), or each by itself (batch)."""
    only(request, "POST")
    bundle = body_of(request)
    at = clock.now()
    base = base_of(request)
    told = written(request, caller, "Bundle", lambda: transactions.done(caller, bundle, base=base, at=at))
    return answer(told)


@fhir
def operation_of_kind(request: HttpRequest, caller: Caller, *, kind: str, name: str) -> HttpResponse:
    """An operation of a type, such as Patient/$match."""
    known = {
        "validate": _validate,
        "match": _match,
        "find": _find,
        "hold": _hold,
        "book": _book,
        "translate": _translate,
        "status": _statuses,
    }
    if name not in known or name not in (KINDS[kind].operations if kind in KINDS else ()):
        raise refuse(404, "not-supported", "There is no such operation here; see metadata.")
    only(request, "POST", *(("GET",) if name in ("find", "translate", "status") else ()))
    return known[name](request, caller, kind)


@fhir
def operation_of_instance(
    request: HttpRequest, caller: Caller, *, kind: str, key: str, name: str
) -> HttpResponse:
    """An operation of one resource, such as Patient/1/$everything."""
    known = {("Patient", "everything"), ("Subscription", "status"), ("ConceptMap", "translate")}
    if (kind, name) not in known and not (name == "validate" and kind in KINDS):
        raise refuse(404, "not-supported", "There is no such operation here; see metadata.")
    only(request, "GET", "POST")
    if name == "validate":
        sent = body_of(request) if request.method == "POST" and request.body else _as_parameters(request.GET)
        return answer(operations.validated(caller, kind, sent, key=key, at=clock.now()))
    if name == "translate":
        return answer(maps.translate(caller, _told(request), table=key))
    if name == "status":
        interactions.kind_for(caller, kind, "read")
        here = request.build_absolute_uri()
        return answer(subscription_status.status_of(caller, key, base=base_of(request), here=here))
    told = operations.everything(
        caller,
        key,
        operations.read_everything(request.GET.dict(), lenient=is_lenient(request)),
        base=base_of(request),
        here=request.build_absolute_uri(),
        at=clock.now(),
    )
    return answer(told)


def _validate(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    return answer(operations.validated(caller, kind, body_of(request), at=clock.now()))


def _match(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    return answer(operations.matched(caller, body_of(request), base=base_of(request), at=clock.now()))


def _find(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    return answer(booking.find(caller, _told(request), base=base_of(request), at=clock.now()))


def _translate(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    return answer(maps.translate(caller, _told(request)))


def _statuses(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    here = request.build_absolute_uri()
    return answer(subscription_status.statuses_of(caller, _told(request), base=base_of(request), here=here))


def _told(request: HttpRequest) -> Any:
    """What an operation is asked, by Parameters or in its address."""
    return body_of(request) if request.method == "POST" else _as_parameters(request.GET)


def _as_parameters(query: QueryDict) -> dict[str, object]:
    values = [{"name": name, "valueString": value} for name, value in query.items()]
    return {"resourceType": "Parameters", "parameter": values}


def _hold(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    told, at = body_of(request), clock.now()
    reply = written(request, caller, "Appointment/$hold", lambda: booking.hold(caller, told, at=at))
    return answer_reply(request, reply, written=True)


def _book(request: HttpRequest, caller: Caller, kind: str) -> HttpResponse:
    told, at = body_of(request), clock.now()
    reply = written(request, caller, "Appointment/$book", lambda: booking.book(caller, told, at=at))
    return answer_reply(request, reply, written=True)


@fhir
def nothing_here(request: HttpRequest, caller: Caller, *, rest: str = "") -> HttpResponse:
    """Any other address below the base."""
    raise refuse(404, "not-found", "There is nothing at this address; see metadata.")
