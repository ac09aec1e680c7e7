"""Who gives out numbers: the name by which HL7 and the desk know them, and the URI by which FHIR does, as the site file pairs them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from xraydesk.access.models import Site
from xraydesk.journey.policy import issuers_of
from xraydesk.links.fhir.elements_codec import authority_of
from xraydesk.patients.demographics import Identifier


def authority_here(site: Site, system: str) -> str:
    """Under which name the numbers of a system are kept here; as the system says where the site pairs it with none."""
    told = authority_of(system)
    names = {authority_of(issuer.system): issuer.name for issuer in issuers_of(site)}
    return names.get(told, told)


def kept_as(site: Site, numbers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Numbers as FHIR wrote them, under the names by which they are kept here."""
    return tuple(replace(one, authority=authority_here(site, one.authority)) for one in numbers)


def told_as(site: Site, numbers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Numbers as they are kept here, under the systems by which FHIR knows them."""
    systems = {issuer.name: authority_of(issuer.system) for issuer in issuers_of(site)}
    return tuple(replace(one, authority=systems.get(one.authority, one.authority)) for one in numbers)
