"""A resource as it is written into an EHR: under a number of ours, with its references as the EHR knows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from xraydesk.links.fhir.elements_codec import Resource

OWN_PREFIX = "urn:xraydesk:"
NOT_TOLD = ("id", "meta", "slot")
"""Elements that mean something in this desk alone."""

Named = Callable[[str, str], Mapping[str, Any]]
"""What a type and id here are there: a reference, an identifier, or nothing."""


def own_number(site: str, kind: str, value: str) -> Resource:
    """The number by which the desk finds again what it wrote there."""
    return {"system": f"{OWN_PREFIX}{site}:{kind.lower()}", "value": value}


def for_ehr(resource: Mapping[str, Any], own: Resource, named: Named) -> Resource:
    """A resource for the EHR: ours first among its numbers, no id of ours anywhere."""
    told = {name: value for name, value in resource.items() if name not in NOT_TOLD}
    head = {"resourceType": told.pop("resourceType")}
    numbers = [own, *told.pop("identifier", [])]
    rest = {name: value for name, value in ((n, _told(v, named)) for n, v in told.items()) if value}
    return head | {"identifier": numbers} | rest


def _told(value: Any, named: Named) -> Any:
    if isinstance(value, list):
        return [told for told in (_told(one, named) for one in value) if told not in ({}, [])]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("reference"), str):
        kind, _, key = value["reference"].partition("/")
        display = {"display": value["display"]} if value.get("display") else {}
        return {**named(kind, key), **display}
    told = {name: _told(one, named) for name, one in value.items()}
    # A participant without anybody in it says nothing.
    return {} if "actor" in told and not told["actor"] else told


def number_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The number of ours that a resource for the EHR goes under, as (system, value)."""
    own = resource["identifier"][0]
    return str(own["system"]), str(own["value"])


def says_the_same(there: Any, ours: Any) -> bool:
    """True where everything that we wrote is there as we wrote it, whatever else the EHR adds."""
    if isinstance(ours, dict):
        return isinstance(there, dict) and all(says_the_same(there.get(n), v) for n, v in ours.items())
    if isinstance(ours, list):
        return isinstance(there, list) and all(any(says_the_same(t, o) for t in there) for o in ours)
    if isinstance(ours, str) and isinstance(there, str) and there != ours:
        moments = _moment(there), _moment(ours)
        return moments[0] is not None and moments[0] == moments[1]
    return bool(there == ours)


def _moment(text: str) -> datetime | None:
    """The moment that a text names with its offset, however it is written."""
    try:
        found = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def words_of_outcome(told: Any) -> str:
    """What an OperationOutcome says is wrong, with the elements it names; empty where it is none."""
    if not isinstance(told, dict) or not isinstance(told.get("issue"), list):
        return ""
    return "; ".join(words for words in map(_words_of_issue, told["issue"]) if words)


def _words_of_issue(issue: Any) -> str:
    if not isinstance(issue, dict):
        return ""
    details = issue.get("details")
    text = details.get("text") if isinstance(details, dict) else ""
    where = issue.get("expression") or issue.get("location")
    path = where[0] if isinstance(where, list) and where else ""
    return " ".join(
        str(part) for part in (path, issue.get("diagnostics") or text or issue.get("code")) if part
    )
