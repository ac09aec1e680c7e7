"""The rules about where images go, and who is on call, as the part of a site file that a person edits. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import time

from xraydesk.siteplan.hours import Hours
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import ROWS_MAX, on_call, route
from xraydesk.siteplan.routing_plan import OnCallPlan, OnCallRole, RoutePlan
from xraydesk.siteplan.rules import check
from xraydesk.siteplan.table import Table
from xraydesk.siteplan.toml_file import made_of


def written(plan: SitePlan) -> str:
    """The tables `[[route]]` and `[[on_call]]` of a plan, as they may stand in its file."""
    parts = [*_tables("route", plan.routes), *_tables("on_call", plan.on_call)]
    return "\n".join(parts)


def with_rules(text: str, plan: SitePlan) -> SitePlan:
    """A plan with the rules and those on call of a text in place of its own.

    Raises SiteFileErrors with everything that is wrong, each with its line in the text and its field.
    """

    def make(top: Table) -> SitePlan:
        return replace(
            plan,
            routes=tuple(route(t) for t in top.tables("route", ROWS_MAX)),
            on_call=tuple(on_call(t) for t in top.tables("on_call", ROWS_MAX)),
        )

    return made_of(text, make, check)


def _tables(name: str, rows: Iterable[RoutePlan | OnCallPlan]) -> Iterator[str]:
    for row in rows:
        lines = [f"[[{name}]]"]
        for field in fields(row):
            value = getattr(row, field.name)
            if value not in ("", (), {}, OnCallRole.READER):
                lines.append(f"{field.name} = {_value(value)}")
        yield "\n".join(lines) + "\n"


def _value(value: str | tuple[str, ...] | Hours) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{day} = {_intervals(value[day])}" for day in value) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(quoted(one) for one in value) + "]"
    return quoted(value)


def _intervals(intervals: Iterable[tuple[time, time]]) -> str:
    shown = (
        f"{start:%H:%M}-{'24:00' if end == time(0) else format(end, '%H:%M')}" for start, end in intervals
    )
    return "[" + ", ".join(map(quoted, shown)) + "]"


def quoted(text: str) -> str:
    """A basic string of TOML; what a site file holds is printable, so that JSON writes it alike."""
    return json.dumps(str(text), ensure_ascii=False)
