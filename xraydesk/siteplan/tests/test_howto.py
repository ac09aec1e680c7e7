"""The page about the site file shows what can be loaded, and tells of every field."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from xraydesk.siteplan import link_plan, plan, policies, routing_plan
from xraydesk.siteplan.reading import read_toml_text

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "site.md").read_text(encoding="utf-8")
SHOWN = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))


def test_what_the_page_shows_can_be_loaded_as_one_file() -> None:
    shown = read_toml_text(SHOWN, item_kinds=["exam held"])
    assert [room.code for room in shown.rooms] == ["XR1", "XR4", "M1"]
    assert shown.links[0].peers == ("10.1.0.0/16",)


def test_the_policies_that_the_page_shows_are_the_ones_without_a_field() -> None:
    shown = read_toml_text(SHOWN).policies
    for field in fields(policies.Policies):
        if field.name not in ("booking", "item_minutes", "phrases"):
            assert getattr(shown, field.name) == getattr(policies.Policies(), field.name), field.name


@pytest.mark.parametrize(
    "kind",
    [
        plan.LocationPlan,
        plan.RoomPlan,
        plan.ClosurePlan,
        plan.KeptPlan,
        plan.CompanionPlan,
        plan.ModalityPlan,
        plan.ProcedurePlan,
        plan.TechnologistPlan,
        plan.PorterPlan,
        plan.WardPlan,
        routing_plan.DestinationPlan,
        routing_plan.RoutePlan,
        routing_plan.OnCallPlan,
        link_plan.LinkPlan,
        link_plan.OutlinkPlan,
        plan.ProviderPlan,
        policies.Policies,
        policies.AutopilotPlan,
    ],
)
def test_the_page_tells_of_every_field(kind: type) -> None:
    told = set(re.findall(r"`([a-z_]+)`", PAGE)) | set(
        re.findall(r"(?:^|[{,] )([a-z_]+) = ", SHOWN, re.MULTILINE)
    )
    assert {field.name for field in fields(kind)} - told - {"booking", "item_minutes", "autopilot"} == set()


def test_the_page_tells_of_every_way_to_book() -> None:
    for way in policies.BookingWay:
        assert f"| `{way}` |" in PAGE
