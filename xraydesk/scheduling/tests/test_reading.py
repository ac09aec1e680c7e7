"""Files of planning problems: what they say, and every way in which they can be wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties import tried
from tests.shared_data import shared_data
from xraydesk.scheduling.engine import reading
from xraydesk.scheduling.engine.problem import Job, Placed, Plan, Problem
from xraydesk.scheduling.engine.reading import BadPlan, BadProblem, plan_as_json, read_plan, read_problem
from xraydesk.scheduling.engine.writing import problem_as_json
from xraydesk.scheduling.tests.problems import problems

EXAM: dict[str, Any] = {"id": "E1", "patient": "P17", "minutes": {"XR1": 12}}
PROBLEM: dict[str, Any] = {
    "format": "xraydesk.plan/1",
    "start": "2026-11-24T07:00:00-05:00",
    "rooms": [{"id": "XR1", "open": [[0, 720]]}, {"id": "XR2", "open": [[0, 720]]}],
    "technologists": [{"id": "T1", "on": [[0, 480]], "skills": ["general"]}],
    "porters": [{"id": "P1", "on": [[0, 480]]}],
    "travel": {"W3": 6},
    "exams": [EXAM],
}


def read(**changes: Any) -> Any:
    return read_problem(json.dumps({**PROBLEM, **changes}).encode())


def with_exam(**changes: Any) -> dict[str, Any]:
    return {"exams": [{**EXAM, **changes}]}


def test_what_is_left_out_has_the_value_that_is_written_down() -> None:
    problem = read()
    (exam,) = problem.exams
    assert (exam.ready, exam.due, exam.weight, exam.cleaning, exam.after) == (0, None, 1, 0, ())
    assert (exam.origin, exam.booked, exam.fixed, exam.skills) == (None, None, None, frozenset())
    assert (problem.now, problem.unplanned_cost) == (0, 1000)


def test_absent_is_not_limited_and_an_empty_list_is_nobody() -> None:
    told = {k: v for k, v in PROBLEM.items() if k not in ("technologists", "porters")}
    problem = read_problem(json.dumps(told).encode())
    assert (problem.technologists, problem.porters) == (None, None)
    nobody = read(technologists=[], porters=[])
    assert (nobody.technologists, nobody.porters) == ((), ())


def test_all_that_can_be_said_of_an_exam_is_read() -> None:
    problem = read(
        **with_exam(
            priority="stat", ready=30, due=60, weight=2.5, cleaning=3, skills=["general"],
            booked={"room": "XR1", "start": 45, "technologist": "T1", "per_minute": 0.2, "per_room": 5},
            fixed={"room": "XR1", "start": -5 + 5, "technologist": "T1"}, **{"from": "W3"},
        ),
        now=-5,
    )  # fmt: skip
    (exam,) = problem.exams
    assert (exam.priority, exam.ready, exam.due, exam.weight, exam.origin) == ("stat", 30, 60, 2.5, "W3")
    assert exam.booked is not None
    assert (exam.booked.start, exam.booked.per_minute, exam.booked.per_room) == (45, 0.2, 5)
    assert problem.now == -5


FIXED = {"room": "XR1", "start": 0, "technologist": "T1"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": "xraydesk.plan/2"}, "format is not xraydesk.plan/1"),
    "no offset": ({"start": "2026-11-24T07:00:00"}, "start says no offset"),
    "no time": ({"start": "tomorrow"}, "start is no time"),
    "rooms missing": ({"rooms": None}, "rooms is missing|rooms is not a list"),
    "rooms no list": ({"rooms": {}}, "rooms is not a list"),
    "a room that is no object": ({"rooms": [7]}, "Room number 1 is not an object"),
    "a room twice": ({"rooms": PROBLEM["rooms"][:1] * 2}, "Room 'XR1' stands there twice"),
    "reversed": (
        {"rooms": [{"id": "XR1", "open": [[9, 3]]}]},
        "Room XR1: open has an interval that ends before",
    ),
    "no pair": ({"rooms": [{"id": "XR1", "open": [[9]]}]}, "Room XR1: open holds something that is no pair"),
    "open no list": ({"rooms": [{"id": "XR1", "open": "all day"}]}, "Room XR1: open is not a list of pairs"),
    "exams missing": ({"exams": None}, "exams is missing|exams is not a list"),
    "no id": ({"exams": [{"patient": "P", "minutes": {}}]}, "Exam number 1: id is missing"),
    "an id that is none": (with_exam(id=7), "Exam number 1: id is not a text"),
    "an empty id": (with_exam(id=""), "id is not a text"),
    "a long id": (with_exam(id="x" * 201), "id is not a text"),
    "an id that cannot be shown": (with_exam(id="E\n1"), "cannot be shown"),
    "an exam twice": ({"exams": [EXAM, EXAM]}, "Exam 'E1' stands there twice"),
    "no patient": ({"exams": [{"id": "E1", "minutes": {"XR1": 5}}]}, "Exam E1: patient is missing"),
    "no minutes": ({"exams": [{"id": "E1", "patient": "P"}]}, "Exam E1: minutes is missing"),
    "minutes no object": (with_exam(minutes=[5]), "Exam E1: minutes is not an object"),
    "no minute": (with_exam(minutes={"XR1": 0}), "Exam E1, minutes: XR1 is not between 1"),
    "half a minute": (with_exam(minutes={"XR1": 7.5}), "XR1 is not a whole number of minutes"),
    "true minutes": (with_exam(minutes={"XR1": True}), "XR1 is not a number"),
    "too many minutes": (with_exam(minutes={"XR1": 1_000_001}), "XR1 is not between 1 and 1e\\+06"),
    "no end of minutes": (with_exam(minutes={"XR1": 10**400}), "XR1 is too large"),
    "minutes in no room": (with_exam(minutes={}), "Exam E1: minutes names no room"),
    "minutes below none": (with_exam(minutes={"XR1": -5}), "Exam E1, minutes: XR1 is not between 1"),
    "minutes of null": (with_exam(minutes={"XR1": None}), "Exam E1, minutes: XR1 is not a number"),
    "a room that cannot be shown": (
        with_exam(minutes={"X\nR": 0}),
        "Exam E1: minutes, a name in it, has characters that cannot be shown",
    ),
    "half a surrogate": (with_exam(minutes={"\ud800": 0}), "minutes, a name in it, has characters"),
    "a room without a name": (with_exam(minutes={"": 5}), "Exam E1: minutes, a name in it, is not a text"),
    "cleaning below none": (with_exam(cleaning=-1), "Exam E1: cleaning is not between 0"),
    "half a minute of cleaning": (with_exam(cleaning=0.5), "Exam E1: cleaning is not a whole number"),
    "ready in half a minute": (with_exam(ready=0.5), "Exam E1: ready is not a whole number"),
    "due beyond a million": (with_exam(due=1_000_001), "Exam E1: due is not between"),
    "a true due": (with_exam(due=True), "Exam E1: due is not a number"),
    "a weight beyond a million": (with_exam(weight=1_000_000.5), "Exam E1: weight is not between"),
    "a priority of a number": (with_exam(priority=1), "Exam E1: priority is not a text"),
    "a patient of a number": (with_exam(patient=17), "Exam E1: patient is not a text"),
    "fixed no object": (with_exam(fixed=False), "Exam E1, fixed is not an object"),
    "fixed in no room": (
        with_exam(fixed={"start": 0, "technologist": "T1"}),
        "Exam E1, fixed: room is missing",
    ),
    "fixed at no time": (with_exam(fixed={"room": "XR1"}), "Exam E1, fixed: start is missing"),
    "fixed in half a minute": (
        with_exam(fixed={**FIXED, "start": 0.5}),
        "Exam E1, fixed: start is not a whole",
    ),
    "fixed with somebody unknown": (
        with_exam(fixed={**FIXED, "technologist": "T9"}),
        "Exam E1: fixed names 'T9', which is not among the technologists",
    ),
    "fixed in an unknown room": (with_exam(fixed={**FIXED, "room": "XR9"}), "Exam E1: fixed names 'XR9'"),
    "fixed before opening": (with_exam(fixed={**FIXED, "start": -1}), "Exam E1: fixed outside the hours"),
    "fixed over hours that touch": (
        {
            "rooms": [{"id": "XR1", "open": [[0, 6], [6, 720]]}],
            **with_exam(fixed=FIXED),
        },
        "Exam E1: fixed outside the hours of room XR1",
    ),
    "fixed over shifts that touch": (
        {
            "technologists": [{"id": "T1", "on": [[0, 6], [6, 720]]}],
            **with_exam(fixed=FIXED),
        },
        "Exam E1: fixed outside a shift of technologist T1",
    ),
    "a price below none": (with_exam(booked={"room": "XR1", "start": 5, "per_room": -1}), "booked: per_room"),
    "unplanned below none": ({"costs": {"unplanned": -1}}, "Costs: unplanned is not between 0"),
    "hours beyond a million": ({"rooms": [{"id": "XR1", "open": [[0, 1_000_001]]}]}, "Room XR1, open: until"),
    "hours in halves": (
        {"rooms": [{"id": "XR1", "open": [[0, 7.5]]}]},
        "Room XR1, open: until is not a whole",
    ),
    "shifts missing": ({"technologists": [{"id": "T1"}]}, "Technologist T1: on is missing"),
    "a porter's shift reversed": (
        {"porters": [{"id": "P1", "on": [[5, 1]]}]},
        "Porter P1: on has an interval",
    ),
    "a porter twice": ({"porters": PROBLEM["porters"] * 2}, "Porter 'P1' stands there twice"),
    "a technologist twice": ({"technologists": PROBLEM["technologists"] * 2}, "Technologist 'T1' stands"),
    "a ward without a name": ({"travel": {"": 5}}, "travel, a name in it, is not a text"),
    "half a way": ({"travel": {"W3": 2.5}}, "W3 is not a whole number"),
    "an unknown room": (
        with_exam(minutes={"XR9": 5}),
        "Exam E1: minutes names 'XR9', which is not among the rooms",
    ),
    "a negative weight": (with_exam(weight=-1), "Exam E1: weight is not between 0"),
    "a weight in words": (with_exam(weight="heavy"), "Exam E1: weight is not a number"),
    "an unknown ward": (with_exam(**{"from": "W9"}), "Exam E1: from names 'W9'"),
    "after an unknown one": (with_exam(after=["E9"]), "Exam E1: after names 'E9'"),
    "after itself": (with_exam(after=["E1"]), "Exam E1: after leads back to itself"),
    "after twice": (with_exam(after=["E1", "E1"]), "after names one twice"),
    "a circle": (
        {"exams": [{**EXAM, "after": ["E2"]}, {**EXAM, "id": "E2", "after": ["E1"]}]},
        "Exam E1: after leads back to itself",
    ),
    "skills no list": (with_exam(skills="general"), "Exam E1: skills is not a list"),
    "booked in no room": (with_exam(booked={"room": "XR9", "start": 5}), "Exam E1: booked names 'XR9'"),
    "booked with nobody": (
        with_exam(booked={"room": "XR1", "start": 5, "technologist": "T9"}),
        "Exam E1: booked names 'T9', which is not among the technologists",
    ),
    "booked no object": (with_exam(booked=[]), "Exam E1, booked is not an object"),
    "fixed in a room that cannot": (
        with_exam(fixed={**FIXED, "room": "XR2"}),
        "fixed in XR2, which its minutes",
    ),
    "fixed when closed": (
        with_exam(fixed={**FIXED, "start": 715}),
        "Exam E1: fixed outside the hours of room XR1",
    ),
    "fixed with the room not cleaned": (
        with_exam(cleaning=30, fixed={**FIXED, "start": 700}),
        "Exam E1: fixed outside the hours of room XR1",
    ),
    "fixed outside a shift": (
        with_exam(fixed={**FIXED, "start": 470}),
        "Exam E1: fixed outside a shift of technologist T1",
    ),
    "fixed with nobody": (
        with_exam(fixed={"room": "XR1", "start": 0}),
        "Exam E1: fixed names no technologist",
    ),
    "fixed on top": (
        {
            "exams": [
                {**EXAM, "fixed": FIXED},
                {**EXAM, "id": "E2", "patient": "P2", "fixed": {**FIXED, "start": 5}},
            ]
        },
        "Exam E2: fixed on top of exam E1, which has room XR1 then",
    ),
    "one technologist fixed twice at once": (
        {
            "exams": [
                {**EXAM, "fixed": FIXED},
                {
                    **EXAM,
                    "id": "E2",
                    "patient": "P2",
                    "minutes": {"XR2": 9},
                    "fixed": {**FIXED, "room": "XR2", "start": 11},
                },
            ]
        },
        "Exam E2: fixed on top of exam E1, which has technologist T1 then",
    ),
    "one patient fixed twice at once": (
        {
            "technologists": None,
            "exams": [
                {**EXAM, "fixed": FIXED},
                {**EXAM, "id": "E2", "minutes": {"XR2": 9}, "fixed": {**FIXED, "room": "XR2", "start": 11}},
            ],
        },
        "Exam E2: fixed on top of exam E1, which has patient P17 then",
    ),
    "fixed while the room is cleaned": (
        {
            "exams": [
                {**EXAM, "cleaning": 5, "fixed": FIXED},
                {**EXAM, "id": "E2", "patient": "P2", "fixed": {**FIXED, "start": 16}},
            ]
        },
        "Exam E2: fixed on top of exam E1, which has room XR1 then",
    ),
    "fixed before what it follows": (
        {
            "exams": [
                {**EXAM, "fixed": {**FIXED, "start": 50}},
                {**EXAM, "id": "E2", "fixed": FIXED, "after": ["E1"]},
            ]
        },
        "Exam E2: fixed before exam E1 has ended",
    ),
    "travel no object": ({"travel": []}, "travel is not an object"),
    "a negative way": ({"travel": {"W3": -1}}, "W3 is not between 0"),
    "costs no object": ({"costs": 5}, "costs is not an object"),
    "a cost in words": ({"costs": {"unplanned": "much"}}, "Costs: unplanned is not a number"),
    "now in words": ({"now": "soon"}, "now is not a number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_format_is_refused_with_the_exam_and_the_field(name: str) -> None:
    changes, words = WRONG[name]
    told = {k: v for k, v in {**PROBLEM, **changes}.items() if v is not None}
    with pytest.raises(BadProblem, match=words) as refused:
        read_problem(json.dumps(told).encode())
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "not one JSON object"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"format": "xraydesk.plan/1", "start": "2026-11-24T07:00Z", "now": 1e999}', "now is not between"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"[" * 1_000_000, "nests|no JSON"),
        (b'{"a":' * 100_000, "nests|no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "too long|format is missing"),
    ],
)
def test_what_is_no_json_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(BadProblem, match=words):
        read_problem(data)


def test_a_fixed_exam_need_not_be_ready_nor_its_technologist_skilled() -> None:
    fixed = with_exam(ready=500, skills=["fluoro"], fixed=FIXED)
    assert read(**fixed, now=300).exams[0].fixed is not None


def test_what_nobody_asked_for_is_passed_over() -> None:
    assert read(remark=[1e9, {"deep": [None]}], **with_exam(colour="blue", seen=10**9)) == read()


def test_hours_may_overlap_and_one_of_them_must_hold_a_fixed_exam_whole() -> None:
    def fixed_at(start: int) -> Any:
        rooms = [{"id": "XR1", "open": [[10, 20], [0, 100], [30, 40], [95, 110]]}]
        return read(technologists=None, rooms=rooms, **with_exam(fixed={"room": "XR1", "start": start}))

    for start in (0, 15, 35, 88, 98):
        assert fixed_at(start).exams[0].fixed.start == start
    for start in (-1, 89, 94, 99):
        with pytest.raises(BadProblem, match="fixed outside the hours"):
            fixed_at(start)


def test_a_name_that_stands_twice_among_very_many_is_found_at_once() -> None:
    many = ",".join(f'"n{i}":1' for i in range(200_000))
    with pytest.raises(BadProblem, match="'twice' stands twice"):
        read_problem(f'{{{many},"twice":1,"twice":2}}'.encode())


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FILE_BYTES_MAX", 10)
    with pytest.raises(BadProblem, match="longer than 10 bytes"):
        read_problem(b" " * 11)


def test_whole_minutes_may_be_written_with_a_point() -> None:
    assert read(**with_exam(minutes={"XR1": 12.0})).exams[0].minutes == {"XR1": 12}


def test_exams_may_come_after_several_and_fixed_ones_beside_each_other() -> None:
    problem = read(
        technologists=None,
        exams=[
            {**EXAM, "fixed": {"room": "XR1", "start": 0}},
            {**EXAM, "id": "E2", "fixed": {"room": "XR1", "start": 12}, "after": ["E1"]},
            {**EXAM, "id": "E3", "patient": "P2", "after": ["E1", "E2"]},
            {**EXAM, "id": "E4", "patient": "P3", "after": ["E3"], "fixed": {"room": "XR1", "start": 100}},
        ],
    )
    assert [e.after for e in problem.exams] == [(), ("E1",), ("E1", "E2"), ("E3",)]


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert read_problem(b"\xef\xbb\xbf" + json.dumps(PROBLEM).encode()).exams[0].id == "E1"


def test_touching_stretches_stay_apart_and_empty_ones_are_nothing() -> None:
    problem = read(rooms=[{"id": "XR1", "open": [[5, 9], [0, 5], [3, 3]]}])
    assert problem.rooms[0].open == ((0, 5), (5, 9))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(PROBLEM)), inner, max_size=4)
        ),
        max_leaves=8,
    ),
    st.sampled_from([*PROBLEM, *EXAM, "booked", "fixed", "after", "due"]),
)
def test_nothing_that_is_read_ends_in_another_error(value: Any, field: str) -> None:
    changes = {field: value} if field in PROBLEM else with_exam(**{field: value})
    with suppress(BadProblem):
        assert read(**changes).exams is not None


def test_a_plan_is_written_and_read_again() -> None:
    plan = Plan(
        (Placed("E1", "XR1", 30, "T1", Job(20, "P1"), Job(42, None)), Placed("E2", "XR1", 50)),
        ("E3",),
        4.5,
        None,
    )
    assert read_plan(json.dumps(plan_as_json(plan)).encode()) == plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "format is not xraydesk.plan-answer/1"),
        ({"cost": None}, "cost is missing"),
        ({"exams": 5}, "exams is not a list"),
        ({"exams": [{"id": "E1", "start": 3}]}, "Exam E1: room is missing"),
        ({"exams": [{"id": "E1", "room": "XR1", "start": "9"}]}, "Exam E1: start is not a number"),
        ({"exams": [{"id": "E1", "room": "XR1", "start": 9, "fetch": 3}]}, "Exam E1, fetch is not an object"),
        ({"unplanned": "E1"}, "unplanned is not a list"),
    ],
)
def test_what_is_no_plan_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    plan = {"format": "xraydesk.plan-answer/1", "cost": 0, "exams": [], "unplanned": []} | changes
    told = {k: v for k, v in plan.items() if v is not None}
    with pytest.raises(BadPlan, match=words):
        read_plan(json.dumps(told).encode())


@pytest.mark.data
def test_real_problems_are_read() -> None:
    files = sorted(shared_data("plan").glob("*-*.json"))
    assert files
    for file in files:
        assert len(read_problem(file.read_bytes()).exams) >= 20


@settings(max_examples=tried(150), deadline=None)
@given(problems())
def test_a_problem_written_as_json_is_read_as_it_was(problem: Problem) -> None:
    assert read_problem(json.dumps(problem_as_json(problem)).encode()) == problem
