"""FHIR R4 Coverage: who pays for a patient's exams. Kept as it was sent; what is searched by is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from xraydesk.links.fhir.elements_codec import Resource, authority_of, read_day, words_of

KEPT_OUT = ("id", "meta")
"""Elements of a sent Coverage that are the server's to give."""


@dataclass(frozen=True)
class CoverageSaid:
    """What is read in a Coverage."""

    status: str
    number: str
    authority: str
    subscriber: str
    payor: str
    starts: date | None
    ends: date | None


def read_coverage(resource: Mapping[str, Any]) -> CoverageSaid:
    """What a Coverage of the right shape says. The first number that has a value is its own."""
    numbered: Mapping[str, Any] = next((i for i in resource.get("identifier", ()) if i.get("value")), {})
    payor = resource["payor"][0]
    during = resource.get("period", {})
    return CoverageSaid(
        status=resource["status"],
        number=numbered.get("value", ""),
        authority=authority_of(numbered.get("system", "")),
        subscriber=resource.get("subscriberId", ""),
        payor=words_of(payor) or payor.get("identifier", {}).get("value", "") or payor.get("reference", ""),
        starts=read_day(during.get("start", "")),
        ends=read_day(during.get("end", "")),
    )


def coverage(key: str, patient_id: str, sent: Mapping[str, Any]) -> Resource:
    """A Coverage resource as it was sent; its patient is the record that stands now."""
    kept = {name: value for name, value in sent.items() if name not in KEPT_OUT}
    beneficiary = {**sent["beneficiary"], "reference": f"Patient/{patient_id}"}
    return {"resourceType": "Coverage", "id": key} | kept | {"beneficiary": beneficiary}
