"""The engine's places are feasible, the earliest, and come with reasons a coordinator would give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.department import Department, Need, RoomTimes, TechnologistTimes, Work
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.propose import GRID_MINUTES, PREFERENCE_MINUTES, awkward, judge, propose
from xraydesk.scheduling.engine.spans import Span

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = 150
"""Minutes looked at."""


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def room(number: int = 1, **fields: Any) -> RoomTimes:
    values: dict[str, Any] = {"kind": "general", "open": (span(0, DAY),), "sort": number}
    return RoomTimes(room_id=number, code=f"XR{number}", **(values | fields))


def technologist(number: int = 1, **fields: Any) -> TechnologistTimes:
    values: dict[str, Any] = {
        "name": f"Kofi {number}",
        "skills": frozenset({"general"}),
        "on": (span(0, DAY),),
    }
    return TechnologistTimes(technologist_id=number, code=f"T{number}", **(values | fields))


def department(
    *rooms: RoomTimes, people: tuple[TechnologistTimes, ...] | None = None, cleaning: int = 0
) -> Department:
    return Department("UTC", rooms, people, timedelta(minutes=cleaning))


def need(**fields: Any) -> Need:
    values: dict[str, Any] = {"now": NOW, "until": at(DAY), "minutes": 10, "prompt": True}
    return Need(**(values | fields))


def places(of: Department, wanted: Need, count: int = 1) -> list[tuple[int, int]]:
    """Room and minute of each proposal."""
    return [
        (p.place.room_id, int((p.place.start - NOW).total_seconds()) // 60)
        for p in propose(of, wanted, count=count)
    ]


# An independent checker: minute by minute, sharing nothing with the engine but its inputs.


def within(spans: tuple[Span, ...], minute: int) -> bool:
    return any(s.start <= at(minute) < s.end for s in spans)


def feasible(of: Department, wanted: Need, place: tuple[int, int, int | None], start: int) -> bool:
    room_id, seat, who = place
    where = next(r for r in of.rooms if r.room_id == room_id)
    clean = int(of.cleaning.total_seconds()) // 60
    exam = range(start, start + wanted.minutes)
    held = range(start, start + wanted.minutes + clean)
    if wanted.room_kinds and where.kind not in wanted.room_kinds:
        return False
    if not wanted.room_kinds and where.kind == "portable":
        return False
    if not all(within(where.open, m) for m in held):
        return False
    if where.down and any(within((where.down,), m) for m in held):
        return False
    for busy in where.busy[seat]:
        if start < (busy.end - NOW).total_seconds() / 60 + clean and (
            busy.start - NOW
        ).total_seconds() / 60 < start + len(held):
            return False
    if any(within(wanted.patient_busy, m) for m in exam):
        return False
    if of.technologists is None:
        return who is None
    person = next((t for t in of.technologists if t.technologist_id == who), None)
    return (
        person is not None
        and wanted.skills <= person.skills
        and all(within(person.on, m) for m in exam)
        and not any(within((w.span,), m) for w in person.work for m in exam)
    )


def earliest(wanted: Need, where: RoomTimes) -> int:
    ready = 0 if where.kind == "portable" else int(wanted.travel.total_seconds()) // 60
    if wanted.wished and wanted.wished >= at(ready):
        return int((wanted.wished - NOW).total_seconds()) // 60
    return ready


def on_grid(wanted: Need, minute: int) -> bool:
    return wanted.prompt or minute % GRID_MINUTES == 0 or at(minute) == wanted.wished


def best_by_trying_everything(of: Department, wanted: Need) -> datetime | None:
    people = [None] if of.technologists is None else [t.technologist_id for t in of.technologists]
    found = []
    for where in of.rooms:
        given_up = 0 if wanted.prompt or wanted.wished else PREFERENCE_MINUTES * awkward(wanted, where)
        for start in range(earliest(wanted, where), DAY):
            if on_grid(wanted, start) and any(
                feasible(of, wanted, (where.room_id, seat, who), start)
                for seat in range(len(where.busy))
                for who in people
            ):
                found.append((start + given_up, start))
                break
    return at(min(found)[1]) if found else None


_SPAN = st.tuples(st.integers(0, DAY - 5), st.integers(1, 60)).map(
    lambda p: span(p[0], min(DAY, p[0] + p[1]))
)
# Made once: a strategy that is new is examined before it is drawn from, which took more than half of the time.
_SPANS = [st.lists(_SPAN, max_size=size).map(tuple) for size in range(5)]
_DOWN = st.none() | _SPANS[1].map(lambda spans: spans[0] if spans else None)
_KIND = st.sampled_from(["general", "ed", "portable"])
_KINDS = st.frozensets(_KIND)
_SKILLS = st.frozensets(st.sampled_from(["general", "spine"]))
_PEOPLE = st.none() | st.lists(st.tuples(_SKILLS, _SPANS[2], _SPANS[3]), max_size=3).map(
    lambda made: tuple(
        technologist(
            number, skills=can, on=on or (span(0, DAY),), work=tuple(Work(s, 1 + number % 2) for s in work)
        )
        for number, (can, on, work) in enumerate(made, start=1)
    )
)
_WISHED = st.none() | st.integers(-30, DAY).map(at)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Department, Need]:
    rooms = tuple(
        room(
            number,
            kind=draw(_KIND),
            open=draw(_SPANS[3]) or (span(0, DAY),),
            busy=tuple(draw(_SPANS[4]) for _ in range(draw(st.integers(1, 2)))),
            down=draw(_DOWN),
            emergency=draw(st.booleans()),
        )
        for number in range(1, draw(st.integers(1, 3)) + 1)
    )
    people = draw(_PEOPLE)
    # The engine is told of open time as the hours give it: in order and apart.
    rooms = tuple(replace(r, open=tuple(sorted(r.open))) for r in rooms)
    wanted = need(
        minutes=draw(st.integers(1, 30)),
        room_kinds=draw(_KINDS),
        skills=draw(_SKILLS),
        wished=draw(_WISHED),
        prompt=draw(st.booleans()),
        emergency=draw(st.booleans()),
        travel=timedelta(minutes=draw(st.integers(0, 20))),
        patient_busy=draw(_SPANS[2]),
    )
    return department(*rooms, people=people, cleaning=draw(st.integers(0, 5))), wanted


@given(problems(), st.integers(1, 5))
def test_every_proposal_is_feasible_and_none_is_too_early(
    problem: tuple[Department, Need], count: int
) -> None:
    of, wanted = problem
    found = propose(of, wanted, count=count)
    assert len(found) <= count
    assert len({(p.place.room_id, p.place.start) for p in found}) == len(found)
    for proposal in found:
        place = proposal.place
        where = next(r for r in of.rooms if r.room_id == place.room_id)
        start = int((place.start - NOW).total_seconds()) // 60
        assert place.start == at(start)
        assert place.end - place.start == timedelta(minutes=wanted.minutes)
        assert feasible(of, wanted, (place.room_id, place.seat, place.technologist_id), start)
        assert start >= earliest(wanted, where)
        assert proposal.why
        assert judge(of, wanted, place).place is not None


@given(problems())
def test_the_first_proposal_is_as_early_as_trying_every_minute_finds(
    problem: tuple[Department, Need],
) -> None:
    of, wanted = problem
    found = propose(of, wanted)
    assert (found[0].place.start if found else None) == best_by_trying_everything(of, wanted)


@given(problems(), st.integers(-4, DAY), st.none() | st.integers(1, 3))
def test_a_chosen_place_is_judged_as_counting_minutes_judges_it(
    problem: tuple[Department, Need], start: int, named: int | None
) -> None:
    of, wanted = problem
    wanted = replace(wanted, wished=None, travel=timedelta())
    verdict = judge(of, wanted, Place(1, at(start), at(start), named))
    people: list[int | None] = (
        [None] if of.technologists is None else [t.technologist_id for t in of.technologists]
    )
    if of.technologists is not None and named:
        people = [who for who in people if who == named]
    fits = any(
        feasible(of, wanted, (1, seat, who), start) for seat in range(len(of.rooms[0].busy)) for who in people
    )
    assert (verdict.place is not None) is fits
    assert bool(verdict.why_not) is not fits


def test_a_prompt_exam_takes_the_earliest_place_from_now() -> None:
    of = department(room(1, busy=((span(0, 30),),)), room(2, busy=((span(0, 12),),)))
    assert places(of, need()) == [(2, 12)]


def test_without_hurry_exams_start_on_the_five_minutes() -> None:
    of = department(room(1, busy=((span(0, 12),),)))
    assert places(of, need(prompt=False)) == [(1, 15)]


def test_a_requested_time_is_kept_to_the_minute() -> None:
    assert places(department(room()), need(prompt=False, wished=at(33))) == [(1, 33)]


def test_a_requested_time_that_is_taken_gives_the_next_free_one_never_one_before() -> None:
    of = department(room(1, busy=((span(30, 45),),)))
    assert places(of, need(prompt=False, wished=at(35))) == [(1, 45)]


def test_a_requested_time_that_has_passed_gives_the_next_free_one() -> None:
    assert places(department(room()), need(prompt=False, wished=at(-60))) == [(1, 0)]


def test_a_patient_who_must_be_fetched_is_not_expected_before() -> None:
    of = department(room())
    assert places(of, need(travel=timedelta(minutes=7))) == [(1, 7)]


def test_a_portable_unit_goes_to_the_ward_at_once() -> None:
    of = department(room(), room(2, kind="portable"))
    wanted = need(room_kinds=frozenset({"portable"}), travel=timedelta(minutes=7))
    assert places(of, wanted, count=5)[0] == (2, 0)
    assert {number for number, _ in places(of, wanted, count=5)} == {2}


def test_an_exam_that_names_no_kind_of_room_never_takes_a_portable_unit() -> None:
    assert places(department(room(1, kind="portable")), need()) == []


def test_a_portable_unit_is_left_alone_where_a_room_will_do() -> None:
    of = department(room(1, kind="portable"), room(2, busy=((span(0, 20),),)))
    assert places(of, need(prompt=False, room_kinds=frozenset({"portable", "general"}))) == [(2, 20)]


def test_emergency_patients_wait_a_little_for_the_emergency_room_and_others_stay_out_of_it() -> None:
    of = department(room(1), room(2, kind="ed", emergency=True, busy=((span(0, 10),),)))
    kinds = frozenset({"general", "ed"})
    assert places(of, need(prompt=False, emergency=True, room_kinds=kinds)) == [(2, 10)]
    assert places(of, need(prompt=True, emergency=True, room_kinds=kinds)) == [(1, 0)]
    swapped = department(room(1, busy=((span(0, 10),),)), room(2, kind="ed", emergency=True))
    assert places(swapped, need(prompt=False, room_kinds=kinds)) == [(1, 10)]


def test_a_requested_time_is_kept_in_whatever_room_is_free() -> None:
    of = department(room(1, busy=((span(0, 60),),)), room(2, kind="ed", emergency=True))
    assert places(of, need(prompt=False, wished=at(30))) == [(2, 30)]


def test_two_seats_hold_two_exams_at_once() -> None:
    found = propose(department(room(1, busy=((span(0, 60),), ()))), need())
    assert (found[0].place.seat, found[0].place.start) == (1, NOW)


def test_the_same_technologist_stays_with_a_room() -> None:
    here = technologist(2, work=(Work(span(0, 10), 1),))
    elsewhere = technologist(1, work=(Work(span(0, 10), 2),))
    of = department(room(busy=((span(0, 10),),)), people=(elsewhere, here))
    assert propose(of, need())[0].place.technologist_id == 2


def test_rare_skills_are_kept_free_for_those_who_need_them() -> None:
    rare = technologist(1, skills=frozenset({"general", "spine"}))
    of = department(room(), people=(rare, technologist(2)))
    assert propose(of, need(skills=frozenset({"general"})))[0].place.technologist_id == 2
    assert propose(of, need(skills=frozenset({"spine"})))[0].place.technologist_id == 1


def test_an_empty_list_of_technologists_means_that_nobody_can() -> None:
    assert propose(department(room(), people=()), need()) == []


def test_alternatives_in_one_room_are_apart() -> None:
    assert places(department(room()), need(minutes=10), count=3) == [(1, 0), (1, 15), (1, 30)]


# Reasons.


def why(of: Department, wanted: Need) -> tuple[str, ...]:
    return propose(of, wanted)[0].why


def test_a_place_says_who_is_there_and_why_other_rooms_do_not_serve_sooner() -> None:
    of = department(
        room(1, open=(span(60, DAY),)),
        room(2, busy=((span(0, 20),),)),
        room(3, down=span(0, 90)),
        room(4, kind="mammography"),
        people=(technologist(),),
    )
    assert why(of, need(room_kinds=frozenset({"general"}))) == (
        "XR2 is free at 10:20 and Kofi 1 is there",
        "the first free place from now",
        "XR2 is taken until 10:20",
        "XR1 is closed until 11:00",
        "XR3 is down until 11:30",
    )


def test_a_kept_wish_is_said_and_a_missed_one_too() -> None:
    of = department(room(busy=((span(30, 45),),)))
    assert why(of, need(prompt=False, wished=at(10))) == ("XR1 is free at 10:10", "10:10 was asked for")
    assert why(of, need(prompt=False, wished=at(35))) == (
        "XR1 is free at 10:45",
        "10:35 was asked for; this is the first free time after it",
        "XR1 is taken until 10:45",
    )


def test_a_room_that_can_only_be_used_later_by_this_patient_is_not_called_hindered() -> None:
    of = department(room(1), room(2, kind="portable"))
    wanted = need(room_kinds=frozenset({"general", "portable"}), travel=timedelta(minutes=8))
    assert why(of, wanted) == ("XR2 is free at 10:00", "the first free place from now")


def test_the_patient_being_in_another_exam_is_said_once() -> None:
    of = department(room(1), room(2))
    assert why(of, need(prompt=False, patient_busy=(span(0, 20),))) == (
        "XR1 is free at 10:20",
        "the patient is in another exam until 10:20",
    )


def test_nobody_with_the_skills_differs_from_nobody_free() -> None:
    busy = technologist(1, work=(Work(span(0, 30), 9),))
    assert why(department(room(), people=(busy,)), need(prompt=False))[1:] == (
        "XR1 has no technologist free until 10:30",
    )
    later = technologist(1, on=(span(60, DAY),))
    assert why(department(room(), people=(later,)), need(prompt=False))[1:] == (
        "XR1 has no technologist with the skills on until 11:00",
    )


def test_another_day_is_named() -> None:
    of = department(room(open=(Span(at(22 * 60), at(30 * 60)),)))
    found = propose(of, need(prompt=False, until=at(40 * 60)))
    assert found[0].why == ("XR1 is free at Tue 3 Mar 8:00", "XR1 is closed until Tue 3 Mar 8:00")


# A place that a person chose.


def test_a_chosen_place_is_filled_in() -> None:
    of = department(room(busy=((span(0, 60),), ())), people=(technologist(4),))
    verdict = judge(of, need(), Place(1, at(10), at(10)))
    assert verdict.place == Place(1, at(10), at(20), 4, 1)


def test_a_chosen_place_may_have_passed_a_moment_ago() -> None:
    of = department(room(open=(span(-60, DAY),)))
    assert judge(of, need(), Place(1, at(-5), at(5))).place
    assert judge(of, need(), Place(1, at(-6), at(4))).why_not == ("that time has passed",)


def test_a_chosen_place_that_does_not_fit_says_why() -> None:
    of = department(room(open=(span(30, 60),)), room(2, kind="ed"))
    assert judge(of, need(), Place(9, at(0), at(10))).why_not == ("that room is not in use",)
    closed = judge(of, need(), Place(1, at(55), at(65)))
    assert (closed.why_not, closed.taken) == (("XR1 is closed",), False)
    unsuited = judge(of, need(room_kinds=frozenset({"general"})), Place(2, at(0), at(10)))
    assert unsuited.why_not == ("XR2 is of kind ed, which cannot do this exam",)


def test_a_chosen_place_that_others_have_is_called_taken() -> None:
    of = department(room(busy=((span(0, 30),),)), people=(technologist(),))
    verdict = judge(of, need(), Place(1, at(10), at(20)))
    assert (verdict.why_not, verdict.taken) == (("XR1 is taken until 10:30",), True)


def test_a_chosen_technologist_stays_or_the_place_is_refused() -> None:
    of = department(room(), people=(technologist(1), technologist(2, work=(Work(span(0, 30), 9),))))
    verdict = judge(of, need(), Place(1, at(10), at(20), 2))
    assert (verdict.why_not, verdict.taken) == (("XR1 has no technologist free until 10:30",), True)
    kept = judge(of, need(), Place(1, at(40), at(50), 2)).place
    assert kept is not None
    assert kept.technologist_id == 2
