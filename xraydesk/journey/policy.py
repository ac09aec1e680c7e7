"""How a site decides, and what it knows of a link: read from the site file kept with it."""

from __future__ import annotations

from typing import Any

from xraydesk.access.models import Site
from xraydesk.siteplan.link_plan import IssuerPlan, LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.policies import Policies
from xraydesk.siteplan.reading import from_json

_USUAL = Policies()

_READ_LAST: dict[int, tuple[dict[str, Any], SitePlan]] = {}
"""The file of each site as it was read last, beside the very object that it was read from; replaced, never changed."""


def _plan_of(site: Site) -> SitePlan:
    """A site's file, read once for all copies of the site that share it: a link asks for it thrice a message."""
    read = _READ_LAST.get(site.pk)
    if read is None or read[0] is not site.plan:
        read = _READ_LAST[site.pk] = (site.plan, from_json(site.plan))
    return read[1]


def policies_of(site: Site) -> Policies:
    """The policies of a site's file; the usual ones where no file was loaded yet."""
    return _plan_of(site).policies if site.plan else _USUAL


def link_of(site: Site, name: str) -> LinkPlan | None:
    """What the site's file says of a link; None where it names none such."""
    if not site.plan:
        return None
    return next((link for link in _plan_of(site).links if link.name == name), None)


def identifier_authority(site: Site, link: str) -> str:
    """The issuer of patient numbers that name none: the link's, else the site's."""
    plan = link_of(site, link)
    return (plan.identifier_authority if plan else "") or site.assigning_authority


def issuers_of(site: Site) -> tuple[IssuerPlan, ...]:
    """Who gives out patients' numbers, by name and by FHIR's URI, as the site's file pairs them."""
    return _plan_of(site).issuers if site.plan else ()
