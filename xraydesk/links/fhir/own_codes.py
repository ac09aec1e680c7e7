"""What others call an exam, in the department's own words: by the tables that the site loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xraydesk.access.models import Site
from xraydesk.links.fhir.elements_codec import CODES_PREFIX
from xraydesk.orders import code_tables


def in_own_codes(site: Site, resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """A ServiceRequest with the department's own code behind those that it names, where they mean just one."""
    code = resource.get("code", {})
    listed = code.get("coding", ())
    told = [(c["system"], c["code"]) for c in listed if c.get("system") and c.get("code")]
    if not told or any(system.startswith(CODES_PREFIX) for system, _ in told):
        return resource
    own = code_tables.own_procedure(site, told)
    if own is None:
        return resource
    coding = {"system": f"{CODES_PREFIX}{own[1]}", "code": own[0]}
    return {**resource, "code": {**code, "coding": [*listed, coding]}}
