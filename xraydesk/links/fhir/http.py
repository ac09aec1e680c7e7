"""What every FHIR address does alike: who asks, what they accept, what they sent, and how an answer goes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt
from psycopg.errors import DeadlockDetected

from xraydesk.access.members import Member
from xraydesk.lib import clock, exact_json
from xraydesk.links.fhir.answers_codec import Issue
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import Resource
from xraydesk.links.fhir.form_rules import may_be_json
from xraydesk.links.fhir.replies import Refusal, Reply, refuse
from xraydesk.links.fhir.scopes_codec import read_scopes
from xraydesk.links.fhir.searching import BadSearch
from xraydesk.links.fhir.writing import link_of
from xraydesk.links.messages import keep_request
from xraydesk.links.subscriptions.subscription_codec import hidden_headers

CONTENT_TYPE = "application/fhir+json; charset=utf-8"
JSON_TYPES = ("application/fhir+json", "application/json", "text/json", "application/json+fhir")
T = TypeVar("T")

TRIES_MAX = 4
"""Who is ended because two waited for each other is tried again so often; nobody outside hears of it (row 43)."""

TRY_AGAIN_SECONDS = 0.05


def base_of(request: HttpRequest) -> str:
    """The address of the server, without a stroke at its end."""
    return request.build_absolute_uri("/fhir/R4")


def answer(resource: Resource | None, status: int = 200) -> HttpResponse:
    """A resource as it goes out; never kept on the way."""
    body = "" if resource is None else exact_json.written(resource)
    response = HttpResponse(body, content_type=CONTENT_TYPE, status=status)
    response["Cache-Control"] = "no-store"
    return response


def answer_reply(request: HttpRequest, reply: Reply, *, written: bool = False) -> HttpResponse:
    """One resource with its version, and where it is if it is new. Prefer: return=minimal leaves the resource out."""
    minimal = written and "return=minimal" in request.headers.get("Prefer", "")
    response = answer(None if minimal else reply.resource, reply.status)
    response["ETag"] = reply.etag
    if updated_at := reply.resource["meta"].get("lastUpdated"):
        response["Last-Modified"] = _http_date(updated_at)
    if written:
        version = reply.resource["meta"]["versionId"]
        response["Location"] = f"{base_of(request)}/{reply.location}/_history/{version}"
    return response


def _http_date(iso: str) -> str:
    return http_date(datetime.fromisoformat(iso).timestamp())


def caller_of(request: HttpRequest) -> Caller:
    """Who asks. Raises Refusal (401) for a stranger."""
    member = getattr(request, "member", None)
    if not member:
        raise refuse(401, "login", "Send a bearer token: xraydesk token create NAME --role system")
    by_token = request.headers.get("Authorization", "").partition(" ")[0].lower() == "bearer"
    known = cast(Member, member)
    return Caller(
        known,
        by_token,
        scopes=None if known.scopes is None else read_scopes(known.scopes),
        patient=known.patient,
        reason=f"through the app {known.app}" if known.app else "",
        base=base_of(request),
    )


def is_lenient(request: HttpRequest) -> bool:
    """Whether what is not understood in a search may be left out (Prefer: handling=lenient)."""
    return "handling=lenient" in request.headers.get("Prefer", "")


def negotiate(request: HttpRequest) -> None:
    """Refuse who asks for another form than JSON (406)."""
    if not may_be_json(request.headers.get("Accept", ""), request.GET.get("_format", "")):
        raise refuse(406, "not-supported", "Answers are JSON: ask for application/fhir+json.")


def body_of(request: HttpRequest) -> Any:
    """What was sent, read as JSON. Raises Refusal: 400, 413, 415."""
    if request.content_type not in JSON_TYPES:
        raise refuse(415, "not-supported", "Send application/fhir+json.")
    try:
        raw = request.body
    except RequestDataTooBig:
        raise refuse(413, "too-long", "The request is longer than is taken here.") from None
    except UnreadablePostError:
        raise refuse(400, "structure", "The request broke off.") from None
    try:
        text = raw.decode("utf-8-sig")
        told = exact_json.read(text)
    except (ValueError, RecursionError):
        raise refuse(400, "structure", "The request is no JSON.") from None
    if "\\u0000" in text:
        raise refuse(400, "value", "A text holds a character that no text has (U+0000).")
    return told


def fhir(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A FHIR address: it is handed who asks, and what it refuses goes out as an OperationOutcome."""

    @csrf_exempt
    @wraps(view)
    def served(request: HttpRequest, **of: str) -> HttpResponse:
        try:
            negotiate(request)
            return view(request, caller_of(request), **of)
        except BadSearch as bad:
            return answer(Refusal(400, *bad.issues).resource, 400)
        except Refusal as refusal:
            return answer_refusal(refusal)

    return served


def answer_refusal(refusal: Refusal) -> HttpResponse:
    """A refusal as it goes out."""
    response = answer(refusal.resource, refusal.status)
    if refusal.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="xraydesk"'
    if refusal.allowed:
        response["Allow"] = ", ".join(refusal.allowed)
    return response


def only(request: HttpRequest, *methods: str, kind: str = "") -> None:
    """Refuse what an address does not take (405); of a type of resource, that type is named."""
    if request.method not in methods:
        words = f"This address takes {', '.join(methods)}."
        raise Refusal(405, Issue("not-supported", words, kind), allowed=methods)


def written(request: HttpRequest, caller: Caller, what: str, act: Callable[[], T]) -> T:
    """Do what a request asks in one transaction and keep the request with what became of it, applied or refused.

    Two that wait for each other are told apart by trying again. Raises Refusal.
    """
    for tries in range(TRIES_MAX):
        try:
            return _written_once(request, caller, what, act)
        except OperationalError as trouble:
            if tries == TRIES_MAX - 1 or not isinstance(trouble.__cause__, DeadlockDetected):
                raise
            time.sleep(TRY_AGAIN_SECONDS * (tries + 1))
    raise AssertionError


def _kept_body(request: HttpRequest, what: str) -> bytes:
    """A request as it is kept: of a Subscription without what its headers hold, for that lets the desk in somewhere."""
    may_have_some = what == "Subscription" or (what == "Bundle" and b"Subscription" in request.body)
    return hidden_headers(request.body) if may_have_some else request.body


def _written_once(request: HttpRequest, caller: Caller, what: str, act: Callable[[], T]) -> T:
    refused: Refusal | None = None
    with transaction.atomic():
        try:
            with transaction.atomic():
                done = act()
        except (Refusal, BadSearch) as error:
            refused = error if isinstance(error, Refusal) else Refusal(400, *error.issues)
        keep_request(
            site=caller.member.site,
            link=link_of(caller),
            type=f"{request.method} {what}",
            raw=_kept_body(request, what),
            refused=str(refused) if refused else "",
            at=clock.now(),
        )
    if refused:
        raise refused
    return done
