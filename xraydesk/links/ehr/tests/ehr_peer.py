"""An EHR that speaks FHIR on a real socket: it keeps resources with versions, searches, pages, and lets in whom it knows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet

from xraydesk.lib import clock, exact_json
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer

PAGE_LENGTH = 2


@dataclass
class Ehr:
    """What it holds and what it heard. `before` may answer in its place."""

    base: str = ""
    held: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    heard: list[Asked] = field(default_factory=list)
    before: Callable[[Asked], Told | None] = lambda asked: None
    keys: dict[str, Any] | None = None
    tokens: set[str] = field(default_factory=set)
    given: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, resource: dict[str, Any], at: datetime | None = None) -> dict[str, Any]:
        """Hold a resource in a new version."""
        kept = self.held.setdefault(resource["resourceType"], {})
        key = resource.get("id") or f"{resource['resourceType'].lower()}-{len(kept) + 1}"
        version = int(kept.get(key, {"meta": {"versionId": "0"}})["meta"]["versionId"]) + 1
        at = at or clock.now()
        held = {**resource, "id": key, "meta": {"versionId": str(version), "lastUpdated": at.isoformat()}}
        kept[key] = held
        return held

    def writes(self) -> list[tuple[str, str]]:
        """What was written, in order: method and path below the base."""
        return [(a.method, a.target.removeprefix("/R4/")) for a in self.heard if a.method != "GET"]

    def one(self, kind: str) -> dict[str, Any]:
        """The only resource of a type."""
        (found,) = self.held.get(kind, {}).values()
        return found

    def answer(self, asked: Asked) -> Told:
        with self.lock:
            self.heard.append(asked)
            instead = self.before(asked)
            return instead if instead is not None else self._answer(asked)

    def _answer(self, asked: Asked) -> Told:
        parts = urlsplit(asked.target)
        path = parts.path.removeprefix("/R4/")
        if path == ".well-known/smart-configuration":
            return _told({"token_endpoint": f"{self.base}/token"})
        if path == "token":
            return self._token(asked)
        if self.keys is not None and asked.headers.get("authorization", "")[7:] not in self.tokens:
            return Told(401)
        kind, _, key = path.partition("/")
        if asked.method == "GET":
            return self._read(kind, key) if key else self._search(kind, parts.query)
        if asked.method == "POST":
            return self._create(kind, json.loads(asked.body), asked.headers.get("if-none-exist", ""))
        return self._update(kind, key, json.loads(asked.body), asked.headers.get("if-match", ""))

    def _token(self, asked: Asked) -> Told:
        form = dict(parse_qsl(asked.body.decode()))
        claims = jwt.decode(
            form["client_assertion"], KeySet.import_key_set(self.keys or {}), algorithms=["RS384", "ES384"]
        ).claims
        assert claims["iss"] == claims["sub"] == "xraydesk"
        assert claims["aud"] == f"{self.base}/token"
        self.given += 1
        token = f"token-{self.given}"
        self.tokens.add(token)
        return _told(
            {"access_token": token, "token_type": "bearer", "expires_in": 300, "scope": form["scope"]}
        )

    def _read(self, kind: str, key: str) -> Told:
        found = self.held.get(kind, {}).get(key)
        return _told(found) if found else Told(404)

    def _search(self, kind: str, query: str) -> Told:
        asked = dict(parse_qsl(query))
        found = sorted(self.held.get(kind, {}).values(), key=lambda r: (r["meta"]["lastUpdated"], r["id"]))
        if since := asked.get("_lastUpdated", "").removeprefix("ge"):
            moment = datetime.fromisoformat(since)
            found = [r for r in found if datetime.fromisoformat(r["meta"]["lastUpdated"]) >= moment]
        if patient := asked.get("patient"):
            found = [r for r in found if r["beneficiary"]["reference"] == f"Patient/{patient}"]
        if status := asked.get("status"):
            found = [r for r in found if r["status"] == status]
        begin = int(asked.get("_page", 0)) * PAGE_LENGTH
        links = [{"relation": "self", "url": f"{self.base}/{kind}?{query}"}]
        if found[begin + PAGE_LENGTH :]:
            rest = "&".join(p for p in query.split("&") if not p.startswith("_page="))
            further = int(asked.get("_page", 0)) + 1
            links.append({"relation": "next", "url": f"{self.base}/{kind}?{rest}&_page={further}"})
        page = [{"resource": r} for r in found[begin : begin + PAGE_LENGTH]]
        return _told({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": page})

    def _create(self, kind: str, resource: dict[str, Any], condition: str) -> Told:
        wanted = dict(parse_qsl(condition)).get("identifier")
        same = [
            r
            for r in self.held.get(kind, {}).values()
            if wanted in [f"{i.get('system')}|{i.get('value')}" for i in r.get("identifier", ())]
        ]
        return _told(same[0]) if same else _told(self.put(resource), 201)

    def _update(self, kind: str, key: str, resource: dict[str, Any], match: str) -> Told:
        found = self.held.get(kind, {}).get(key)
        if found is None:
            return Told(404)
        if match and match != f'W/"{found["meta"]["versionId"]}"':
            return Told(412)
        return _told(self.put(resource))


def _told(resource: dict[str, Any], status: int = 200) -> Told:
    version = resource.get("meta", {}).get("versionId")
    headers = {"Content-Type": "application/fhir+json"} | ({"ETag": f'W/"{version}"'} if version else {})
    return Told(status, exact_json.written(resource).encode(), headers)


@contextmanager
def an_ehr() -> Iterator[Ehr]:
    """An EHR that runs."""
    ehr = Ehr()
    with peer(ehr.answer) as address:
        ehr.base = f"{address}/R4"
        yield ehr


def patient(key: str = "p1", number: str = "4711", family: str = "Moreau") -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": key,
        "identifier": [{"system": "urn:xraydesk:issuer:HOSP", "value": number}],
        "name": [{"family": family, "given": ["Claire"]}],
        "gender": "female",
        "birthDate": "1981-07-04",
    }


def request(key: str = "r1", of: str = "p1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": key,
        "identifier": [{"system": "urn:xraydesk:issuer:EHR", "value": f"PL-{key}"}],
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": "urn:xraydesk:codes:L", "code": "XRCHEST2"}], "text": "Chest 2 views"},
        "subject": {"reference": f"Patient/{of}"},
        "reasonCode": [{"text": "cough"}],
        **more,
    }


def coverage(key: str = "c1", of: str = "p1") -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "id": key,
        "identifier": [{"system": "urn:xraydesk:issuer:PAYER", "value": f"M-{key}"}],
        "status": "active",
        "beneficiary": {"reference": f"Patient/{of}"},
        "payor": [{"display": "River Health"}],
    }


def earlier(**ago: float) -> datetime:
    return clock.now() - timedelta(**ago)
