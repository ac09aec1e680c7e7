"""Reading scenarios and policies from their TOML files. Pure; everything that is wrong is told with its line and field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from itertools import chain

from xraydesk.simulation.chance import Distribution, Shape
from xraydesk.simulation.policy import Autopilot, Policy, Way
from xraydesk.simulation.scenario import HOURS, HourByHour, Kind, Scenario, Surge
from xraydesk.siteplan.hours import WEEKDAYS, Hours
from xraydesk.siteplan.plan import PorterPlan, SitePlan, TechnologistPlan
from xraydesk.siteplan.problems import Problem
from xraydesk.siteplan.table import DAY_GROUPS, Table
from xraydesk.siteplan.toml_file import made_of

ORDERS_AN_HOUR_MAX = 1000
WEIGHT_MAX = 1000
LOAD_PERCENT_MAX = 500
MINUTES_MAX = 1440
PERCENT_MAX = 1000
ADDED_MAX = 100
"""So many people are added by one policy at most."""

_FIELDS: Mapping[Shape, tuple[str, ...]] = {
    Shape.ALWAYS: ("always",),
    Shape.EVEN: ("from", "to"),
    Shape.PEAKED: ("low", "usual", "high"),
    Shape.LONG_TAIL: ("median", "p90"),
}


def read_scenario(text: str, site: SitePlan) -> Scenario:
    """The scenario that a file describes for a department. Raises SiteFileErrors."""
    return made_of(text, _scenario, lambda scenario: _check_scenario(scenario, site))


def read_policy(text: str, site: SitePlan) -> Policy:
    """The policy that a file describes for a department. Raises SiteFileErrors."""
    return made_of(text, _policy, lambda policy: _check_policy(policy, site))


# -- a scenario ------------------------------------------------------------------------------------


def _scenario(top: Table) -> Scenario:
    usual = Scenario("")
    head, orders, people = top.table("scenario"), top.table("orders"), top.table("people", needed=False)
    emergency, inpatient = top.table("emergency", needed=False), top.table("inpatient", needed=False)
    outpatient, exams = top.table("outpatient", needed=False), top.table("exams", needed=False)
    porters, broken = top.table("porters", needed=False), top.table("breakdowns", needed=False)
    made = Scenario(
        name=head.text("name"),
        words=head.text("words", default="", length_max=500),
        load_percent=head.whole("load_percent", 1, LOAD_PERCENT_MAX, usual.load_percent),
        orders=_hour_by_hour(orders.table("an_hour")),
        shares={
            Kind(kind): orders.whole(name, 0, WEIGHT_MAX, default=0)
            for kind, name in (
                (Kind.EMERGENCY, "emergency"),
                (Kind.INPATIENT, "inpatient"),
                (Kind.WALK_IN, "walk_in"),
            )
        },
        appointments=_hour_by_hour(outpatient.table("appointments_an_hour", needed=False)),
        procedures=exams.wholes("weights", 0, WEIGHT_MAX),
        stat_percent=emergency.whole("stat_percent", 0, 100, usual.stat_percent),
        urgent_percent=inpatient.whole("urgent_percent", 0, 100, usual.urgent_percent),
        bedside_percent=inpatient.whole("bedside_percent", 0, 100, usual.bedside_percent),
        fetched_percent=inpatient.whole("fetched_percent", 0, 100, usual.fetched_percent),
        brought=_distribution(inpatient, "brought_minutes", 0, MINUTES_MAX, usual.brought),
        walk_in_after=_distribution(outpatient, "walk_in_minutes", 0, MINUTES_MAX, usual.walk_in_after),
        late=_distribution(outpatient, "late_minutes", -MINUTES_MAX, MINUTES_MAX, usual.late),
        absent_percent=outpatient.whole("absent_percent", 0, 100, usual.absent_percent),
        patience=_distribution(outpatient, "patience_minutes", 1, MINUTES_MAX, usual.patience),
        exam_percent=_distribution(exams, "percent", 1, PERCENT_MAX, usual.exam_percent),
        exam_percent_of=_distributions(exams.table("percent_of", needed=False), 1, PERCENT_MAX),
        way_percent=_distribution(porters, "way_percent", 1, PERCENT_MAX, usual.way_percent),
        breakdown_percent=broken.whole("percent_a_day", 0, 100, usual.breakdown_percent),
        breakdown_minutes=_distribution(broken, "minutes", 1, MINUTES_MAX, usual.breakdown_minutes),
        surge=_surge(emergency.table("surge", needed=False)),
        notice_minutes=people.whole("notice_minutes", 0, MINUTES_MAX, usual.notice_minutes),
        answer_minutes=people.whole("answer_minutes", 0, MINUTES_MAX, usual.answer_minutes),
        overtime_minutes_max=people.whole("overtime_minutes_max", 0, 240, usual.overtime_minutes_max),
    )
    for table in (head, orders, people, emergency, inpatient, outpatient, exams, porters, broken):
        table.nothing_else()
    return made


def _surge(t: Table) -> Surge:
    usual = Surge()
    first, last = usual.hours
    return t.done(
        Surge(
            percent=t.whole("percent_a_day", 0, 100, usual.percent),
            patients=_distribution(t, "patients", 0, 200, usual.patients),
            within_minutes=t.whole("within_minutes", 1, MINUTES_MAX, usual.within_minutes),
            hours=(t.whole("first_hour", 0, 23, first), t.whole("last_hour", 0, 23, last)),
        )
    )


def _hour_by_hour(t: Table) -> HourByHour:
    """Days with 24 numbers each, `{ every = […], weekend = […] }`; the narrower name replaces the wider."""
    found: dict[str, tuple[int, ...]] = {}
    for group, days in DAY_GROUPS.items():
        if group in t.data:
            numbers = t.row(group, 0, ORDERS_AN_HOUR_MAX, count=HOURS)
            found |= dict.fromkeys(days, (*numbers, *(0,) * HOURS)[:HOURS])
    t.asked.update(DAY_GROUPS)
    t.nothing_else()
    return {day: found[day] for day in WEEKDAYS if day in found}


def _distribution(t: Table, key: str, lowest: int, highest: int, usual: Distribution) -> Distribution:
    inner = t.table(key, needed=False)
    if key not in t.data:
        return usual
    return _shaped(inner, lowest, highest)


def _distributions(t: Table, lowest: int, highest: int) -> Mapping[str, Distribution]:
    return {name: _shaped(t.table(name), lowest, highest) for name in t.data}


def _shaped(t: Table, lowest: int, highest: int) -> Distribution:
    """A table such as `{ median = 20, p90 = 45 }`: its fields say which shape it is."""
    if "*" in t.asked:
        return Distribution(Shape.ALWAYS, (lowest,))
    if "values" in t.data:
        return t.done(Distribution(Shape.OBSERVED, tuple(t.row("values", lowest, highest)) or (lowest,)))
    for shape, names in _FIELDS.items():
        if names[0] in t.data:
            numbers = [t.whole(name, lowest, highest) for name in names]
            if numbers != sorted(numbers):
                t.problem(names[-1], f"the numbers must rise: {', '.join(names)}")
                numbers = sorted(numbers)
            if shape is Shape.LONG_TAIL and numbers[0] < 1:
                t.problem("median", "must be at least 1 where there is a long tail")
                numbers = [1, max(numbers[1], 1)]
            return t.done(Distribution(shape, tuple(numbers)))
    forms = "; ".join(", ".join(names) for names in _FIELDS.values())
    t.problems.append(Problem(t.path, f"says no distribution; write one of: {forms}; values"))
    return Distribution(Shape.ALWAYS, (lowest,))


def _check_scenario(scenario: Scenario, site: SitePlan) -> Iterator[Problem]:
    codes = {p.code for p in site.procedures}
    named = chain(
        (("weights", code) for code in scenario.procedures),
        (("percent_of", code) for code in scenario.exam_percent_of),
    )
    for field, code in named:
        if code not in codes:
            yield Problem(("exams", field, code), f"there is no procedure {code} in {site.code}")
    if not any(scenario.shares.values()) and any(map(any, scenario.orders.values())):
        yield Problem(
            ("orders", "emergency"), "orders are of no kind: give emergency, inpatient or walk_in a weight"
        )
    if scenario.surge.hours[0] > scenario.surge.hours[1]:
        yield Problem(("emergency", "surge", "last_hour"), "lies before first_hour")
    if site.procedures and not any(scenario.procedures.get(code, 1) for code in codes):
        yield Problem(("exams", "weights"), "leave no procedure to be asked for")


# -- a policy --------------------------------------------------------------------------------------


def _policy(top: Table) -> Policy:
    head = top.table("policy")
    made = Policy(
        name=head.text("name", length_max=60),
        way=head.word("desk", Way),
        words=head.text("words", default="", length_max=500),
        autopilot=_autopilot(top),
        technologists=tuple(
            t.done(
                TechnologistPlan(
                    t.code("code"), t.text("name", default=""), t.texts("skills"), t.hours("shifts")
                )
            )
            for t in top.tables("technologist", ADDED_MAX)
        ),
        porters=tuple(
            t.done(PorterPlan(t.code("code"), t.text("name", default=""), t.hours("shifts")))
            for t in top.tables("porter", ADDED_MAX)
        ),
        room_hours=dict(_room_hours(t) for t in top.tables("room", ADDED_MAX)),
    )
    head.nothing_else()
    return made


def _autopilot(top: Table) -> Autopilot | None:
    t = top.table("autopilot", needed=False)
    if "autopilot" not in top.data:
        return None
    return t.done(
        Autopilot(
            outpatient_moved_minutes_max=t.whole("outpatient_moved_minutes_max", 0, MINUTES_MAX),
            near_minutes=t.whole("near_minutes", 0, MINUTES_MAX),
        )
    )


def _room_hours(t: Table) -> tuple[str, Hours]:
    return t.done((t.code("code"), t.hours("hours")))


def _check_policy(policy: Policy, site: SitePlan) -> Iterable[Problem]:
    rooms = {room.code for room in site.rooms}
    for number, code in enumerate(policy.room_hours):
        if code and code not in rooms:
            yield Problem(("room", number, "code"), f"there is no room {code} in {site.code}")
    for kind, added, known in (
        ("technologist", [t.code for t in policy.technologists], {t.code for t in site.technologists}),
        ("porter", [p.code for p in policy.porters], {p.code for p in site.porters}),
    ):
        for number, code in enumerate(added):
            if code in known or code in added[:number]:
                yield Problem((kind, number, "code"), f"{code} is there already")
    hours = chain(
        (("technologist", n, "shifts", t.shifts) for n, t in enumerate(policy.technologists)),
        (("porter", n, "shifts", p.shifts) for n, p in enumerate(policy.porters)),
        (("room", n, "hours", those) for n, those in enumerate(policy.room_hours.values())),
    )
    for table, number, field, those in hours:
        for day, spans in those.items():
            if any(last <= first and last != time(0) for first, last in spans):
                yield Problem(
                    (table, number, field, day),
                    "ends before it starts; write two, up to 24:00 and from 00:00",
                )
    if policy.autopilot and policy.way is not Way.XRAYDESK:
        yield Problem(("autopilot",), "belongs to the desk “xraydesk” alone: no other makes proposals")
