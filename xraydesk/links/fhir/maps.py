"""What a code is in another table that the site loaded (`ConceptMap/$translate`), in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.links.fhir import map_codec
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import CODES_PREFIX, Resource
from xraydesk.links.fhir.interactions import kind_for
from xraydesk.links.fhir.map_codec import BODY_PARTS, Match
from xraydesk.links.fhir.operations import parameter
from xraydesk.links.fhir.replies import refuse
from xraydesk.links.fhir.rows import map_url
from xraydesk.orders.code_table_rules import BODY_SITES, PROCEDURES, turned
from xraydesk.orders.models import CodePair, Procedure

MATCHES_MAX = 100


def translate(caller: Caller, told: Any, *, table: str = "") -> Resource:
    """What a code means in other tables: one of the department's in those of others, or one of others here. Raises Refusal."""
    kind_for(caller, "ConceptMap", "read")
    codes = _asked(told)
    if not codes:
        words = "Name a code with its system, a coding or a codeableConcept."
        raise refuse(400, "required", words, "Parameters.parameter")
    target = parameter(told, "targetsystem") or parameter(told, "targetSystem") or ""
    url = parameter(told, "url") or ""
    site = caller.member.site
    rows = CodePair.objects.filter(table__site=site).select_related("table").order_by("id")
    if table:
        rows = rows.filter(table=int(table)) if table.isdecimal() and len(table) < 19 else rows.none()
    matches = [one for system, code in codes for one in _matches(site, rows, system, code)]
    fits = [m for m in matches if target in ("", m.system) and url in ("", m.source)]
    return map_codec.translation(fits[:MATCHES_MAX])


def _asked(told: Any) -> list[tuple[str, str]]:
    """The codes that are asked for, as (system, code)."""
    coding, concept = parameter(told, "coding"), parameter(told, "codeableConcept")
    listed: Sequence[Any] = [{"system": parameter(told, "system"), "code": parameter(told, "code")}]
    if isinstance(coding, dict):
        listed = [coding]
    elif isinstance(concept, dict):
        listed = concept.get("coding") or ()
    named = [(c.get("system"), c.get("code")) for c in listed if isinstance(c, dict)]
    return [(s, c) for s, c in named if isinstance(s, str) and isinstance(c, str) and s and c]


def _matches(site: Site, rows: QuerySet[CodePair], system: str, code: str) -> list[Match]:
    if system == BODY_PARTS or system.startswith(CODES_PREFIX):
        own = Q(local=code, table__of=BODY_SITES)
        if system != BODY_PARTS:
            own = Q(local=code, table__of=PROCEDURES, local_system=system.removeprefix(CODES_PREFIX))
        return [
            Match(pair.table.system, pair.code, pair.display, pair.equivalence, map_url(site, pair.table))
            for pair in rows.filter(own)[:MATCHES_MAX]
        ]
    found = list(rows.filter(table__system=system, code=code)[:MATCHES_MAX])
    named = Procedure.objects.filter(site=site, code__in=[pair.local for pair in found])
    words = {(p.code, p.system): p.text for p in named}
    return [
        Match(
            map_codec.local_uri(pair.table.of, pair.local_system),
            pair.local,
            words.get((pair.local, pair.local_system), ""),
            turned(pair.equivalence),
            map_url(site, pair.table),
        )
        for pair in found
    ]
