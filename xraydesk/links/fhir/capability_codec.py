"""The CapabilityStatement: what is served, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import Resource, filled

FHIR_VERSION = "4.0.1"
SMART_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
TOPIC = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    "capabilitystatement-subscriptiontopic-canonical"
)
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


@dataclass(frozen=True)
class Served:
    """One type as it is served: parameters with their types, what is put beside, writes, operations with their definitions."""

    name: str
    says: str
    parameters: Mapping[str, str]
    includes: Sequence[str]
    revincludes: Sequence[str]
    writes: Sequence[str]
    operations: Mapping[str, str]
    topics: Sequence[str] = ()
    """What can be subscribed to, for the type that subscribes."""


def capability_statement(
    *, at: datetime, base: str, version: str, served: Sequence[Served], oauth: Mapping[str, str]
) -> Resource:
    """The statement. `oauth` names the addresses at which apps sign in (`authorize`, `token`)."""
    uris = {"url": SMART_URIS, "extension": [{"url": n, "valueUri": v} for n, v in oauth.items()]}
    smart = {"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}]}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": at.isoformat(),
        "publisher": "xraydesk",
        "kind": "instance",
        "software": {"name": "xraydesk", "version": version},
        "implementation": {
            "description": "xraydesk, the coordination desk of a radiography department",
            "url": base,
        },
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": filled(
                    extension=[uris] if oauth else [],
                    service=[smart] if oauth else [],
                    description="A bearer token; a signed-in session may read.",
                ),
                "resource": [_resource(one) for one in served],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
    }


def _resource(one: Served) -> Resource:
    writes = "create" in one.writes
    return filled(
        extension=[{"url": TOPIC, "valueCanonical": topic} for topic in one.topics],
        type=one.name,
        documentation=one.says,
        interaction=[{"code": code} for code in ("read", "vread", "search-type", *one.writes)],
        versioning="versioned",
        readHistory=False,
        updateCreate=False,
        conditionalCreate=writes,
        conditionalRead="not-match",
        conditionalUpdate="update" in one.writes,
        searchInclude=list(one.includes),
        searchRevInclude=list(one.revincludes),
        searchParam=[{"name": name, "type": kind} for name, kind in one.parameters.items()],
        operation=[{"name": n, "definition": d} for n, d in one.operations.items()],
    )
