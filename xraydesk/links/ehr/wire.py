"""In place of a wire for HL7: each message is one resource, written into an EHR once and brought up to date after that."""

from __future__ import annotations

from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

from xraydesk.access.models import Site
from xraydesk.lib import clock, exact_json
from xraydesk.links.ehr import counterparts
from xraydesk.links.ehr.push_codec import number_of, says_the_same, words_of_outcome
from xraydesk.links.ehr.searchset_codec import NotASearchset, id_of, read_json
from xraydesk.links.ehr.session import Session, raise_later
from xraydesk.links.outgoing.wire import Answered, NoAnswer
from xraydesk.links.outside.client import HttpAnswer
from xraydesk.siteplan.link_plan import EhrPlan

TAKEN, REFUSED = "AA", "AE"
"""As HL7 has it, so that one queue serves both."""

ANSWER_KEPT_MAX = 65_536


class FhirWire:
    """Writes resources: If-None-Exist where it is new, If-Match where it is there; so that a resend makes nothing twice."""

    def __init__(self, to: EhrPlan, site: Site) -> None:
        self._to, self._site = to, site
        self._session = Session(to)

    def __enter__(self) -> FhirWire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ask(self, raw: bytes, *, number: str, sequence: int = 0) -> Answered:
        """Write one resource. Raises OSError where it is to be tried again; what the EHR refuses is an answer."""
        resource: dict[str, Any] = exact_json.read(raw.decode())
        own = number_of(resource)[1]
        known = counterparts.of_own(self._site, self._to.name, resource["resourceType"], own)
        if known is None:
            return self._create(resource)
        return self._update(resource, known.remote_id, known.written, may_be_gone=True)

    def _create(self, resource: dict[str, Any]) -> Answered:
        kind, (system, own) = resource["resourceType"], number_of(resource)
        condition = urlencode({"identifier": f"{system}|{own}"})
        answered = self._ask("POST", kind, resource, {"If-None-Exist": condition})
        if answered.status == 412:
            return _refused("it holds several under the desk's own number", answered)
        if answered.status not in (200, 201):
            return _refused("", answered)
        there = _object(answered)
        remote = id_of(there) or _id_in(answered.headers.get("location", ""), kind)
        if not remote:
            raise NoAnswer("it does not say under which id it keeps this")
        if answered.status == 200 and not says_the_same(there, resource):
            # It was there already, as an earlier try or an earlier desk left it.
            return self._update(resource, remote, _version(answered))
        return self._written(resource, remote, answered)

    def _update(
        self, resource: dict[str, Any], remote: str, version: str, *, may_be_gone: bool = False
    ) -> Answered:
        kind, own = resource["resourceType"], number_of(resource)[1]
        told = resource | {"id": remote}
        place = f"{kind}/{quote(remote)}"
        answered = self._ask("PUT", place, told, {"If-Match": version} if version else {})
        if answered.status in (404, 410) and may_be_gone:
            counterparts.forget_written(self._site, self._to.name, kind, own)
            return self._create(resource)
        if answered.status in (409, 412):
            return self._changed_there(resource, remote, place, answered)
        if answered.status not in (200, 201):
            return _refused("", answered)
        return self._written(resource, remote, answered)

    def _changed_there(
        self, resource: dict[str, Any], remote: str, place: str, refusal: HttpAnswer
    ) -> Answered:
        """Another version stands there: our own from a try whose answer was lost, or somebody else's."""
        now = self._ask("GET", place, None, {})
        if now.status != 200:
            return _refused("", refusal)
        answered = self._written(resource, remote, now)
        if says_the_same(_object(now), resource):
            return answered
        return _refused(
            "it was changed there since the desk wrote it; sent again, it overwrites that", refusal
        )

    def _written(self, resource: dict[str, Any], remote: str, answered: HttpAnswer) -> Answered:
        counterparts.note_written(
            self._site,
            self._to.name,
            resource["resourceType"],
            number_of(resource)[1],
            remote_id=remote,
            version=_version(answered),
            at=clock.now(),
        )
        return Answered(TAKEN, "", answered.body[:ANSWER_KEPT_MAX])

    def _ask(
        self, method: str, place: str, resource: dict[str, Any] | None, headers: dict[str, str]
    ) -> HttpAnswer:
        body = None if resource is None else exact_json.written(resource).encode()
        answered = self._session.ask(
            method,
            f"{self._to.base}/{place}",
            body=body,
            headers={"Prefer": "return=representation", **headers},
        )
        raise_later(answered)
        return answered


def _refused(words: str, answered: HttpAnswer) -> Answered:
    told = words or words_of_outcome(_object(answered)) or "it says no more"
    return Answered(REFUSED, f"{told} ({answered.status})", answered.body[:ANSWER_KEPT_MAX])


def _object(answered: HttpAnswer) -> dict[str, Any]:
    try:
        told = read_json(answered.body)
    except NotASearchset:
        return {}
    return told if isinstance(told, dict) else {}


def _id_in(location: str, kind: str) -> str:
    """The id in a Location, `…/Appointment/12/_history/1`."""
    parts = location.partition("/_history/")[0].rstrip("/").split("/")
    return id_of({"id": parts[-1]}) if len(parts) > 1 and parts[-2] == kind else ""


def _version(answered: HttpAnswer) -> str:
    """The version as If-Match wants it; empty where none is told."""
    if etag := answered.headers.get("etag", ""):
        return etag[:200]
    meta = _object(answered).get("meta")
    told = meta.get("versionId") if isinstance(meta, dict) else None
    return f'W/"{told}"' if isinstance(told, str) and told.isascii() and len(told) <= 64 else ""
