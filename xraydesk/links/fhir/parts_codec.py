"""A resource of which some parts are asked for alone (`_summary`, `_elements`; FHIR R4 §3.1.1.5.8). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xraydesk.links.fhir import shape_codec
from xraydesk.links.fhir.answers_codec import SUBSETTED, subset
from xraydesk.links.fhir.elements_codec import Resource

SUMMARIES = ("true", "false", "count", "data", "text")
ELEMENTS_MAX = 100


def read_elements(value: str) -> tuple[str, ...]:
    """The elements that are named: `name`, or `Patient.name`."""
    return tuple(part.rpartition(".")[2] for part in value.split(",") if part)[:ELEMENTS_MAX]


def cut(resource: Resource, *, summary: str = "false", elements: Sequence[str] = ()) -> Resource:
    """A resource with the parts that are asked for, marked where that is not all of it; what it cannot be without stays."""
    kind = str(resource["resourceType"])
    needed = shape_codec.mandatory_elements(kind)
    if elements:
        return subset(resource, (*needed, *elements))
    match summary:
        case "true":
            return subset(resource, (*needed, *shape_codec.summary_elements(kind)))
        case "text":
            return subset(resource, (*needed, "text"))
        case "data":
            return subset(resource, [name for name in resource if name != "text"])
        case _:
            return resource


def is_part(resource: Mapping[str, Any]) -> bool:
    """Whether a resource of the right shape is marked as a part of a whole one."""
    tags = resource.get("meta", {}).get("tag", ())
    return any(all(tag.get(name) == value for name, value in SUBSETTED.items()) for tag in tags)


def cut_as_asked(resource: Resource, asked: Mapping[str, str]) -> Resource:
    """One resource that is read, cut as its address asks. Raises ValueError where that cannot be read, or counts one."""
    summary = asked.get("_summary", "false")
    if summary not in SUMMARIES or summary == "count":
        raise ValueError("_summary takes true, false, data or text where one resource is read")
    return cut(resource, summary=summary, elements=read_elements(asked.get("_elements", "")))
