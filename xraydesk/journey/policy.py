"""How a site decides, and what it knows of a link: read from the site file kept with it."""

from __future__ import annotations

from xraydesk.access.models import Site
from xraydesk.siteplan.link_plan import IssuerPlan, LinkPlan
from xraydesk.siteplan.policies import Policies
from xraydesk.siteplan.reading import from_json

_USUAL = Policies()


def policies_of(site: Site) -> Policies:
    """The policies of a site's file; the usual ones where no file was loaded yet."""
    return from_json(site.plan).policies if site.plan else _USUAL


def link_of(site: Site, name: str) -> LinkPlan | None:
    """What the site's file says of a link; None where it names none such."""
    if not site.plan:
        return None
    return next((link for link in from_json(site.plan).links if link.name == name), None)


def identifier_authority(site: Site, link: str) -> str:
    """The issuer of patient numbers that name none: the link's, else the site's."""
    plan = link_of(site, link)
    return (plan.identifier_authority if plan else "") or site.assigning_authority


def issuers_of(site: Site) -> tuple[IssuerPlan, ...]:
    """Who gives out patients' numbers, by name and by FHIR's URI, as the site's file pairs them."""
    return from_json(site.plan).issuers if site.plan else ()
