"""FHIR R4 ConceptMap: the department's codes beside those of others; and the answer of `$translate`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xraydesk.links.fhir.elements_codec import CODES_PREFIX, Resource, filled

BODY_PARTS = "urn:xraydesk:body-parts"
"""The system of the department's words for parts of the body."""


@dataclass(frozen=True)
class PairFacts:
    """One pair of codes; `local_system` is a whole URI."""

    local_system: str
    local: str
    system: str
    code: str
    display: str
    equivalence: str


@dataclass(frozen=True)
class MapFacts:
    """What a ConceptMap tells."""

    id: str
    url: str
    of: str
    version: str
    pairs: Sequence[PairFacts]


@dataclass(frozen=True)
class Match:
    """A code that means what was asked for; `source` is the map that says so."""

    system: str
    code: str
    display: str
    equivalence: str
    source: str


def local_uri(of: str, system: str) -> str:
    """The URI of a list of the department's own codes."""
    return BODY_PARTS if of == "body-sites" else f"{CODES_PREFIX}{system}"


def concept_map(facts: MapFacts) -> Resource:
    """A ConceptMap from the department's codes to those of one table."""
    groups: dict[tuple[str, str], dict[str, list[Resource]]] = {}
    for pair in facts.pairs:
        target = filled(code=pair.code, display=pair.display, equivalence=pair.equivalence)
        group = groups.setdefault((pair.local_system, pair.system), {})
        group.setdefault(pair.local, []).append(target)
    return filled(
        resourceType="ConceptMap",
        id=facts.id,
        url=facts.url,
        version=facts.version,
        title=f"{facts.of} of this department",
        status="active",
        group=[
            {
                "source": source,
                "target": target,
                "element": [{"code": code, "target": targets} for code, targets in elements.items()],
            }
            for (source, target), elements in groups.items()
        ],
    )


def translation(matches: Iterable[Match]) -> Resource:
    """The Parameters that `$translate` answers."""
    parts = [
        {
            "name": "match",
            "part": [
                {"name": "equivalence", "valueCode": one.equivalence},
                {
                    "name": "concept",
                    "valueCoding": filled(system=one.system, code=one.code, display=one.display),
                },
                {"name": "source", "valueUri": one.source},
            ],
        }
        for one in matches
    ]
    said = [] if parts else [{"name": "message", "valueString": "No table that was loaded has that code."}]
    told: list[Resource] = [{"name": "result", "valueBoolean": bool(parts)}, *said, *parts]
    return {"resourceType": "Parameters", "parameter": told}
