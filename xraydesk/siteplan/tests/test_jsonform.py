"""A plan as JSON and back, without loss; and what changes from one plan to another."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.siteplan.charsets import CharacterSet
from xraydesk.siteplan.diff import diff, shown
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.jsonform import NotAPlan, from_json, to_json
from xraydesk.siteplan.link_plan import (
    EhrPlan,
    FieldRule,
    IssuerPlan,
    LinkField,
    LinkPlan,
    OrderControl,
    OutlinkPlan,
    Pushes,
    Sends,
    SubscriberPlan,
    Version,
)
from xraydesk.siteplan.plan import (
    ClosurePlan,
    CompanionKind,
    CompanionPlan,
    KeptFor,
    KeptPlan,
    LocationPlan,
    ModalityPlan,
    PorterPlan,
    ProcedurePlan,
    ProviderPlan,
    RoomPlan,
    SitePlan,
    TechnologistPlan,
    WardPlan,
)
from xraydesk.siteplan.policies import AutopilotPlan, BookingWay, GivesWayTo, Policies
from xraydesk.siteplan.reading import read_toml
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, OnCallRole, RoutedPriority, RoutePlan

HOSPITAL = read_toml(Path(__file__).parents[3] / "site" / "hospital.toml")

TEXTS = st.text(max_size=8)
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
HOURS = st.dictionaries(
    st.sampled_from(WEEKDAYS), st.lists(st.tuples(TIMES, TIMES), max_size=2).map(tuple), max_size=3
)
MOMENTS = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 1, 1))
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "int": st.integers(),
    "bool": st.booleans(),
    "int | None": st.none() | st.integers(),
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "Hours": HOURS,
    "datetime": MOMENTS,
    "Mapping[str, BookingWay]": st.dictionaries(TEXTS, st.sampled_from(BookingWay), max_size=3),
    "Mapping[str, OrderControl]": st.dictionaries(TEXTS, st.sampled_from(OrderControl), max_size=3),
    "tuple[int, int, int]": st.tuples(st.integers(), st.integers(), st.integers()),
    "tuple[Pushes, ...]": st.lists(st.sampled_from(Pushes), max_size=3).map(tuple),
    "tuple[CharacterSet, ...]": st.lists(st.sampled_from(CharacterSet), max_size=3).map(tuple),
    "tuple[Sends, ...]": st.lists(st.sampled_from(Sends), max_size=3).map(tuple),
    "tuple[GivesWayTo, ...]": st.lists(st.sampled_from(GivesWayTo), max_size=2).map(tuple),
    "tuple[KeptFor, ...]": st.lists(st.sampled_from(KeptFor), max_size=3).map(tuple),
    "tuple[RoutedPriority, ...]": st.lists(st.sampled_from(RoutedPriority), max_size=3).map(tuple),
    "OnCallRole": st.sampled_from(OnCallRole),
    "CompanionKind": st.sampled_from(CompanionKind),
    "LinkField": st.sampled_from(LinkField),
    "Version": st.sampled_from(Version),
    "Mapping[str, str]": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "Mapping[str, int]": st.dictionaries(TEXTS, st.integers(), max_size=3),
}


def built(kind: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass of the plan, from the types of its fields."""
    return st.builds(kind, **{field.name: STRATEGIES[str(field.type)] for field in fields(kind)})


for part in (
    ClosurePlan,
    KeptPlan,
    CompanionPlan,
    LocationPlan,
    RoomPlan,
    ModalityPlan,
    ProcedurePlan,
    TechnologistPlan,
    PorterPlan,
    WardPlan,
    DestinationPlan,
    RoutePlan,
    OnCallPlan,
    FieldRule,
    LinkPlan,
    OutlinkPlan,
    EhrPlan,
    SubscriberPlan,
    ProviderPlan,
    IssuerPlan,
    AutopilotPlan,
    Policies,
):
    STRATEGIES[part.__name__] = built(part)
    STRATEGIES[f"tuple[{part.__name__}, ...]"] = st.lists(STRATEGIES[part.__name__], max_size=2).map(tuple)


@given(built(SitePlan))
def test_a_plan_comes_back_from_json_as_it_was(plan: SitePlan) -> None:
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


def test_the_examples_come_back_and_the_same_content_is_read_once() -> None:
    data = to_json(HOSPITAL)
    assert from_json(data) == HOSPITAL
    assert from_json(json.loads(json.dumps(data))) is from_json(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("format"),
        lambda data: data.update(format="xraydesk.site/2"),
        lambda data: data.pop("code"),
        lambda data: data.update(colour="blue"),
        lambda data: data.update(code=3),
        lambda data: data.update(rooms=[3]),
        lambda data: data["rooms"][0].update(seats="1"),
        lambda data: data["rooms"][0]["hours"].update(mon=[["07:00"]]),
        lambda data: data["rooms"][0]["hours"].update(mon=[["7", "8"]]),
        lambda data: data["policies"]["booking"].update(O="whenever"),
    ],
)
def test_what_is_no_plan_is_refused(spoil: Any) -> None:
    data = to_json(HOSPITAL)
    spoil(data)
    with pytest.raises(NotAPlan):
        from_json(data)
    with pytest.raises(NotAPlan):
        from_json([])  # type: ignore[arg-type]


def test_a_plan_of_an_older_desk_takes_the_defaults_of_fields_that_came_later() -> None:
    data = to_json(HOSPITAL)
    del data["policies"]["cleaning_minutes"], data["wards"]
    plan = from_json(data)
    assert plan.policies.cleaning_minutes == 0
    assert plan.wards == ()


def test_no_difference_is_no_lines() -> None:
    assert diff(HOSPITAL, HOSPITAL) == []
    assert diff(HOSPITAL, from_json(to_json(HOSPITAL))) == []


def test_a_new_department_is_a_line_for_each_part() -> None:
    lines = diff(None, HOSPITAL)
    assert lines[0] == "site HOSP: added"
    for line in ("room XR3: added", "procedure XRCHEST2: added", "ward W2: added", "link EHR: added"):
        assert line in lines


def changed(part: str, key: str, **to: Any) -> list[str]:
    parts = tuple(
        replace(p, **to) if key in (getattr(p, "code", ""), getattr(p, "name", "")) else p
        for p in getattr(HOSPITAL, part)
    )
    return diff(HOSPITAL, replace(HOSPITAL, **{part: parts}))


def test_a_change_is_told_with_what_was_and_what_is() -> None:
    assert changed("procedures", "XRCHEST2", minutes=12) == ["procedure XRCHEST2: minutes 10 → 12"]
    assert changed("procedures", "XRCHEST2", pregnancy_check=True) == [
        "procedure XRCHEST2: pregnancy check no → yes"
    ]
    assert changed("procedures", "XRCHEST2", age_max_years=18) == [
        "procedure XRCHEST2: age max years none → 18"
    ]
    assert changed("procedures", "XRCHEST2", views=()) == ["procedure XRCHEST2: views PA, LL → none"]
    assert changed("destinations", "PACS", port=104) == ["destination PACS: port 11113 → 104"]
    morning = {**HOSPITAL.rooms[0].hours, "sun": ((time(8), time(12)), (time(13), time(0)))}
    assert changed("rooms", "XR1", hours=morning) == [
        "room XR1: hours every day 07:00-19:00 → mon-sat 07:00-19:00, sun 08:00-12:00 and 13:00-24:00"
    ]
    closure = ClosurePlan(datetime(2026, 12, 24, 12), datetime(2026, 12, 25), "service")
    assert changed("rooms", "XR1", closures=(closure,)) == [
        "room XR1: closures none → 2026-12-24 12:00 to 2026-12-25 00:00 (service)"
    ]


def test_policies_and_the_site_itself_are_told_too() -> None:
    other = replace(
        HOSPITAL,
        timezone="Europe/Berlin",
        policies=replace(
            HOSPITAL.policies,
            booking={"O": BookingWay.ASK},
            stat_due_minutes=30,
            autopilot=AutopilotPlan(on=True, hours={"mon": ((time(7), time(0)),)}),
        ),
    )
    assert from_json(to_json(other)) == other
    assert diff(HOSPITAL, other) == [
        "site HOSP: timezone America/New_York → Europe/Berlin",
        "policies: booking O: next-free, I: next-free, E: next-free, *: next-free → O: ask",
        "policies: stat due minutes 60 → 30",
        "autopilot: on no → yes",
        "autopilot: hours none → mon 07:00-24:00",
    ]


def test_what_goes_and_what_comes_is_told_and_so_is_another_order() -> None:
    renamed = replace(
        HOSPITAL, rooms=(*HOSPITAL.rooms[:-1], replace(HOSPITAL.rooms[-1], code="M3", name="Portable 3"))
    )
    assert diff(HOSPITAL, renamed) == ["room M2: removed", "room M3: added"]
    turned = replace(HOSPITAL, locations=HOSPITAL.locations[::-1], procedures=HOSPITAL.procedures[::-1])
    assert diff(HOSPITAL, turned) == ["locations: now in the order CLINIC, MAIN"]


def test_a_code_of_another_system_is_told_with_it() -> None:
    coded = replace(
        HOSPITAL, procedures=(replace(HOSPITAL.procedures[0], system="CPT"), *HOSPITAL.procedures[1:])
    )
    assert diff(HOSPITAL, coded) == ["procedure XRCHEST2: removed", "procedure XRCHEST2 (CPT): added"]


def test_hours_of_single_days_are_not_drawn_together() -> None:
    assert (
        shown({"mon": ((time(7), time(8)),), "wed": ((time(7), time(8)),)})
        == "mon 07:00-08:00, wed 07:00-08:00"
    )
