"""What the simulated EHR answers by FHIR R4: reads, searches with pages and includes, conditional writes, tokens. No sockets here."""

from __future__ import annotations

import base64
import json
import operator
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from xraydesk.parties.fhir_store import Changed, Resource, Several, Store, has_number, updated

FHIR_JSON = "application/fhir+json"
JSON_TYPES = (FHIR_JSON, "application/json", "application/json+fhir")
READ = ("ServiceRequest", "Patient", "Coverage")
WRITTEN = ("Appointment", "ImagingStudy", "DiagnosticReport", "Communication")
KINDS = (*READ, *WRITTEN)
PAGE_LENGTH, PAGE_LENGTH_MAX = 20, 100
TOKEN_SECONDS = 300
PROOF_SECONDS_MAX = 300
NEEDED = {
    "Appointment": ("status", "participant"),
    "ImagingStudy": ("status", "subject"),
    "DiagnosticReport": ("status", "code"),
    "Communication": ("status",),
}
"""What R4 has as 1.. in what is written here."""

SUBJECTS = {"Coverage": "beneficiary", "Patient": ""}
"""Where a type says whose it is; `subject` for the others."""

_COMPARED: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "": operator.eq,
}


@dataclass(frozen=True)
class Asked:
    """A request: its path below the base, the query as it stands, headers by small names."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def kind(self) -> str:
        """The type of resource that it is about."""
        return self.path.partition("/")[0]

    @property
    def is_search(self) -> bool:
        """True where it asks for a page of what was found."""
        return self.method == "GET" and self.path in KINDS


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Wrong(Exception):
    """A request that is refused, with what an OperationOutcome says of it."""

    def __init__(self, status: int, code: str, words: str, path: str = "") -> None:
        super().__init__(words)
        self.told = outcome(status, code, words, path)


def outcome(status: int, code: str, words: str, path: str = "") -> Told:
    """An OperationOutcome as an answer."""
    issue: Resource = {"severity": "error", "code": code, "diagnostics": words}
    if path:
        issue["expression"] = [path]
    return _json({"resourceType": "OperationOutcome", "issue": [issue]}, status)


@dataclass
class Tokens:
    """Who is let in: programs that prove with their key who they are (SMART Backend Services). Without a key anybody is."""

    public_key: Mapping[str, Any] | None = None
    client_id: str = "xraydesk"
    good: dict[str, float] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Proofs that were shown: none is good twice."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lets_in(self, asked: Asked) -> bool:
        """Whether a request shows a token that is good still."""
        if self.public_key is None:
            return True
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        with self.lock:
            return scheme.lower() == "bearer" and self.good.get(token, 0.0) > time.monotonic()

    def end_all(self) -> None:
        """Every token is good no more, before its time."""
        with self.lock:
            self.good.clear()

    def give(self, asked: Asked, where: str) -> Told:
        """A token for a proof that is right; `where` is the address that the proof must be meant for."""
        form = dict(parse_qsl(asked.body.decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            return _json({"error": "unsupported_grant_type"}, 400)
        if not self._is_proof(form.get("client_assertion", ""), where):
            return _json({"error": "invalid_client"}, 400)
        token = secrets.token_urlsafe(24)
        with self.lock:
            now = time.monotonic()
            self.good = {t: until for t, until in self.good.items() if until > now}
            self.good[token] = now + TOKEN_SECONDS
        return _json(
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": TOKEN_SECONDS,
                "scope": form.get("scope", ""),
            }
        )

    def _is_proof(self, assertion: str, where: str) -> bool:
        try:
            key = import_key(dict(self.public_key or {}))
            claims = jwt.decode(assertion, key, algorithms=["ES384", "RS384"]).claims
        except (JoseError, ValueError):
            return False
        now, until, number = time.time(), claims.get("exp", 0), str(claims.get("jti", ""))
        with self.lock:
            is_new = bool(number) and number not in self.seen
            self.seen = {*sorted(self.seen)[-999:], number}
        who = claims.get("iss") == claims.get("sub") == self.client_id
        return who and is_new and claims.get("aud") == where and now < until <= now + PROOF_SECONDS_MAX


@dataclass
class FhirSide:
    """The FHIR side of one EHR: what it holds, who may come in, and what it answers."""

    store: Store
    base: str
    tokens: Tokens = field(default_factory=Tokens)

    def answer(self, asked: Asked) -> Told:
        """Answer one request."""
        try:
            return self._answered(asked)
        except Wrong as wrong:
            return wrong.told

    def _answered(self, asked: Asked) -> Told:
        if asked.path == "metadata":
            return _json(self._statement())
        if asked.path == ".well-known/smart-configuration":
            return _json(
                {
                    "token_endpoint": f"{self.base}/token",
                    "grant_types_supported": ["client_credentials"],
                    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                    "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
                }
            )
        if asked.path == "token" and asked.method == "POST":
            return self.tokens.give(asked, f"{self.base}/token")
        if not self.tokens.lets_in(asked):
            raise Wrong(401, "login", "Sign in first: this token is none, or is good no more.")
        if asked.kind not in KINDS:
            raise Wrong(404, "not-supported", f"This server keeps none of {asked.kind[:40]}.")
        _, _, rest = asked.path.partition("/")
        match asked.method, rest:
            case "GET", "":
                return self._found(asked)
            case "GET", _:
                return self._read(asked.kind, rest)
            case "POST", "":
                return self._created(asked)
            case "PUT", _ if rest and "/" not in rest:
                return self._updated(asked, rest)
        raise Wrong(405, "not-supported", f"{asked.method} is not done here.")

    def _statement(self) -> Resource:
        reads = [{"code": "read"}, {"code": "vread"}, {"code": "search-type"}]
        writes = [*reads, {"code": "create"}, {"code": "update"}]
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-01-01",
            "kind": "instance",
            "implementation": {"description": "A simulated EHR", "url": self.base},
            "fhirVersion": "4.0.1",
            "format": [FHIR_JSON],
            "rest": [
                {
                    "mode": "server",
                    "resource": [
                        {"type": kind, "versioning": "versioned-update", "conditionalCreate": kind in WRITTEN}
                        | {"interaction": writes if kind in WRITTEN else reads}
                        for kind in KINDS
                    ],
                }
            ],
        }

    # ---- reading ----------------------------------------------------------------------------

    def _read(self, kind: str, rest: str) -> Told:
        key, _, version = rest.partition("/_history/")
        found = self.store.read(kind, key, version)
        if found is None:
            raise Wrong(404, "not-found", f"There is no {kind} of this id here.")
        return _json(found)

    def _found(self, asked: Asked) -> Told:
        wanted = parse_qsl(asked.query, keep_blank_values=True)
        told = dict(wanted)
        found = self.store.all(asked.kind)
        for name, value in wanted:
            found = [one for one in found if self._fits(asked.kind, one, name, value)]
        newest_first = told.get("_sort") == "-_lastUpdated"
        found.sort(key=_order, reverse=newest_first)
        length = min(
            int(told["_count"]) if told.get("_count", "").isdecimal() else PAGE_LENGTH, PAGE_LENGTH_MAX
        )
        # A page begins behind the last one's end, wherever that lies now: what changes meanwhile hides nothing.
        behind = _end_of(told["_page"]) if told.get("_page") else None
        left = [
            one
            for one in found
            if behind is None or (_order(one) < behind if newest_first else _order(one) > behind)
        ]
        page = left[:length]
        kept = [(name, value) for name, value in wanted if name != "_page"]
        links = [{"relation": "self", "url": f"{self.base}/{asked.kind}?{urlencode(kept)}"}]
        if page and len(left) > length:
            further = urlencode([*kept, ("_page", _page_behind(page[-1]))])
            links.append({"relation": "next", "url": f"{self.base}/{asked.kind}?{further}"})
        entries = [self._entry(one, "match") for one in page]
        includes = [value for name, value in wanted if name in ("_include", "_include:iterate")]
        entries += [self._entry(one, "include") for one in self._included(asked.kind, page, includes)]
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(found),
            "link": links,
            "entry": entries,
        }
        return _json(bundle)

    def _entry(self, one: Resource, mode: str) -> Resource:
        place = f"{self.base}/{one['resourceType']}/{one['id']}"
        return {"fullUrl": place, "resource": one, "search": {"mode": mode}}

    def _fits(self, kind: str, one: Resource, name: str, value: str) -> bool:
        match name:
            case "_lastUpdated":
                prefix = value[:2] if value[:2].isalpha() else ""
                compare = _COMPARED.get(prefix)
                if compare is None:
                    raise Wrong(400, "value", f"No such prefix: {prefix}.", name)
                return bool(compare(updated(one), _moment(value.removeprefix(prefix))))
            case "_id":
                return one["id"] in value.split(",")
            case "status":
                return one.get("status") in value.split(",")
            case "identifier":
                return any(_has_token(one, token) for token in value.split(","))
            case "category":
                return any(value.rpartition("|")[2] in _codes(told) for told in one.get("category", ()))
            case "patient" | "subject" | "beneficiary":
                told = str(one.get(SUBJECTS.get(kind, "subject"), {}).get("reference", ""))
                return told.removeprefix("Patient/") == value.removeprefix("Patient/")
            case "based-on":
                return any(one.get("reference") == value for one in one.get("basedOn", ()))
            case "_count" | "_sort" | "_page" | "_include" | "_include:iterate" | "_total" | "_format":
                return True
        raise Wrong(400, "not-supported", f"Nothing is searched by {name[:40]} here.", name)

    def _included(self, kind: str, page: list[Resource], includes: list[str]) -> list[Resource]:
        wanted = {f"{kind}:patient", f"{kind}:subject", f"{kind}:beneficiary"} & set(includes)
        references = {one.get(SUBJECTS.get(kind, "subject"), {}).get("reference", "") for one in page}
        keys = sorted(one.removeprefix("Patient/") for one in references if one.startswith("Patient/"))
        found = (self.store.read("Patient", key) for key in keys) if wanted else ()
        return [one for one in found if one is not None]

    # ---- writing ----------------------------------------------------------------------------

    def _created(self, asked: Asked) -> Told:
        resource = self._sent(asked)
        try:
            made, is_new = self.store.create(
                resource, unless=_condition(asked.headers.get("if-none-exist", ""))
            )
        except Several:
            raise Wrong(412, "multiple-matches", "Several fit this condition.") from None
        return self._kept(made, asked, 201 if is_new else 200)

    def _updated(self, asked: Asked, key: str) -> Told:
        resource = self._sent(asked)
        if resource.get("id") != key:
            raise Wrong(400, "invalid", "The id is another than the address says.", f"{asked.kind}.id")
        if self.store.read(asked.kind, key) is None:
            raise Wrong(404, "not-found", f"There is no {asked.kind} of this id here.")
        match = asked.headers.get("if-match", "").removeprefix("W/").strip('"')
        try:
            return self._kept(self.store.put(resource, match=match), asked, 200)
        except Changed:
            raise Wrong(412, "conflict", "Another version stands here.") from None

    def _kept(self, made: Resource, asked: Asked, status: int) -> Told:
        place = f"{self.base}/{asked.kind}/{made['id']}/_history/{made['meta']['versionId']}"
        told = _json(made, status)
        body = b"" if "return=minimal" in asked.headers.get("prefer", "") else told.body
        return Told(status, body, {**told.headers, "Location": place})

    def _sent(self, asked: Asked) -> Resource:
        kind = asked.kind
        if kind not in WRITTEN:
            raise Wrong(403, "forbidden", f"{kind} is written by the EHR alone.")
        if asked.headers.get("content-type", "").partition(";")[0].strip() not in JSON_TYPES:
            raise Wrong(415, "not-supported", f"This server takes {FHIR_JSON}.")
        try:
            resource = json.loads(asked.body)
        except (ValueError, RecursionError):
            raise Wrong(400, "structure", "This is no JSON.") from None
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            raise Wrong(422, "structure", f"This is no {kind}.", kind)
        for name in NEEDED[kind]:
            if not resource.get(name):
                raise Wrong(422, "required", f"{name} is needed.", f"{kind}.{name}")
        for told in _references(resource):
            named, _, key = told.partition("/")
            if named in KINDS and self.store.read(named, key) is None:
                raise Wrong(422, "not-found", "This refers to something that is not here.", kind)
        return resource


def _json(told: Resource, status: int = 200) -> Told:
    headers = {"Content-Type": FHIR_JSON if "resourceType" in told else "application/json"}
    if version := told.get("meta", {}).get("versionId"):
        headers["ETag"] = f'W/"{version}"'
    return Told(status, json.dumps(told, ensure_ascii=False).encode(), headers)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(400, "value", "This is no time.", "_lastUpdated") from None
    if found.tzinfo is None:
        raise Wrong(400, "value", "Say the offset of this time.", "_lastUpdated")
    return found


def _has_token(resource: Resource, token: str) -> bool:
    system, bar, value = token.rpartition("|")
    return has_number(resource, system if bar else "", value)


def _codes(told: Mapping[str, Any]) -> list[str]:
    return [str(told.get("text", "")), *(str(one.get("code", "")) for one in told.get("coding", ()))]


def _condition(text: str) -> tuple[str, str] | None:
    """The number of If-None-Exist; None where there is no condition."""
    if not text:
        return None
    told = dict(parse_qsl(text))
    system, bar, value = told.get("identifier", "").rpartition("|")
    if list(told) != ["identifier"] or not bar or not value:
        raise Wrong(400, "not-supported", "Say identifier=SYSTEM|VALUE as the condition.", "If-None-Exist")
    return system, value


def _references(told: Any) -> list[str]:
    """Every reference within a resource."""
    if isinstance(told, list):
        return [found for one in told for found in _references(one)]
    if not isinstance(told, dict):
        return []
    own = [told["reference"]] if isinstance(told.get("reference"), str) else []
    return own + [found for one in told.values() for found in _references(one)]


def _order(one: Resource) -> tuple[datetime, str]:
    return updated(one), str(one["id"])


def _page_behind(last: Resource) -> str:
    """The name of the page that follows a resource; it says nothing to anybody else."""
    return base64.urlsafe_b64encode(f"{last['meta']['lastUpdated']} {last['id']}".encode()).decode()


def _end_of(page: str) -> tuple[datetime, str]:
    try:
        moment, _, key = base64.urlsafe_b64decode(page).decode().partition(" ")
        return datetime.fromisoformat(moment), key
    except ValueError:
        raise Wrong(410, "expired", "This page is kept no more: search anew.") from None
