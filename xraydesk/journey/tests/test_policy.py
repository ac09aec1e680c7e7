"""What a step learns from the site file kept with the site."""

from __future__ import annotations

import pytest

from xraydesk.access.models import Site
from xraydesk.journey.policy import identifier_authority, link_of, policies_of
from xraydesk.siteplan.jsonform import to_json
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.policies import Policies

LINK = LinkPlan("EHR", "orders", "EHR", "HOSP", identifier_authority="CENTRAL")
PLAN = SitePlan(
    code="T",
    name="Test",
    timezone="UTC",
    assigning_authority="HOSP",
    ae_title="XRAYDESK",
    locations=(),
    rooms=(),
    modalities=(),
    procedures=(),
    links=(LINK, LinkPlan("OTHER", "orders", "OTHER", "HOSP")),
    policies=Policies(duplicate_window_hours=7),
)
LOADED = Site(code="T", timezone="UTC", assigning_authority="HOSP", plan=to_json(PLAN))
EMPTY = Site(code="T", timezone="UTC", assigning_authority="HOSP")


def test_a_site_decides_as_its_file_says_and_as_usual_without_one() -> None:
    assert policies_of(LOADED).duplicate_window_hours == 7
    assert policies_of(EMPTY) == Policies()


def test_a_link_is_known_by_its_name() -> None:
    assert link_of(LOADED, "EHR") == LINK
    assert link_of(LOADED, "NOBODY") is None
    assert link_of(EMPTY, "EHR") is None


@pytest.mark.parametrize(
    ("site", "link", "authority"),
    [(LOADED, "EHR", "CENTRAL"), (LOADED, "OTHER", "HOSP"), (LOADED, "DESK", "HOSP"), (EMPTY, "EHR", "HOSP")],
)
def test_numbers_that_name_no_issuer_are_of_the_link_or_the_site(
    site: Site, link: str, authority: str
) -> None:
    assert identifier_authority(site, link) == authority
