"""Each sentence about a place is held against the plan that it explains."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.explain import Kind, Reason, explain, in_words, why_not
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.insertion import Move, Option, Planner, applied
from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)
from xraydesk.scheduling.engine.state import Day, day_of_plan
from xraydesk.scheduling.tests.problems import START, problems

ROOMS = (Room("XR1", ((0, 100), (140, 200))), Room("XR2", ((0, 200),)))
PEOPLE = (
    Technologist("T1", ((0, 300),), frozenset({"general"})),
    Technologist("T2", ((0, 60),), frozenset({"general", "peds"})),
)
PROBLEM = Problem(
    START,
    (
        Exam("A", "Ada", {"XR1": 20}),
        Exam("N", "Ned", {"XR1": 10}, ready=5, skills=frozenset({"general"})),
    ),
    ROOMS,
    PEOPLE,
)
PLAN = Plan((Placed("A", "XR1", 10, "T1"),), ("N",))


def wall(minute: int) -> str:
    return f"{7 + minute // 60:02}:{minute % 60:02}"


def said(reason: Reason) -> str:
    return in_words(reason, names={"XR1": "Room 1", "A": "Ada"}, wall=wall)


def asked(
    problem: Problem, plan: Plan = PLAN, *, exam: str = "N", room: str = "XR1", start: int = 12
) -> list[tuple[Kind, int | None, str]]:
    found = why_not(problem, plan, exam=exam, room=room, start=start)
    return [(r.kind, r.until, said(r)) for r in found]


def with_new(**fields: object) -> Problem:
    return replace(PROBLEM, exams=(PROBLEM.exams[0], replace(PROBLEM.exams[1], **fields)))  # type: ignore[arg-type]


def test_a_free_place_has_nothing_in_its_way() -> None:
    assert asked(PROBLEM, start=40) == []


def test_a_room_that_is_taken_says_by_whom_and_until_when() -> None:
    assert asked(PROBLEM) == [
        (Kind.TAKEN, 30, "Room 1 has Ada at 07:12, and is free for so long from 07:30.")
    ]
    long = with_new(minutes={"XR1": 90})
    assert (
        Kind.TAKEN,
        None,
        "Room 1 has Ada at 07:12, and is not free for so long any more today.",
    ) in asked(long)


def test_a_room_that_is_closed_says_when_it_can_be_used() -> None:
    assert asked(PROBLEM, start=95) == [
        (Kind.CLOSED, 140, "Room 1 cannot be used at 08:35; from 09:20 it can.")
    ]
    assert asked(PROBLEM, start=195) == [
        (Kind.CLOSED, None, "Room 1 cannot be used at 10:15, nor later today.")
    ]


def test_an_exam_that_cannot_be_done_there_says_so() -> None:
    assert asked(PROBLEM, room="XR2") == [(Kind.UNABLE, None, "This exam cannot be done in XR2.")]


def test_nobody_with_the_skill_says_until_when() -> None:
    children = with_new(skills=frozenset({"peds"}), minutes={"XR1": 10})
    assert asked(children, start=55) == [
        (Kind.PEOPLE, None, "No technologist with the skill peds is free at 07:55, nor later today.")
    ]
    busy = replace(children, exams=(replace(PROBLEM.exams[0], minutes={"XR2": 20}), children.exams[1]))
    plan = Plan((Placed("A", "XR2", 10, "T2"),), ("N",))
    assert asked(busy, plan) == [
        (Kind.PEOPLE, 30, "No technologist with the skill peds is free at 07:12, until 07:30.")
    ]
    assert asked(with_new(skills=frozenset({"fluoro"})), start=40) == [
        (Kind.NO_SKILL, None, "Nobody who works here has the skill fluoro.")
    ]
    anybody = replace(with_new(skills=frozenset()), technologists=(Technologist("T1", ((0, 30),)),))
    assert (
        asked(anybody, Plan((), ("A", "N")), start=40)[-1][2]
        == "No technologist is free at 07:40, nor later today."
    )


def test_a_patient_who_is_elsewhere_and_one_who_is_not_ready() -> None:
    same = with_new(patient="Ada", minutes={"XR2": 10})
    assert asked(same, room="XR2") == [(Kind.PATIENT, 30, "The patient is in Ada until 07:30.")]
    assert asked(PROBLEM, start=0) == [(Kind.NOT_READY, 5, "The patient cannot be there before 07:05.")]


def test_the_turn_of_an_exam() -> None:
    after = with_new(after=("A",), minutes={"XR2": 10})
    assert asked(after, room="XR2")[0] == (Kind.AFTER, 30, "It comes after Ada, which ends at 07:30.")
    nowhere = Plan((), ("A", "N"))
    assert asked(after, nowhere, room="XR2")[0] == (
        Kind.AFTER,
        None,
        "It comes after Ada, which has no place.",
    )
    before = replace(PROBLEM, exams=(replace(PROBLEM.exams[0], after=("N",)), PROBLEM.exams[1]))
    both = Plan((Placed("A", "XR1", 60, "T1"), Placed("N", "XR1", 40, "T1")))
    assert asked(before, both, start=55)[0] == (
        Kind.BEFORE,
        None,
        "It would not be over when Ada begins, which comes after it.",
    )


def test_no_porter_says_when_one_is_free() -> None:
    fetched = replace(with_new(origin="W1"), porters=(Porter("P1", ((60, 90),)),), travel={"W1": 5})
    assert asked(fetched, start=40) == [
        (Kind.PORTERS, 70, "No porter is free to bring the patient for 07:40; one is for 08:10.")
    ]
    nobody = replace(fetched, porters=())
    assert asked(nobody, start=40) == [
        (Kind.PORTERS, None, "No porter is free to bring the patient for 07:40, nor later today.")
    ]
    anybody = replace(fetched, porters=None)
    assert asked(anybody, start=5)[-1][:2] == (Kind.PORTERS, 10)


@given(problems(overlapping=True), st.data())
def test_every_reason_is_so_and_none_is_missing(problem: Problem, data: st.DataObject) -> None:
    plan = first_come(problem)
    day, _ = day_of_plan(problem, plan)
    movable = [e for e in problem.exams if not e.fixed]
    if not movable:
        return
    exam = data.draw(st.sampled_from(movable))
    room = data.draw(st.sampled_from(problem.rooms))
    start = data.draw(st.integers(0, 130))
    found = why_not(problem, plan, exam=exam.id, room=room.id, start=start)
    i, r = day.number[exam.id], day.room_number[room.id]
    if day.room[i] >= 0:
        day.take(i)
    assert (day.fits(i, r, start) is None) == bool(found)
    for reason in found:
        assert in_words(reason, names={}, wall=wall).endswith(".")
        if reason.kind is Kind.TAKEN:
            assert reason.who in {p.exam for p in plan.placed if p.room == room.id}
        if reason.until is not None:
            _holds(day, i, r, reason)


def _holds(day: Day, i: int, room: int, reason: Reason) -> None:
    """From the minute that a reason names, it is none any more."""
    later = reason.until
    assert later is not None
    minutes = day.minutes[i].get(room, 1)
    if reason.kind in (Kind.TAKEN, Kind.CLOSED):
        assert day.room_lines[room].free(later, later + minutes + day.cleaning[i])
    elif reason.kind is Kind.PATIENT:
        assert day.patient_lines[day.patient[i]].free(later, later + minutes)
    elif reason.kind is Kind.PEOPLE:
        assert day.someone(i, later, later + minutes) >= -1
    elif reason.kind is Kind.PORTERS:
        assert day.porters(i, later, later + minutes) is not None


# -- what is said of an option ---------------------------------------------------------------------


def test_an_option_says_where_who_moves_why_and_what_else_there_was() -> None:
    exams = (
        Exam("A", "Ada", {"XR1": 20}, booked=Booked("XR1", 0, None, 0.5)),
        Exam("N", "Ned", {"XR1": 10}, due=0, weight=20),
    )
    problem = Problem(START, exams, (Room("XR1", ((0, 100),)),))
    plan = Plan((Placed("A", "XR1", 0),), ("N",))
    options = Planner(problem, plan).options(("N",))
    first, second, *_ = explain(problem, plan, options, wanted=("N",), names={"XR1": "Room 1"}, wall=wall)
    assert first.headline == "Room 1 at 07:00: 1 other exam moves, 10 minutes later in all."
    assert first.reasons == ("Room 1 has exam A at 07:00, and is free for so long from 07:20.",)
    assert first.otherwise == (
        "Without anybody moving: Room 1 at 07:20, 20 minutes later.",
        f"The next best: {second.headline}",
    )
    assert first.sentences[0] == first.headline
    assert broken_rule(problem, applied(problem, plan, options[0])) == ""


def test_a_full_room_says_that_nobody_can_have_it_without_moving() -> None:
    exams = (
        Exam("A", "Ada", {"XR1": 20, "XR2": 20}, booked=Booked("XR1", 0, None, 0.5)),
        Exam("N", "Ned", {"XR1": 20}, due=0, weight=20),
    )
    problem = Problem(START, exams, (Room("XR1", ((0, 20),)), Room("XR2", ((0, 20),))))
    plan = Plan((Placed("A", "XR1", 0),), ("N",))
    options = Planner(problem, plan).options(("N",))
    (only,) = explain(problem, plan, options, wanted=("N",))
    assert only.headline == "XR1 at 12:00: 1 other exam moves."
    assert only.otherwise == ("Without anybody moving there is no place for it today.",)


def test_exams_that_lose_or_get_a_place_are_counted() -> None:
    exams = (Exam("A", "a", {"XR1": 20}), Exam("B", "b", {"XR1": 20}), Exam("C", "c", {"XR1": 20}))
    problem = Problem(START, exams, (Room("XR1", ((0, 60),)),))
    plan = Plan((Placed("A", "XR1", 0), Placed("B", "XR1", 20)), ("C",))
    option = Option(
        (
            Move("A", Placed("A", "XR1", 0), None),
            Move("B", Placed("B", "XR1", 20), Placed("B", "XR1", 30)),
            Move("C", None, Placed("C", "XR1", 0)),
        ),
        0.0,
    )
    (told,) = explain(problem, plan, [option])
    assert told.headline == "1 exam moves, 10 minutes later in all; 1 exam is placed; 1 exam loses its place."
    (told,) = explain(problem, plan, [option], stood={"C": [("XR1", 0)]})
    assert told.headline == "1 exam moves, 10 minutes later in all; 1 exam loses its place.", (
        "C is where it was"
    )
    (told,) = explain(problem, plan, [option], stood={"C": [("XR2", -15), ("XR2~2", -15)]})
    assert told.headline == "2 exams move, 25 minutes later in all; 1 exam loses its place."
    nothing = explain(problem, plan, [Option((), 0.0)])
    assert nothing[0].headline == "Nobody else moves."
    lost = explain(problem, plan, [Option(option.moves[:1], 0.0)], wanted=("A",))
    assert lost[0].reasons == ()


def test_a_sooner_place_for_an_exam_that_has_one_is_explained_beside_it() -> None:
    exams = (Exam("A", "a", {"XR1": 20}), Exam("B", "b", {"XR1": 20}, due=0, weight=20))
    problem = Problem(START, exams, (Room("XR1", ((0, 60),)),))
    plan = Plan((Placed("A", "XR1", 0), Placed("B", "XR1", 20)))
    option = Option(
        (
            Move("B", Placed("B", "XR1", 20), Placed("B", "XR1", 0)),
            Move("A", Placed("A", "XR1", 0), Placed("A", "XR1", 20)),
        ),
        -400.0,
    )
    (told,) = explain(problem, plan, [option], wanted=("B",))
    assert told.reasons == ("XR1 has exam A at 12:00, and is free for so long from 12:20.",)
    assert told.otherwise == ("Without anybody moving: XR1 at 12:20, 20 minutes later.",)
