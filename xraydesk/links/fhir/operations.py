"""Operations: whether a resource could be written, who a patient is, and everything that is known of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from xraydesk.links.fhir import interactions, rows, searching, shape_codec
from xraydesk.links.fhir.answers_codec import ALL_WELL, Entry, Issue, outcome, searchset
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import Resource
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.replies import Refusal, refuse
from xraydesk.links.fhir.writing import read_patient
from xraydesk.patients import queries as patients
from xraydesk.patients.demographics import Demographics
from xraydesk.patients.models import Patient
from xraydesk.patients.rules import Match, Person, folded_name, identifiers_that_count, look_alike

MATCHES_MAX = 10
EVERYTHING_MAX = 1000
"""No more of one patient is answered at once; who needs more searches type by type."""

CANDIDATES_MAX = 200
MATCH_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


def parameter(told: Any, name: str) -> Any:
    """A parameter of a Parameters resource: its resource, part or value; None where it is not there."""
    listed = told.get("parameter", []) if isinstance(told, dict) else []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("name") == name:
            return next((value for key, value in one.items() if key != "name"), None)
    return None


def validated(caller: Caller, name: str, told: Any, *, key: str = "", at: datetime) -> Resource:
    """What is wrong with a resource, or that nothing is; nothing of it stays.

    With a `key` the resource is to take the place of that one; where none is sent, that one itself is looked at.
    """
    resource = told
    if isinstance(told, dict) and told.get("resourceType") == "Parameters":
        resource = parameter(told, "resource")
        if parameter(told, "profile"):
            words = (
                "No profile is known here; leave it out, and the resource is judged by FHIR and by the desk."
            )
            return outcome([Issue("not-supported", words, "Parameters.parameter")])
    interactions.kind_for(caller, name, "read")
    if key:
        there = interactions.read(caller, name, key, at=at).resource
        resource = there if resource is None else resource
    try:
        interactions.validate(caller, name, resource, key=key, at=at)
    except Refusal as refusal:
        return refusal.resource
    return outcome([ALL_WELL])


def matched(caller: Caller, told: Any, *, base: str, at: datetime) -> Resource:
    """Who a Patient might be, the likeliest first: by number for certain, by name and birth date probably or possibly."""
    kind = interactions.kind_for(caller, "Patient", "search")
    resource = parameter(told, "resource")
    if not isinstance(resource, dict):
        raise refuse(400, "required", "Send Parameters with a Patient as resource.", "Parameters.parameter")
    if wrong := shape_codec.issues_of(resource, "Patient"):
        raise Refusal(400, *wrong)
    said = read_patient(caller.member.site, resource)
    graded = _graded(caller, said)
    if parameter(told, "onlyCertainMatches") is True:
        graded = [(key, score) for key, score in graded if score == 1.0]
    count = parameter(told, "count")
    graded = graded[: min(count, MATCHES_MAX) if isinstance(count, int) and count > 0 else MATCHES_MAX]
    visible = [(key, score) for key, score in graded if caller.patient in (None, key)]
    shown = {s.patient: s for s in rows.patients(caller.member.site, [key for key, _ in visible])}
    interactions.log(caller, "operation", kind, list(shown.values()), at=at)
    entries = [Entry(shown[key].resource, score=score) for key, score in visible if key in shown]
    found = searchset(entries, total=len(entries), base=base, here=f"{base}/Patient/$match", further=None)
    for entry in found.get("entry", ()):
        grade = {1.0: "certain", 0.8: "probable"}.get(entry["search"]["score"], "possible")
        entry["search"]["extension"] = [{"url": MATCH_GRADE, "valueCode": grade}]
    return found


def _graded(caller: Caller, said: Demographics) -> list[tuple[int, float]]:
    site = caller.member.site
    numbers = identifiers_that_count(said.identifiers, authority=site.assigning_authority)
    matching = patients.match(site=site, identifiers=numbers)
    if matching.match is Match.ONE and matching.patient_id is not None:
        return [(matching.patient_id, 1.0)]
    name = said.name
    if not name.family:
        return []
    asked = Person(0, name.family, name.given, said.birth_date)
    whole = folded_name(name.family, name.given)
    family = folded_name(name.family, "")
    found = Patient.objects.filter(
        Q(name_folded__startswith=family) | Q(birth_date=said.birth_date, birth_date__isnull=False),
        site=site,
        merged_into=None,
    ).order_by("name_folded", "id")[:CANDIDATES_MAX]
    graded: list[tuple[int, float]] = []
    for row in found:
        same_day = row.birth_date is not None and row.birth_date == said.birth_date
        if same_day and folded_name(row.family, row.given) == whole:
            graded.append((row.pk, 0.8))
        elif look_alike(asked, Person(row.pk, row.family, row.given, row.birth_date)):
            graded.append((row.pk, 0.5))
    return sorted(graded, key=lambda one: (-one[1], one[0]))


@dataclass(frozen=True)
class Wished:
    """What is wished of everything of a patient: types, none for all, and since when something was told of them."""

    types: tuple[str, ...] = ()
    since: str = ""


def read_everything(told: Mapping[str, Any], *, lenient: bool) -> Wished:
    """The wishes in an address; what is not known is refused, for it would look like an answer. Raises Refusal.

    `_count` is let through: all comes on one page.
    """
    unknown = [name for name in told if name not in ("_type", "_since", "_count", *searching.SILENT)]
    if unknown and not lenient:
        raise refuse(400, "not-supported", f"{unknown[0][:60]} is not known for $everything here.", "http")
    types = str(told.get("_type", "")).split(",")
    return Wished(tuple(name for name in types if name), str(told.get("_since", "")))


def everything(caller: Caller, key: str, wished: Wished, *, base: str, here: str, at: datetime) -> Resource:
    """A patient with all that refers to them, as far as the caller may see it."""
    since = [("_lastUpdated", f"ge{wished.since}")] if wished.since else []
    reply = interactions.read(caller, "Patient", key, at=at)
    entries = [Entry(reply.resource)]
    cut_short = False
    for kind in KINDS.values():
        if "patient" not in kind.parameters or kind.of_access or not caller.may(kind, "search"):
            continue
        if wished.types and kind.name not in wished.types:
            continue
        room = EVERYTHING_MAX - len(entries)
        search = searching.read_search(
            kind, [("patient", reply.resource["id"]), ("_total", "none"), *since], lenient=False
        )
        found, more = searching.all_pages(caller, search, room)
        interactions.log(caller, "operation", kind, found, at=at)
        entries += [Entry(shown.resource) for shown in found]
        cut_short = cut_short or more
    total = len(entries)
    if cut_short:
        words = f"There is more than {EVERYTHING_MAX}; search type by type for the rest."
        entries.append(Entry(outcome([Issue("too-costly", words, severity="warning")]), "outcome"))
    return searchset(entries, total=total, base=base, here=here, further=None)
