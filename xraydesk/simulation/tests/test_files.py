"""Scenarios and policies as files: what is right is read whole, what is wrong is told with line and field."""

from __future__ import annotations

import pytest

from xraydesk.simulation.chance import Distribution, Shape
from xraydesk.simulation.files import read_policy, read_scenario
from xraydesk.simulation.policy import Autopilot, Way
from xraydesk.simulation.scenario import Kind, Scenario, Surge
from xraydesk.simulation.tests.small import site
from xraydesk.siteplan.problems import SiteFileErrors

SCENARIO = f"""\
[scenario]
name = "A day"
load_percent = 90

[orders]
an_hour.every = {[1] * 24}
an_hour.sun = {[0] * 24}
emergency = 20
walk_in = 30

[emergency]
stat_percent = 50
surge = {{ percent_a_day = 10, patients = {{ from = 5, to = 9 }}, within_minutes = 20, first_hour = 9, last_hour = 12 }}

[outpatient]
late_minutes = {{ low = -20, usual = 0, high = 30 }}
patience_minutes = {{ values = [30, 60] }}

[exams]
percent = {{ median = 90, p90 = 140 }}
weights = {{ CHEST = 4 }}
percent_of = {{ CHESTP = {{ always = 80 }} }}

[people]
answer_minutes = 4
"""

POLICY = """\
[policy]
name = "Ours"
desk = "xraydesk"

[autopilot]
outpatient_moved_minutes_max = 15
near_minutes = 45

[[technologist]]
code = "X1"
skills = ["general"]
shifts = { every = ["10:00-14:00"] }

[[porter]]
code = "X2"
shifts = { sat = ["10:00-24:00"] }

[[room]]
code = "XR1"
hours = { every = ["07:00-12:00"] }
"""


def test_a_scenario_is_read_whole() -> None:
    read = read_scenario(SCENARIO, site())
    assert (read.rate("mon", 3), read.rate("sun", 3), read.booked("mon", 3)) == (0.9, 0.0, 0)
    assert read.shares == {Kind.EMERGENCY: 20, Kind.INPATIENT: 0, Kind.WALK_IN: 30}
    assert read.surge == Surge(10, Distribution(Shape.EVEN, (5, 9)), 20, (9, 12))
    assert read.late == Distribution(Shape.PEAKED, (-20, 0, 30))
    assert read.patience == Distribution(Shape.OBSERVED, (30, 60))
    assert read.exam_percent == Distribution(Shape.LONG_TAIL, (90, 140))
    assert read.exam_percent_of == {"CHESTP": Distribution(Shape.ALWAYS, (80,))}
    assert (read.stat_percent, read.answer_minutes) == (50, 4)
    assert read.notice_minutes == Scenario("").notice_minutes, "what is left out is as usual"


def test_a_policy_is_read_whole() -> None:
    read = read_policy(POLICY, site())
    assert (read.name, read.way, read.autopilot) == ("Ours", Way.XRAYDESK, Autopilot(15, 45))
    assert [t.code for t in read.technologists] == ["X1"]
    assert [p.code for p in read.porters] == ["X2"]
    assert set(read.room_hours) == {"XR1"}
    plain = read_policy('[policy]\nname = "Plain"\ndesk = "priority"\n', site())
    assert (plain.way, plain.autopilot, plain.technologists) == (Way.PRIORITY, None, ())


SPOILED = [
    ('name = "A day"', "nam = 1", 2, "no such field"),
    ("emergency = 20\nwalk_in = 30", "walk_in = 0", 5, "orders are of no kind"),
    (f"an_hour.sun = {[0] * 24}", "an_hour.sun = [1, 2]", 7, "must be 24 whole numbers; there are 2"),
    (f"an_hour.sun = {[0] * 24}", "an_hour.sunday = [1]", 7, "no such field"),
    (f"an_hour.sun = {[0] * 24}", "an_hour.sun = 3", 7, "list in brackets"),
    ("load_percent = 90", "load_percent = 900", 3, "between 1 and 500"),
    ("first_hour = 9", "first_hour = 13", 13, "before first_hour"),
    ("first_hour = 9", "frist_hour = 9", 13, "no such field"),
    ("low = -20, usual = 0, high = 30", "low = 5, usual = 0, high = 30", 16, "must rise"),
    ("low = -20, usual = 0, high = 30", "low = 5, usual = 6", 16, "is missing"),
    ("low = -20, usual = 0, high = 30", "about = 5", 16, "says no distribution"),
    ("{ low = -20, usual = 0, high = 30 }", "5", 16, "must be a table"),
    ("{ values = [30, 60] }", "{ values = [] }", 17, "is empty"),
    ("{ median = 90, p90 = 140 }", "{ median = 0, p90 = 140 }", 20, "between 1 and 1000"),
    ("CHEST = 4", "CHESTX = 4", 21, "no procedure CHESTX"),
    ("CHEST = 4", "CHEST = 0, CHESTP = 0", 21, "no procedure to be asked for"),
    ("CHESTP = {", "KNEE = {", 22, "no procedure KNEE"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), SPOILED)
def test_what_is_wrong_with_a_scenario_is_told(old: str, new: str, line: int, words: str) -> None:
    assert SCENARIO.count(old) == 1
    with pytest.raises(SiteFileErrors) as caught:
        read_scenario(SCENARIO.replace(old, new), site())
    assert any(words in error.what for error in caught.value.errors), str(caught.value)
    assert line in {error.line for error in caught.value.errors}, str(caught.value)


def test_a_long_tail_of_patients_begins_at_one() -> None:
    text = SCENARIO.replace("{ from = 5, to = 9 }", "{ median = 0, p90 = 9 }")
    with pytest.raises(SiteFileErrors, match="at least 1 where there is a long tail"):
        read_scenario(text, site())


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            'desk = "xraydesk"',
            'desk = "rival"',
            3,
            "“rival” is none of: first-come, one-line, priority, xraydesk",
        ),
        ('desk = "xraydesk"', "", 1, "is missing"),
        ('desk = "xraydesk"', 'desk = "priority"', 5, "belongs to the desk “xraydesk” alone"),
        ("near_minutes = 45", "", 5, "is missing"),
        ("near_minutes = 45", "near = 45", 7, "no such field"),
        ('"X1"', '"T1"', 10, "T1 is there already"),
        ('"X2"', '"P1"', 15, "P1 is there already"),
        ('"XR1"', '"XR9"', 19, "no room XR9"),
        ("10:00-14:00", "14:00-10:00", 12, "ends before it starts"),
        ("07:00-12:00", "12:00-07:00", 20, "ends before it starts"),
        ("10:00-24:00", "10:00-09:00", 16, "ends before it starts"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told(old: str, new: str, line: int, words: str) -> None:
    assert POLICY.count(old) == 1
    with pytest.raises(SiteFileErrors) as caught:
        read_policy(POLICY.replace(old, new), site())
    assert any(words in error.what for error in caught.value.errors), str(caught.value)
    assert line in {error.line for error in caught.value.errors}, str(caught.value)


def test_two_of_one_name_in_a_policy_are_refused() -> None:
    twice = POLICY + POLICY[POLICY.index("[[technologist]]") : POLICY.index("[[porter]]")]
    with pytest.raises(SiteFileErrors, match="X1 is there already"):
        read_policy(twice, site())
