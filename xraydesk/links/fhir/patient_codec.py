"""FHIR R4 Patient: written from what the desk knows, and read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from xraydesk.links.fhir.elements_codec import (
    Resource,
    authority_of,
    filled,
    identifier,
    read_day,
    words_of,
)
from xraydesk.links.fhir.overlay_codec import Part, alike
from xraydesk.patients.demographics import Demographics, Identifier, Name

GENDERS = {"F": "female", "M": "male", "O": "other", "U": "unknown"}
_SEXES = {word: letter for letter, word in GENDERS.items()}


@dataclass(frozen=True)
class PatientFacts:
    """What a Patient resource tells."""

    id: str
    identifiers: tuple[Identifier, ...]
    name: Name
    birth_date: date | None
    sex: str
    phone: str = ""
    address: str = ""
    language: str = ""
    deceased: bool = False
    merged_into: str = ""


def patient(facts: PatientFacts) -> Resource:
    """A Patient resource."""
    name = filled(
        family=facts.name.family,
        given=[part for part in (facts.name.given, facts.name.middle) if part],
        prefix=[facts.name.prefix] if facts.name.prefix else [],
        suffix=[facts.name.suffix] if facts.name.suffix else [],
    )
    replaced = {"other": {"reference": f"Patient/{facts.merged_into}"}, "type": "replaced-by"}
    return filled(
        resourceType="Patient",
        id=facts.id,
        identifier=[identifier(i.value, i.authority, i.type) for i in facts.identifiers],
        active=not facts.merged_into,
        name=[name] if name else [],
        telecom=[{"system": "phone", "value": facts.phone}] if facts.phone else [],
        gender=GENDERS.get(facts.sex),
        birthDate=facts.birth_date.isoformat() if facts.birth_date else None,
        deceasedBoolean=facts.deceased or None,
        address=[{"text": facts.address}] if facts.address else [],
        communication=[{"language": {"text": facts.language}}] if facts.language else [],
        link=[replaced] if facts.merged_into else [],
    )


def read_patient(resource: Mapping[str, Any]) -> Demographics:
    """What a Patient resource of the right shape says of a person."""
    return Demographics(
        identifiers=read_identifiers(resource.get("identifier", ())),
        name=read_name(resource),
        birth_date=read_day(resource.get("birthDate", "")),
        sex=_SEXES.get(resource.get("gender", ""), ""),
        phone=_phone(resource),
        address=_address(resource),
        language=_language(resource),
        deceased=_deceased(resource) if resource.keys() & {"deceasedBoolean", "deceasedDateTime"} else None,
    )


def read_identifiers(listed: Any) -> tuple[Identifier, ...]:
    """The numbers that have a value, old ones left out; their type is HL7's where it is coded so."""
    return tuple(
        Identifier(one["value"], authority_of(one.get("system", "")), _type(one))
        for one in listed
        if one.get("value") and one.get("use") != "old"
    )


def _type(one: Mapping[str, Any]) -> str:
    coded = (c.get("code", "") for c in one.get("type", {}).get("coding", ()))
    return next((code for code in coded if code), "")


def read_name(resource: Mapping[str, Any]) -> Name:
    """The name that a person goes by: the official or usual one, else the first that is not an old one."""
    names = [n for n in resource.get("name", ()) if n.get("use") not in ("old", "maiden")]
    ranks = ("official", "usual")
    if not names:
        return Name()
    told = min(names, key=lambda n: ranks.index(n["use"]) if n.get("use") in ranks else len(ranks))
    given = [part for part in told.get("given", ()) if part]
    return Name(
        family=told.get("family", ""),
        given=given[0] if given else "",
        middle=" ".join(given[1:]),
        prefix=" ".join(told.get("prefix", ())),
        suffix=" ".join(told.get("suffix", ())),
    )


def _phone(resource: Mapping[str, Any]) -> str:
    phones = (t.get("value", "") for t in resource.get("telecom", ()) if t.get("system") in ("phone", "sms"))
    return next((phone for phone in phones if phone), "")


def _address(resource: Mapping[str, Any]) -> str:
    told: Mapping[str, Any] = next(iter(resource.get("address", ())), {})
    town = " ".join(told[part] for part in ("postalCode", "city") if told.get(part))
    parts = [*told.get("line", ()), town, told.get("state", ""), told.get("country", "")]
    return str(told.get("text") or ", ".join(part for part in parts if part))


def _language(resource: Mapping[str, Any]) -> str:
    spoken = sorted(resource.get("communication", ()), key=lambda c: not c.get("preferred"))
    return next((words_of(c.get("language")) for c in spoken), "")


def _deceased(resource: Mapping[str, Any]) -> bool:
    return bool(resource.get("deceasedBoolean") or resource.get("deceasedDateTime"))


def _in_force(resource: Resource) -> bool:
    return bool(resource.get("active", True))


PARTS = (
    Part(("name",), alike(read_name)),
    Part(("birthDate",), alike(lambda r: read_day(r.get("birthDate", "")))),
    Part(("gender",), alike(lambda r: r.get("gender"))),
    Part(("telecom",), alike(_phone)),
    Part(("address",), alike(_address)),
    Part(("communication",), alike(_language)),
    Part(("deceasedBoolean", "deceasedDateTime"), alike(_deceased)),
    Part(("active",), lambda own, sent: _in_force(own)),
    Part(("link",), lambda own, sent: "link" not in own),
)
"""What a Patient says, one thing after the other."""
