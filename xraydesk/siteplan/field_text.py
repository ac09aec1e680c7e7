"""The field rules of one link, as the part of a site file that a person edits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xraydesk.siteplan.link_plan import FieldRule, LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.problems import Problem
from xraydesk.siteplan.reading import link_fields
from xraydesk.siteplan.route_text import quoted
from xraydesk.siteplan.rules import check
from xraydesk.siteplan.table import Table
from xraydesk.siteplan.toml_file import made_of


def written(link: LinkPlan) -> str:
    """The table `[link.fields]` of a link, as it may stand in its file; the head alone where it has no rules."""
    return "\n".join(["[link.fields]", *map(_line, link.fields)]) + "\n"


def with_fields(text: str, plan: SitePlan, name: str) -> SitePlan:
    """A plan with the field rules of a text in place of those of its link `name`; no table, no rules.

    Raises SiteFileErrors with everything that is wrong, each with its line in the text and its field.
    """
    number = next(i for i, link in enumerate(plan.links) if link.name == name)

    def make(top: Table) -> SitePlan:
        link = top.table("link", needed=False)
        rules = link_fields(link.table("fields", needed=False))
        link.nothing_else()
        changed = replace(plan.links[number], fields=rules)
        return replace(plan, links=(*plan.links[:number], changed, *plan.links[number + 1 :]))

    def checked(made: SitePlan) -> Iterator[Problem]:
        for problem in check(made):
            if problem.path[:3] == ("link", number, "fields"):
                yield replace(problem, path=("link", *problem.path[2:]))

    return made_of(text, make, checked)


def _line(rule: FieldRule) -> str:
    places = quoted(rule.places[0]) if len(rule.places) == 1 else f"[{', '.join(map(quoted, rule.places))}]"
    if not rule.values:
        return f"{rule.name} = {places}"
    values = ", ".join(f"{quoted(said)} = {quoted(meant)}" for said, meant in rule.values.items())
    return f"{rule.name} = {{ from = {places}, values = {{ {values} }} }}"
