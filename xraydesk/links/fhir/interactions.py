"""What FHIR calls interactions: read, search, create, update, with their conditions. Without HTTP, so that a transaction can hold many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from django.db import transaction

from xraydesk.access.actions import record_reads
from xraydesk.lib import locks
from xraydesk.links.fhir import searching, shape_codec
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.kind import Kind
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.parts_codec import is_part
from xraydesk.links.fhir.replies import Refusal, Reply, refuse
from xraydesk.links.fhir.rows import Shown
from xraydesk.links.fhir.writers import ENDERS, WRITERS
from xraydesk.links.fhir.writing import Written
from xraydesk.orders.actions import on_trial


def kind_for(caller: Caller, name: str, done: str) -> Kind:
    """A type that the caller may do something with. Raises Refusal: 404, as for anything that is not there for them."""
    kind = KINDS.get(name)
    if kind is None:
        raise refuse(404, "not-supported", f"The type {name[:40]} is not served here; see metadata.")
    if not caller.may(kind, done):
        if done not in ("read", "search") and caller.may(kind, "read"):
            raise refuse(403, "forbidden", "This token, or session, may not write here.")
        raise refuse(404, "not-found", "There is nothing here for this role.")
    return kind


def log(caller: Caller, done: str, kind: Kind, shown: Sequence[Shown], *, at: datetime) -> None:
    """Note whose records were looked at or written."""
    records = [(one.patient, one.accession) for one in shown if one.patient is not None]
    record_reads(
        member=caller.member,
        records=records,
        what=f"FHIR {done} {kind.name}",
        reason=caller.reason,
        at=at,
    )


def read(caller: Caller, name: str, key: str, *, at: datetime) -> Reply:
    """One resource by its id. Raises Refusal."""
    kind = kind_for(caller, name, "read")
    found = searching.load(caller, kind, [key])
    if not found:
        raise refuse(404, "not-found", f"There is no such {name} here.")
    log(caller, "read", kind, found[:1], at=at)
    return Reply(200, found[0].resource)


def _checked(kind: Kind, resource: Any) -> Mapping[str, Any]:
    """A resource of the right shape. Raises Refusal, which names each element that is wrong."""
    if not isinstance(resource, dict):
        raise refuse(400, "structure", f"A resource of type {kind.name} is sent as a JSON object.")
    if wrong := shape_codec.issues_of(resource, kind.name):
        raise Refusal(400, *wrong)
    if kind.writes and is_part(resource):
        words = "This is a part of a resource (SUBSETTED): what it leaves out would be lost. Send the whole."
        raise refuse(422, "incomplete", words, f"{kind.name}.meta.tag")
    if kind.writes and (unknown := shape_codec.not_understood(resource, kind.name)):
        raise Refusal(422, *unknown[: shape_codec.ISSUES_MAX])
    return resource


def _matching(caller: Caller, kind: Kind, criteria: str) -> list[Shown]:
    """Those that fit the criteria of a conditional interaction, two of them at most. Raises Refusal."""
    asked = read_condition(criteria.partition("?")[2] or criteria)
    search = searching.read_search(
        kind,
        [*asked, ("_count", "2"), ("_total", "none")],
        lenient=False,
        limits=caller.limits(kind),
        base=caller.base,
    )
    return list(searching.find(caller, search).matches)


def read_condition(criteria: str) -> list[tuple[str, str]]:
    """The parameters of a condition that must mean one resource, or none. Raises Refusal.

    A number that a sender left out (`identifier=`, `identifier=http://issuer|`) must not mean whoever is the only one there.
    """
    asked = parse_qsl(criteria, keep_blank_values=True)
    if not asked:
        raise refuse(412, "required", "The condition names no search parameter.")
    for name, value in asked:
        if not value or value.endswith("|"):
            raise refuse(412, "required", f"The condition gives {name[:60]} no value.")
    return asked


def _one_at_a_time(caller: Caller, kind: Kind, what: str) -> None:
    locks.take([f"fhir {kind.name}:{caller.member.site.pk}:{what}"])


def create(caller: Caller, name: str, resource: Any, *, if_none_exist: str = "", at: datetime) -> Reply:
    """Make a resource. With criteria (If-None-Exist) one that fits is answered instead, and several are refused (row 21).

    A Patient or order whose number is here already is that one, brought up to date: 200 instead of 201.
    Raises Refusal.
    """
    kind = _written_kind(caller, name, "create")
    resource = _checked(kind, resource)
    if if_none_exist:
        _one_at_a_time(caller, kind, if_none_exist)
        found = _matching(caller, kind, if_none_exist)
        if len(found) > 1:
            raise refuse(412, "multiple-matches", f"More than one {name} fits the condition.")
        if found:
            log(caller, "read", kind, found, at=at)
            return Reply(200, found[0].resource)
    written = WRITERS[name](caller, resource, None, at)
    return written_reply(caller, kind, "create", written, at=at)


def fits_etag(told: str, etag: str) -> bool:
    """Whether If-Match or If-None-Match names a version: `*`, or one of several, weak or not (RFC 9110 §13.1)."""
    named = {one.strip().removeprefix("W/").strip('"') for one in told.split(",")}
    return "*" in named or etag.removeprefix("W/").strip('"') in named


def _written_kind(caller: Caller, name: str, done: str) -> Kind:
    kind = kind_for(caller, name, done if name in WRITERS else "read")
    if done not in kind.writes:
        raise refuse(405, "not-supported", f"{name} is only read here.", name)
    return kind


def update(
    caller: Caller,
    name: str,
    key: str,
    resource: Any,
    *,
    if_match: str = "",
    if_none_match: str = "",
    at: datetime,
) -> Reply:
    """Bring a resource to what is sent; where a version is given, only from that one (If-Match), or from another (If-None-Match). Raises Refusal."""
    kind = _written_kind(caller, name, "update")
    resource = _checked(kind, resource)
    if resource.get("id") not in (None, key):
        raise refuse(400, "invalid", "The id of the resource is not that of the address.", f"{name}.id")
    _one_at_a_time(caller, kind, key)
    found = searching.load(caller, kind, [key])
    if not found:
        raise refuse(405, "not-found", f"There is no {name} {key[:64]} here, and none is made by that id.")
    etag = Reply(200, found[0].resource).etag
    if if_match and not fits_etag(if_match, etag):
        raise refuse(412, "conflict", "It was changed since that version was read. Read it again.")
    if if_none_match and fits_etag(if_none_match, etag):
        raise refuse(412, "conflict", "It is here in the version that was to be missing (If-None-Match).")
    written = WRITERS[name](caller, resource, int(found[0].resource["id"]), at)
    return written_reply(caller, kind, "update", written, at=at)


def delete(caller: Caller, name: str, key: str, *, at: datetime) -> None:
    """End what a program asked for. Gone already is well too. Raises Refusal."""
    kind = _written_kind(caller, name, "delete")
    _one_at_a_time(caller, kind, key)
    if searching.load(caller, kind, [key]):
        ENDERS[name](caller, int(key), at)


def conditional_update(caller: Caller, name: str, criteria: str, resource: Any, *, at: datetime) -> Reply:
    """Bring the one that fits the criteria to what is sent, or make one where none fits. Raises Refusal."""
    kind = _written_kind(caller, name, "update")
    _one_at_a_time(caller, kind, criteria)
    found = _matching(caller, kind, criteria)
    if len(found) > 1:
        raise refuse(412, "multiple-matches", f"More than one {name} fits the condition.")
    if found:
        return update(caller, name, found[0].resource["id"], resource, at=at)
    return create(caller, name, resource, at=at)


def written_reply(caller: Caller, kind: Kind, done: str, written: Written, *, at: datetime) -> Reply:
    """What is answered for a row that was written."""
    if written.gone is not None:
        return Reply(200, written.gone)
    shown = kind.sources[0].shown(caller.member.site, [written.key])
    log(caller, done, kind, shown, at=at)
    resource = shown[0].resource
    if written.once:
        resource = resource | {"extension": [*resource.get("extension", ()), written.once]}
    return Reply(201 if written.created else 200, resource)


class _Undone(Exception):
    """Ends a trial, so that nothing of it stays."""


def validate(caller: Caller, name: str, resource: Any, *, key: str = "", at: datetime) -> None:
    """Whether a resource could be written, in the place of the one of that `key` where one is told: its shape, and for what is written here a trial that is undone and uses up no number. Raises Refusal."""
    kind = kind_for(caller, name, "read")
    resource = _checked(kind, resource)
    if key and resource.get("id") not in (None, key):
        raise refuse(400, "invalid", "The id of the resource is not that of the address.", f"{name}.id")
    done = "update" if key else "create"
    if done in kind.writes and caller.may(kind, done):
        try:
            with transaction.atomic(), on_trial():
                WRITERS[name](caller, resource, int(key) if key else None, at)
                raise _Undone
        except _Undone:
            pass
