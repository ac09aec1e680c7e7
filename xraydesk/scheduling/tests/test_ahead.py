"""Places ahead for one exam or a whole visit: feasible, in a sensible order, each with what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.ahead import (
    ASKS_MAX,
    FIRSTS_MAX,
    ORDERS_MAX,
    PAUSE_MINUTES_MAX,
    SOONER_MAX,
    Ask,
    Helper,
    HelperKind,
    Lack,
    Offer,
    Search,
    Unfit,
)
from xraydesk.scheduling.engine.department import Department, Kept, Need, RoomTimes, TechnologistTimes
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.propose import judge
from xraydesk.scheduling.engine.spans import Span, Timeline
from xraydesk.scheduling.states import Going

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY_MINUTES = 24 * 60


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def room(number: int = 1, **fields: Any) -> RoomTimes:
    values: dict[str, Any] = {"kind": "general", "open": (span(0, 240),), "sort": number, "location": 1}
    return RoomTimes(room_id=number, code=f"XR{number}", **(values | fields))


def department(*rooms: RoomTimes, people: Any = None, cleaning: int = 0) -> Department:
    return Department("UTC", rooms, people, timedelta(minutes=cleaning))


def ask(key: str = "A1", *, minutes: int = 10, **fields: Any) -> Ask:
    own = {"code", "travel", "language", "escort", "due_at", "home", "after"}
    needs = {name: value for name, value in fields.items() if name not in own}
    need = Need(now=NOW, until=at(10 * DAY_MINUTES), minutes=minutes, **needs)
    return Ask(key, **({"code": key, "need": need} | {n: v for n, v in fields.items() if n in own}))


def helper(kind: HelperKind, *spans: Span, key: int = 1, languages: Sequence[str] = ()) -> Helper:
    return Helper(key, f"{kind} {key}", kind, Timeline(tuple(spans)), frozenset(languages))


def minute(moment: datetime) -> int:
    return int((moment - NOW) / timedelta(minutes=1))


def shown(offer: Offer) -> list[tuple[str, int, int]]:
    return [(p.ask.key, p.place.room_id, minute(p.place.start)) for p in offer.parts]


def found(
    search: Search, *, since: int = 0, until: int = DAY_MINUTES, count: int = 1, **more: bool
) -> list[Offer]:
    return search.offers(since=at(since), until=at(until), count=count, **more)


def lacks(offer: Offer) -> list[str]:
    return [lack.words for lack in offer.lacks]


# -- one exam --------------------------------------------------------------------------------------


def test_the_first_places_come_in_order_of_time_from_when_they_are_asked_for() -> None:
    search = Search(department(room(1, busy=((span(0, 60),),)), room(2, open=(span(30, 60),))), [ask()])
    assert [shown(o) for o in found(search, count=3)] == [[("A1", 2, 30)], [("A1", 2, 45)], [("A1", 1, 60)]]
    assert shown(found(search, since=100)[0]) == [("A1", 1, 100)]
    assert found(search, since=239) == []


def test_nothing_and_too_much_are_not_searched_for() -> None:
    for asks in ([], [ask(str(n)) for n in range(ASKS_MAX + 1)]):
        with pytest.raises(ValueError, match="planned together"):
            Search(department(room()), asks)


def test_places_that_lie_apart_are_spread_over_hours_days_and_locations() -> None:
    open_days = tuple(span(d * DAY_MINUTES, d * DAY_MINUTES + 240) for d in range(6))
    rooms = room(1, open=open_days), room(2, open=open_days), room(3, open=open_days, location=2)
    offers = found(Search(department(*rooms), [ask()]), until=6 * DAY_MINUTES, count=9, spread=True)
    by_day = [minute(o.start) // DAY_MINUTES for o in offers]
    assert by_day == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for day in range(3):
        todays = [o for o in offers if minute(o.start) // DAY_MINUTES == day]
        assert {rooms[o.parts[0].place.room_id - 1].location for o in todays} == {1, 2}
        main = [o.start for o in todays if o.parts[0].place.room_id != 3]
        assert all(b - a >= timedelta(hours=1) for a, b in pairwise(sorted(main)))


def test_a_day_ends_at_midnight_on_the_wall_and_nothing_begins_after_what_was_asked_for() -> None:
    late = room(1, open=(span(15 * 60, 17 * 60),))  # 23:00 to 1:00
    offers = found(Search(department(late), [ask()]), until=16 * 60 + 20, count=20)
    assert minute(offers[-1].start) < 16 * 60 + 20
    assert {o.start.date().day for o in offers} == {2, 3}


def test_what_is_kept_for_others_is_offered_only_where_it_is_sooner_and_says_so() -> None:
    kept = Kept(span(0, 60), frozenset({"stat", "emergency"}), timedelta(minutes=20))
    search = Search(department(room(1, kept=(kept,))), [ask()])
    free, *sooner = found(search)
    # Within twenty minutes it is released; what begins before that is anybody's.
    assert (minute(free.start), sooner) == (0, [])
    free, *sooner = found(search, since=25)
    assert (minute(free.start), lacks(free)) == (60, [])
    assert [minute(o.start) for o in sooner] == [25, 40, 55]
    assert lacks(sooner[2]) == ["XR1 is kept for emergencies and STATs until 8:35"]
    assert sooner[0].lacks[0].what is Lack.KEPT
    assert len(sooner) == SOONER_MAX
    assert found(search, since=25, sooner=False) == [free]
    claims = found(Search(department(room(1, kept=(kept,))), [ask(claims=frozenset({"stat"}))]), since=25)
    assert (minute(claims[0].start), len(claims)) == (25, 1)


def test_what_is_never_released_is_kept_until_it_is_over() -> None:
    kept = Kept(span(0, 60), frozenset({"urgent", "inpatient"}))
    offer = found(Search(department(room(1, kept=(kept,))), [ask()]))[1]
    assert lacks(offer) == ["XR1 is kept for inpatients and urgent exams until 9:00"]


def test_outpatients_are_offered_published_times_and_others_any() -> None:
    published = room(1, published=(span(60, 90),), slots=(at(60), at(80)))
    search = Search(department(published), [ask(ahead=True)])
    offers = found(search, count=2, sooner=False)
    assert [minute(o.start) for o in offers] == [60, 80]
    sooner = found(search, count=2)[2:]
    assert lacks(sooner[0]) == ["XR1 has no place for outpatients until 9:00"]
    assert sooner[0].lacks[0].what is Lack.UNPUBLISHED
    assert minute(found(Search(department(published), [ask()]))[0].start) == 0
    # An exam that does not fit into what is published has no published place.
    long = Search(department(published), [ask(minutes=25, ahead=True)])
    assert [minute(o.start) for o in found(long, sooner=False)] == [60]
    assert lacks(found(long, since=85)[0]) == ["XR1 has no place for outpatients"]


def test_later_than_due_and_elsewhere_are_told() -> None:
    away = room(1, location=2)
    search = Search(department(away), [ask(due_at=at(5), home=1)])
    assert lacks(found(search)[0]) == ["in another location", "5 min later than due"]
    for due, words in ((-200, "3 h later than due"), (-4 * DAY_MINUTES, "4 days later than due")):
        assert lacks(found(Search(department(away), [ask(due_at=at(due))]))[0]) == [words]
    home = Search(department(away, room(2)), [ask(home=1)])
    assert [o.parts[0].place.room_id for o in found(home, count=2)] == [2, 2]


# -- who goes along --------------------------------------------------------------------------------


def test_an_interpreter_of_the_language_goes_along_or_is_told_to_be_missing() -> None:
    free = helper(HelperKind.INTERPRETER, span(105, 200), languages=("es",))
    other = helper(HelperKind.INTERPRETER, span(0, 240), key=2, languages=("ar",))
    search = Search(department(room()), [ask(language="es")], [other, free])
    offer, *sooner = found(search)
    assert (minute(offer.start), offer.lacks) == (105, ())
    assert [(a.going, a.helper.key, a.span) for a in offer.along] == [(Going.INTERPRETER, 1, span(105, 115))]
    assert lacks(sooner[0]) == ["no interpreter for es is free then"]
    # Where nobody speaks it, no time is better than another.
    nobody = found(Search(department(room()), [ask(language="th")], [other]))
    assert (minute(nobody[0].start), lacks(nobody[0])) == (0, ["nobody here interprets th"])


def test_an_escort_stays_from_the_preparation_to_the_end() -> None:
    escort = helper(HelperKind.ESCORT, span(60, 200))
    wanted = ask(escort=True, preparation=timedelta(minutes=20))
    offer, *sooner = found(Search(department(room()), [wanted], [escort]))
    assert (minute(offer.start), minute(offer.parts[0].here_at)) == (80, 60)
    assert offer.along[0].span == span(60, 90)
    assert offer.in_house == timedelta(minutes=30)
    assert lacks(sooner[0]) == ["nobody is free to stay with the patient"]
    without = found(Search(department(room()), [wanted], []))
    assert (minute(without[0].start), without[0].lacks[0].what) == (20, Lack.NO_ESCORT)


def test_a_porter_fetches_the_patient_before_and_takes_them_back_after() -> None:
    porter = helper(HelperKind.PORTER, span(30, 120))
    wanted = ask(travel=timedelta(minutes=6))
    offer, *sooner = found(Search(department(room()), [wanted], [porter]))
    start = minute(offer.start)
    fetch, back = offer.along
    assert (fetch.going, back.going) == (Going.FETCH, Going.RETURN)
    assert 0 <= start - minute(fetch.span.end) <= 30
    assert 0 <= minute(back.span.start) - (start + 10) <= 15
    assert lacks(sooner[0]) == [
        "no porter is free to fetch the patient",
        "no porter is free to take the patient back",
    ]
    assert fetch.span.end - fetch.span.start == timedelta(minutes=12)
    # Where the department names no porters, and at the bedside, nobody is looked for.
    assert found(Search(department(room()), [wanted]))[0].along == ()
    bedside = room(1, kind="portable")
    portable = ask(travel=timedelta(minutes=6), room_kinds=frozenset({"portable"}))
    assert found(Search(department(bedside), [portable], [porter]))[0].along == ()


def test_the_patient_is_free_while_they_are_made_ready() -> None:
    wanted = ask(preparation=timedelta(minutes=30), patient_busy=(span(20, 40),))
    assert minute(found(Search(department(room()), [wanted]))[0].start) == 70


# -- a visit ---------------------------------------------------------------------------------------


def test_plain_exams_come_before_prepared_ones_and_in_the_same_room() -> None:
    prepared = ask("SWALLOW", minutes=30, preparation=timedelta(minutes=15))
    search = Search(department(room(1), room(2)), [prepared, ask("CHEST")])
    assert shown(found(search)[0]) == [("CHEST", 1, 0), ("SWALLOW", 1, 25)]


def test_an_exam_that_comes_after_another_is_never_before_it() -> None:
    last = ask("LAST", after=frozenset({"FIRST", "NOT ASKED FOR"}))
    search = Search(department(room()), [last, ask("FIRST")])
    for offer in found(search, count=20):
        assert [part.ask.key for part in offer.parts] == ["FIRST", "LAST"]
    round_ = [ask("A", after=frozenset({"B"})), ask("B", after=frozenset({"A"}))]
    assert found(Search(department(room()), round_)) == []


def test_of_rooms_that_are_alike_two_are_tried_for_the_first_exam_of_a_visit() -> None:
    search = Search(department(room(1), room(2), room(3)), [ask("A"), ask("B")])
    at_once = [offer for offer in found(search, count=12) if offer.start == NOW]
    assert {offer.parts[0].place.room_id for offer in at_once} == {1, 2}


def test_another_room_is_taken_where_the_same_one_would_keep_the_patient_long() -> None:
    taken = room(1, busy=((span(10, 100),),))
    assert shown(found(Search(department(taken, room(2)), [ask("A"), ask("B")]))[0]) == [
        ("A", 2, 0),
        ("B", 2, 10),
    ]
    knees_only = room(2, kind="ortho")
    two = [ask("A", room_kinds=frozenset({"general"})), ask("B", room_kinds=frozenset({"ortho"}))]
    assert shown(found(Search(department(taken, knees_only), two))[0]) == [("A", 1, 0), ("B", 2, 15)]
    offer = found(Search(department(room(1), knees_only), two))[0]
    assert shown(offer) == [("A", 1, 0), ("B", 2, 15)]


def test_two_locations_in_one_visit_are_told_and_taken_only_where_there_is_no_other() -> None:
    far = room(2, kind="ortho", location=2)
    near = room(3, kind="ortho", open=(span(60, 240),))
    two = [ask("A", room_kinds=frozenset({"general"})), ask("B", room_kinds=frozenset({"ortho"}))]
    assert lacks(found(Search(department(room(1), far), two))[0]) == ["in two locations"]
    best = found(Search(department(room(1), far, near), two))[0]
    assert ({p.place.room_id for p in best.parts}, best.lacks) == ({1, 3}, ())


def test_nobody_waits_long_between_two_exams_of_a_visit() -> None:
    late = room(2, kind="ortho", open=(span(10 + PAUSE_MINUTES_MAX + 5, 240),))
    early = room(1, open=(span(0, 10),))
    two = [ask("A", room_kinds=frozenset({"general"})), ask("B", room_kinds=frozenset({"ortho"}))]
    assert found(Search(department(early, late), two)) == []


def test_a_room_is_cleaned_between_two_exams_of_one_patient_too() -> None:
    offer = found(Search(department(room(), cleaning=4), [ask("A"), ask("B")]))[0]
    assert shown(offer) == [("A", 1, 0), ("B", 1, 15)]


def test_whoever_goes_along_is_there_for_the_whole_visit() -> None:
    people = [
        helper(HelperKind.INTERPRETER, span(0, 240), languages=("es",)),
        helper(HelperKind.PORTER, span(0, 240), key=7),
    ]
    two = [ask(k, language="es", travel=timedelta(minutes=5)) for k in ("A", "B")]
    offer = found(Search(department(room()), two, people), since=40)[0]
    start, end = minute(offer.start), minute(offer.end)
    assert end - start == 20
    assert {a.going: (minute(a.span.start), minute(a.span.end)) for a in offer.along} == {
        Going.INTERPRETER: (start, end),
        Going.FETCH: (start - 10, start),
        Going.RETURN: (end, end + 10),
    }


def test_so_many_orders_and_beginnings_are_tried_and_no_more() -> None:
    asks = [ask(str(n), minutes=5) for n in range(5)]
    search = Search(department(room(1, open=(span(0, 1000),))), asks)
    assert len(search._orders(search._finders[False])) == ORDERS_MAX
    one_day = [o for o in found(search, count=1000, sooner=False) if minute(o.start) < 960]
    assert len({(o.parts[0].place.room_id, o.start) for o in one_day}) <= FIRSTS_MAX


# -- one place, exactly -----------------------------------------------------------------------------


def test_a_chosen_place_is_filled_in_and_says_what_it_lacks() -> None:
    kept = Kept(span(30, 60), frozenset({"stat"}))
    who = TechnologistTimes(5, "T5", "Five", frozenset(), (span(0, 240),))
    search = Search(department(room(1, kept=(kept,)), people=(who,)), [ask("B"), ask("A")])
    offer = search.exactly([Place(1, at(40), at(99)), Place(1, at(20), at(21))])
    assert isinstance(offer, Offer)
    assert [
        (p.ask.key, minute(p.place.start), minute(p.place.end), p.place.technologist_id) for p in offer.parts
    ] == [
        ("A", 20, 30, 5),
        ("B", 40, 50, 5),
    ]
    assert lacks(offer) == ["XR1 is kept for STATs until 9:00"]


@pytest.mark.parametrize(
    ("places", "why", "taken"),
    [
        ([(9, 0)], "that room is not to be had", False),
        ([(2, 0)], "XR2 cannot do this exam", False),
        ([(1, -30)], "XR1 is closed until 8:00", False),
        ([(1, 100)], "XR1 is taken until 9:50", True),
        ([(3, -10)], "that time has passed", False),
    ],
)
def test_a_chosen_place_that_cannot_be_says_why(places: list[tuple[int, int]], why: str, taken: bool) -> None:
    rooms = room(1, busy=((span(100, 110),),)), room(2, kind="ortho"), room(3, open=(span(-60, 240),))
    search = Search(department(*rooms), [ask(room_kinds=frozenset({"general"}))])
    assert search.exactly([Place(r, at(m), at(m)) for r, m in places]) == Unfit(why, taken)


def test_a_patient_is_not_held_in_two_rooms_at_once() -> None:
    search = Search(department(room(1), room(2)), [ask("A"), ask("B")])
    together = search.exactly([Place(1, at(0), at(10)), Place(2, at(12), at(22))])
    assert together == Unfit("the patient cannot be in two rooms at once")


def test_a_place_chosen_by_hand_may_be_one_that_is_kept_and_says_so() -> None:
    kept = Kept(span(30, 60), frozenset({"stat"}))
    verdict = judge(department(room(1, kept=(kept,))), ask().need, Place(1, at(40), at(50)))
    assert verdict.place
    assert verdict.mind == ("XR1 is kept for STATs until 9:00",)


# -- whatever is asked for ----------------------------------------------------------------------------


@st.composite
def departments(draw: st.DrawFn) -> tuple[Department, list[Ask], list[Helper]]:
    def spans(most: int = 3) -> tuple[Span, ...]:
        drawn = draw(st.lists(st.tuples(st.integers(0, 300), st.integers(5, 120)), max_size=most))
        return tuple(span(start, start + length) for start, length in drawn)

    claims = st.sampled_from(["stat", "urgent", "emergency", "inpatient"])
    rooms = [
        room(
            number,
            kind=draw(st.sampled_from(["general", "ortho"])),
            location=draw(st.integers(1, 2)),
            busy=tuple(spans() for _ in range(draw(st.integers(1, 2)))),
            kept=tuple(
                Kept(s, frozenset({draw(claims)}), timedelta(minutes=draw(st.integers(0, 60))))
                for s in spans(2)
            ),
        )
        for number in range(1, draw(st.integers(2, 5)))
    ]
    people = draw(
        st.none()
        | st.just(
            tuple(TechnologistTimes(n, f"T{n}", f"T{n}", frozenset({"x"}), (span(0, 240),)) for n in (1, 2))
        )
    )
    asks = [
        ask(
            key,
            minutes=draw(st.integers(5, 40)),
            preparation=timedelta(minutes=draw(st.sampled_from([0, 20]))),
            room_kinds=draw(st.sampled_from([frozenset(), frozenset({"general"}), frozenset({"ortho"})])),
            claims=frozenset(draw(st.lists(claims, max_size=1))),
            language=draw(st.sampled_from(["", "es"])),
            escort=draw(st.booleans()),
            travel=draw(st.sampled_from([None, timedelta(minutes=5)])),
            after=frozenset(draw(st.lists(st.sampled_from(["A", "B"]), max_size=1)) if key == "C" else ()),
        )
        for key in "ABC"[: draw(st.integers(1, 3))]
    ]
    helpers = [
        helper(HelperKind.PORTER, span(0, 150), key=1),
        helper(HelperKind.INTERPRETER, span(30, 240), key=2, languages=("es",)),
        helper(HelperKind.ESCORT, span(0, 200), key=3),
    ]
    return department(*rooms, people=people, cleaning=draw(st.sampled_from([0, 5]))), asks, helpers


def test_a_whole_place_that_is_met_only_in_steps_over_kept_time_comes_first_all_the_same() -> None:
    """Kept until 8:20, beginnings are tried at 8:20 and 8:35, from 8:00 at 8:30: then alone a porter is free twice."""
    kept = Kept(span(0, 20), frozenset({"stat"}))
    porter = helper(HelperKind.PORTER, span(20, 30), span(35, 45), span(120, 240))
    search = Search(
        department(room(1, kept=(kept,))), [ask(minutes=5, travel=timedelta(minutes=5))], [porter]
    )
    offers = found(search, count=3)
    assert [(minute(o.start), lacks(o)) for o in offers[:1]] == [(30, [])]
    assert [minute(o.start) for o in offers[1:3]] == sorted(minute(o.start) for o in offers[1:3])
    assert all(minute(o.start) >= 120 for o in offers[1:3])
    assert all(minute(o.start) < 30 and o.lacks for o in offers[3:])


@given(departments())
def test_whatever_is_offered_can_be_held_just_so(told: tuple[Department, list[Ask], list[Helper]]) -> None:
    """Every offer is a plan: each exam once, in turn, in a room that can do it; and `exactly` finds the same."""
    of, asks, helpers = told
    search = Search(of, asks, helpers)
    rooms = {r.room_id: r for r in of.rooms}
    offers = found(search, count=6)
    whole = list(takewhile(lambda o: o.start >= offers[0].start, offers))
    sooner = offers[len(whole) :]
    assert whole == sorted(whole, key=lambda o: o.start)
    assert sooner == sorted(sooner, key=lambda o: o.start)
    for offer in sooner:
        assert offer.start < offers[0].start
        assert search._rank(offer) > search._rank(offers[0]), "sooner, but not better"
    for offer in offers:
        assert sorted(p.ask.key for p in offer.parts) == [a.key for a in asks]
        done: set[str] = set()
        for part in offer.parts:
            busy = rooms[part.place.room_id].busy[part.place.seat]
            assert part.ask.need.suits(rooms[part.place.room_id])
            assert all(b.end <= part.place.start or part.place.end <= b.start for b in busy)
            assert {a.code for a in asks} & part.ask.after <= done
            done.add(part.ask.code)
        for first, then in pairwise(offer.parts):
            assert first.place.end <= then.here_at
        for one in offer.along:
            assert one.helper.free.covers(*one.span)
        by_key = {p.ask.key: p.place for p in offer.parts}
        again = search.exactly([by_key[a.key] for a in asks])
        assert isinstance(again, Offer)
        assert shown(again) == shown(offer)
        assert [lack.what for lack in again.lacks] == [lack.what for lack in offer.lacks]


@given(departments(), st.integers(1, 4), st.booleans())
def test_the_first_few_places_of_one_exam_are_the_best_of_all_of_their_day(
    told: tuple[Department, list[Ask], list[Helper]], few: int, give_up: bool
) -> None:
    """As many as are wanted are looked for, and those are what looking through the whole day finds."""
    of, asks, helpers = told
    search = Search(of, asks[:1], helpers)
    day = {"since": at(0), "until": at(DAY_MINUTES), "give_up": give_up}
    every = sorted(search._of_day(**day, enough=None), key=search._rank)[:few]
    offers = search._gathered(at(0), at(DAY_MINUTES - 8 * 60), count=few, spread=False, give_up=give_up)
    assert offers == sorted(every, key=lambda o: (o.start, search._rank(o)))


def test_once_enough_places_are_as_good_as_can_be_no_more_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = Search(department(room(1), room(2)), [ask()], [])
    made = []
    monkeypatch.setattr(search, "_offer", lambda parts: made.append(Search._offer(search, parts)) or made[-1])
    offers = search.offers(since=at(0), until=at(DAY_MINUTES), count=3, sooner=False)
    assert [(minute(o.start), o.parts[0].place.room_id) for o in offers] == [(0, 1), (0, 2), (15, 1)]
    assert len(made) == 5, "and of those that begin together all"


def test_what_is_left_of_a_kept_stretch_shrinks_as_its_hours_near() -> None:
    kept = Kept(span(60, 120), frozenset({"stat"}), timedelta(minutes=30))
    for now, left in ((0, (60, 120)), (40, (70, 120)), (90, (120, 120)), (500, (120, 120))):
        found_left = kept.left(at(now))
        assert (minute(found_left.start), minute(found_left.end)) == left


def test_rooms_that_are_better_left_to_others_come_last_of_a_day_unless_somebody_is_in_a_hurry() -> None:
    trauma = room(1, emergency=True, open=(span(0, 240),))
    general = room(2, open=(span(120, 240),))
    of = department(trauma, general)
    assert shown(found(Search(of, [ask()]))[0]) == [("A1", 2, 120)]
    assert shown(found(Search(of, [ask(prompt=True)]))[0]) == [("A1", 1, 0)]


def test_a_porter_is_found_for_whichever_exam_of_a_visit_needs_one() -> None:
    porter = helper(HelperKind.PORTER, span(0, 240))
    two = [ask("A"), ask("B", travel=timedelta(minutes=5))]
    offer = found(Search(department(room()), two, [porter]), since=30)[0]
    assert [one.going for one in offer.along] == [Going.FETCH, Going.RETURN]
