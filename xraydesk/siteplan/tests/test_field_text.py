"""The field rules of a link as text: written as they are read, and told line by line where wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.field_text import with_fields, written
from xraydesk.siteplan.problems import SiteFileErrors
from xraydesk.siteplan.reading import read_toml_text
from xraydesk.siteplan.tests.test_reading import GOOD

LINK = """
[[link]]
name = "RIS"
kind = "orders"
sending_application = "RIS"
sending_facility = "HOSP"
"""
FIELDS = """[link.fields]
accession = "ZDS-1"
priority = { from = "OBR-27.6", values = { "1" = "S", "a \\"b\\"" = "A" } }
ward = ["ZPV-1", "PV1-3"]
"""
PLAN = read_toml_text(GOOD + LINK)


def wrong(text: str) -> list[str]:
    with pytest.raises(SiteFileErrors) as found:
        with_fields(text, PLAN, "RIS")
    return [str(error) for error in found.value.errors]


def test_rules_are_written_as_they_are_read_and_change_their_link_alone() -> None:
    names = [link.name for link in PLAN.links]
    plan = with_fields(FIELDS, PLAN, names[-1])
    assert [written(link) for link in plan.links[-2:]] == ["[link.fields]\n", FIELDS]
    assert diff(PLAN, plan)[0].startswith(
        f"link {names[-1]}: fields none → accession from ZDS-1, priority from"
    )
    for nothing in ("", "[link.fields]\n", "# none\n"):
        assert with_fields(nothing, plan, names[-1]) == PLAN


def test_what_is_wrong_is_told_with_its_line_and_field() -> None:
    assert wrong('[link.fields]\naccession = "ZDS"\n') == [
        "line 2, link, fields, accession: “ZDS” is no place in a message; write it as OBR-27.6 or ZDS-1"
    ]
    assert wrong('[link.fields]\nnothing = "ZDS-1"\n')[0].startswith(
        "line 2, link, fields, nothing: there is no"
    )
    assert wrong('[link]\nname = "X"\n')[0].startswith("line 2, link, name: there is no such field")
    assert wrong('accession = "ZDS-1"\n')[0].startswith("line 1, accession: there is no such field")
    assert wrong("[link.fields")[0].startswith("line 1: this is not TOML")


def test_what_is_wrong_elsewhere_in_the_plan_is_not_told_of_the_rules() -> None:
    plan = with_fields(FIELDS, replace(PLAN, timezone="nowhere"), "RIS")
    assert written(plan.links[-1]) == FIELDS
