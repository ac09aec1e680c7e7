"""What goes around resources: bundles and outcomes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xraydesk.links.fhir.elements_codec import Resource, filled

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong: its kind (value set issue-type), words for whoever can mend it, and the element's path."""

    code: str
    words: str
    path: str = ""
    severity: str = "error"


def outcome(issues: Sequence[Issue], contained: Sequence[Resource] = ()) -> Resource:
    """An OperationOutcome; `contained` holds what may be had instead."""
    return filled(
        resourceType="OperationOutcome",
        contained=list(contained),
        issue=[
            filled(
                severity=issue.severity,
                code=issue.code,
                diagnostics=issue.words,
                location=[issue.path] if issue.path else [],
                expression=[issue.path] if issue.path else [],
            )
            for issue in issues
        ],
    )


ALL_WELL = Issue("informational", "Nothing is wrong with it.", severity="information")


@dataclass(frozen=True)
class Entry:
    """One resource of an answer and why it is there: `match`, `include` or `outcome`."""

    resource: Resource
    mode: str = "match"
    score: float | None = None


def searchset(
    entries: Iterable[Entry], *, total: int | None, base: str, here: str, further: str | None
) -> Resource:
    """A page of what was found: `total` in all, where this page is and where the next one."""
    links = [{"relation": "self", "url": here}]
    if further:
        links.append({"relation": "next", "url": further})
    told: Resource = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        told["total"] = total
    listed = [_entry(entry, base) for entry in entries]
    return told | {"link": links} | filled(entry=listed)


def _entry(entry: Entry, base: str) -> Resource:
    resource = entry.resource
    key = resource.get("id")
    return filled(
        fullUrl=f"{base}/{resource['resourceType']}/{key}" if key else "",
        resource=resource,
        search=filled(mode=entry.mode, score=entry.score),
    )


def subset(resource: Resource, elements: Iterable[str]) -> Resource:
    """A resource with some of its elements alone, and a mark that says so."""
    wanted = {"resourceType", "id", "meta", *elements}
    cut = {name: value for name, value in resource.items() if name.lstrip("_") in wanted}
    meta = dict(cut.get("meta", {}))
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    return cut | {"meta": meta}
