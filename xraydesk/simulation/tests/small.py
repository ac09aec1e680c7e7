"""A small department and hand-made days, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xraydesk.simulation.department import DepartmentDay, department_day
from xraydesk.simulation.desks import Watch
from xraydesk.simulation.outcome import DayOutcome, Ending
from xraydesk.simulation.policy import Autopilot, Policy, Way
from xraydesk.simulation.run_day import run_day
from xraydesk.simulation.scenario import Kind, Scenario
from xraydesk.simulation.world import Breakdown, Patient, World
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import read_toml_text

SITE = """\
[site]
code = "S"
name = "Two rooms"
timezone = "Europe/Berlin"
assigning_authority = "HOSP"
ae_title = "XRAYDESK"

[[location]]
code = "MAIN"
name = "Main building"

[[location]]
code = "WING"
name = "Wing"

[[room]]
code = "XR1"
name = "Room 1"
location = "MAIN"
kind = "general"
hours = { weekdays = ["08:00-12:00"] }

[[room]]
code = "XR2"
name = "Room 2"
location = "MAIN"
kind = "general"
hours = { weekdays = ["08:00-12:00"] }
abilities = ["emergency"]

[[room]]
code = "M1"
name = "Portable"
location = "MAIN"
kind = "portable"
hours = { every = ["00:00-24:00"] }

[[procedure]]
code = "CHEST"
text = "Chest"
minutes = 10
room_kinds = ["general"]
skills = ["general"]

[[procedure]]
code = "CHESTP"
text = "Chest, portable"
minutes = 15
room_kinds = ["portable"]
skills = ["portable"]

[[technologist]]
code = "T1"
name = "A"
skills = ["general"]
shifts = { weekdays = ["08:00-12:00"] }

[[technologist]]
code = "T2"
name = "B"
skills = ["general", "portable"]
shifts = { every = ["08:00-12:00"] }

[[technologist]]
code = "N1"
name = "C"
skills = ["general", "portable"]
shifts = { every = ["00:00-06:00", "22:00-24:00"] }

[[porter]]
code = "P1"
name = "D"
shifts = { every = ["07:00-12:00"] }

[[ward]]
code = "ED"
name = "Emergency"
travel_minutes = 2
emergency = true

[[ward]]
code = "W1"
name = "Ward"
travel_minutes = 5
"""

EIGHT = 480
"""The minute at which rooms open."""

MONDAY = 0


def site(text: str = SITE) -> SitePlan:
    """The department."""
    return read_toml_text(text)


def small_scenario(**fields: Any) -> Scenario:
    """A scenario for hand-made days: nothing is left to chance."""
    return replace(Scenario("by hand"), **fields)


def policy(way: Way = Way.FIRST_COME, **fields: Any) -> Policy:
    """A policy with nothing added."""
    return Policy(str(way), way, **fields)


AUTOPILOT = policy(Way.XRAYDESK, autopilot=Autopilot(outpatient_moved_minutes_max=30, near_minutes=0))


def somebody(name: str, kind: Kind = Kind.WALK_IN, ordered: int | None = EIGHT, **fields: Any) -> Patient:
    """A patient who is here as soon as ordered, for an exam of ten minutes that takes as long as planned."""
    usual: dict[str, Any] = {
        "priority": "stat" if kind is Kind.EMERGENCY else "routine",
        "procedure": "CHEST",
        "minutes": 10,
        "takes": 10,
        "skills": frozenset({"general"}),
        "ordered": ordered,
        "ward": {Kind.EMERGENCY: "ED", Kind.INPATIENT: "W1"}.get(kind, ""),
    }
    return Patient(id=name, kind=kind, **(usual | fields))


def appointment(name: str, told: int, room: str = "XR1", **fields: Any) -> Patient:
    """Somebody with an appointment who comes on the minute."""
    who = {"XR1": "T1", "XR2": "T2"}[room]
    usual: dict[str, Any] = {"ordered": None, "told": told, "room": room, "technologist": who}
    return somebody(name, Kind.BOOKED, **(usual | fields))


def lived(
    *patients: Patient,
    by: Policy | None = None,
    scenario: Scenario | None = None,
    breakdowns: tuple[Breakdown, ...] = (),
    department: DepartmentDay | None = None,
    watch: Watch | None = None,
) -> dict[str, Ending]:
    """What became of each on a Monday, by number."""
    found = outcome(
        *patients, by=by, scenario=scenario, breakdowns=breakdowns, department=department, watch=watch
    )
    return {ending.id: ending for ending in found.endings}


def outcome(
    *patients: Patient,
    by: Policy | None = None,
    scenario: Scenario | None = None,
    breakdowns: tuple[Breakdown, ...] = (),
    department: DepartmentDay | None = None,
    watch: Watch | None = None,
) -> DayOutcome:
    """The whole of that Monday."""
    chosen = by or policy()
    return run_day(
        World(0, MONDAY, patients, breakdowns),
        department or department_day(site(), MONDAY, chosen),
        scenario or small_scenario(),
        chosen,
        watch=watch,
    )
