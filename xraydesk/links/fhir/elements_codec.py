"""The small parts that FHIR resources are made of, written and read. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from xraydesk.lib import exact_json

Resource = dict[str, Any]

DICOM_UID_SYSTEM = "urn:dicom:uid"
V2_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
CODES_PREFIX = "urn:xraydesk:codes:"
ISSUER_PREFIX = "urn:xraydesk:issuer:"
OID_PREFIX = "urn:oid:"
PUBLIC_CODES = ("http://loinc.org", "http://snomed.info/sct", "http://radlex.org", "http://www.radlex.org")
"""Tables that others keep: a code of theirs is never one of the department's own."""

_REFERENCE = re.compile(r"(?P<kind>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})(?:/_history/\S+)?")


def filled(**elements: Any) -> Resource:
    """An object of those elements that say something; `class_` stands for `class`, as Python keeps that word."""
    return {name.rstrip("_"): value for name, value in elements.items() if value not in (None, "", [], {})}


def reference(kind: str, key: object, display: str = "") -> Resource:
    """A reference to a resource here; nothing where there is no key."""
    return filled(reference=f"{kind}/{key}" if key else "", display=display)


def concept(text: str = "", code: str = "", system: str = "", display: str = "") -> Resource:
    """A CodeableConcept of one code, or of words alone."""
    coding = filled(system=system, code=code, display=display)
    return filled(coding=[coding] if code else [], text=text)


Coded = tuple[str, str, str]
"""A code of others: the URI of its table, the code, its words."""


def own_concept(code: str, system: str, text: str, others: Iterable[Coded] = ()) -> Resource:
    """A code of the department's own list as a CodeableConcept, with what it is in tables of others beside it."""
    own = concept(text or code, code, f"{CODES_PREFIX}{system}" if system else "", text)
    return own | filled(coding=[*own.get("coding", ()), *codings(others)])


def codings(others: Iterable[Coded]) -> list[Resource]:
    """Codes of others as Codings."""
    return [filled(system=table, code=code, display=words) for table, code, words in others]


def identifier_system(authority: str) -> str:
    """The system of numbers that `authority` gives out: an OID or URI as such, else a name of our own form."""
    if authority and all(part.isdigit() for part in authority.split(".")):
        return f"{OID_PREFIX}{authority}"
    if ":" in authority:
        return authority
    return f"{ISSUER_PREFIX}{authority}"


def authority_of(system: str) -> str:
    """Who gives out the numbers of a system, as numbers are kept here; the other way of `identifier_system`."""
    return system.removeprefix(ISSUER_PREFIX).removeprefix(OID_PREFIX)


def identifier(value: str, authority: str = "", kind: str = "") -> Resource:
    """A number with its issuer and its type (HL7 table 0203)."""
    return filled(
        type=concept(code=kind, system=V2_IDENTIFIER_TYPE),
        system=identifier_system(authority) if authority else "",
        value=value,
    )


def uid_identifier(uid: str) -> Resource:
    """A DICOM UID as FHIR writes it (ImagingStudy, R4 §8.17.4)."""
    return {"system": DICOM_UID_SYSTEM, "value": f"{OID_PREFIX}{uid}"}


def instant(at: datetime | None) -> str | None:
    """A moment with its offset; None where there is none."""
    return at.isoformat() if at else None


def period(start: datetime | None, end: datetime | None) -> Resource:
    """A Period of those ends that are known."""
    return filled(start=instant(start), end=instant(end))


def read_moment(text: str) -> datetime | None:
    """The moment that a dateTime names; None for a day, month or year, which name none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if "T" in text else None


PLANNED_YEARS = range(1900, 2200)
"""Nobody plans an exam beyond these; 9999 stands for never in many an EHR, and no clock on earth goes on after it."""


def may_be_planned(at: datetime | None) -> bool:
    """Whether an exam may be wished for at a moment, as far as its year tells."""
    return at is None or at.year in PLANNED_YEARS


def read_day(text: str) -> date | None:
    """The day that a date names; None for a month, a year or nothing."""
    return date.fromisoformat(text[:10]) if len(text) >= 10 else None


def words_of(value: Mapping[str, Any] | None) -> str:
    """What a CodeableConcept, Reference or Annotation says in words."""
    told = value or {}
    coded = next((c["display"] for c in told.get("coding", ()) if c.get("display")), "")
    return str(told.get("text") or told.get("display") or coded)


def read_reference(text: str, kind: str, base: str = "") -> str | None:
    """The id in a reference to a resource of `kind` here; None where it is something else.

    One with an address before it is one of this server at `base` alone: the same id elsewhere is another thing.
    """
    here = text.removeprefix(f"{base}/") if base else text
    found = _REFERENCE.fullmatch(here)
    return found["id"] if found and found["kind"] == kind else None


def references(value: Any) -> Iterator[str]:
    """Every reference below an element, in order."""
    if isinstance(value, dict):
        told = value.get("reference")
        if isinstance(told, str):
            yield told
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def version_of(resource: Mapping[str, Any]) -> str:
    """The version of a resource: it changes with its content and with nothing else; `meta` is no content."""
    content = {name: value for name, value in resource.items() if name != "meta"}
    text = exact_json.written(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_meta(resource: Resource, updated_at: datetime | None) -> Resource:
    """A resource with the version of its content and when it changed last, in the order that people read."""
    meta = {"versionId": version_of(resource)} | filled(lastUpdated=instant(updated_at))
    kept = {name: value for name, value in resource.get("meta", {}).items() if name not in meta}
    head = {name: resource[name] for name in ("resourceType", "id")}
    return head | {"meta": meta | kept} | resource | {"meta": meta | kept}
