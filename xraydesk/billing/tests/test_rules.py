"""What an exam is charged for, and what holds it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from xraydesk.billing.rules import (
    Decision,
    Done,
    DoneView,
    Line,
    Offer,
    Reason,
    Standing,
    Step,
    Why,
    decide,
    step_for,
)
from xraydesk.billing.states import LIVE, TRANSITIONS, ChargeAction, ChargeState
from xraydesk.imaging.states import StepState

CHEST2 = Offer("XRCHEST2", "Chest 2 views", "RXCHEST2", "CHEST", ("PA", "LL"))
CHEST1 = Offer("XRCHEST1", "Chest 1 view", "RXCHEST1", "CHEST", ("PA",))
CHESTP = Offer("XRCHESTP", "Chest, portable", "RXCHESTP", "CHEST", ("AP",), portable=True)
KNEE = Offer("XRKNEE2", "Knee 2 views", "RXKNEE2", "KNEE", ("AP", "LAT"), ("L", "R", "B"))
BAGE = Offer("XRBAGE", "Bone age", "RXBAGE", "HAND", ("PA",), ("L",))


def done(offer: Offer | None = CHEST2, *views: str, **fields: Any) -> Done:
    """An exam done: each view `PA` or `AP:L`."""
    made = tuple(DoneView(*view.split(":")) for view in views or ("PA", "LL"))
    defaults: dict[str, Any] = {
        "others": (CHEST1, CHESTP),
        "side": "",
        "step": StepState.COMPLETED,
        "read": True,
    }
    return Done(offer=offer, views=made, **(defaults | fields))


def held(one: Done) -> list[Why]:
    return [reason.key for reason in decide(one).reasons]


def charged(one: Done) -> Line:
    decision = decide(one)
    assert decision.reasons == ()
    assert decision.line is not None
    return decision.line


def test_what_was_done_as_ordered_is_charged() -> None:
    assert charged(done()) == Line("RXCHEST2", "Chest 2 views", (), ("PA", "LL"))


@pytest.mark.parametrize(
    ("side", "views", "modifiers"),
    [
        ("L", ("AP:L", "LAT:L"), ("LT",)),
        ("R", ("AP", "LAT"), ("RT",)),
        ("B", ("AP:L", "LAT:L", "AP:R", "LAT:R"), ("50",)),
        ("B", ("AP:B", "LAT:B", "SKYLINE:B", "TUNNEL:B"), ("50",)),
    ],
)
def test_the_side_is_a_modifier(side: str, views: tuple[str, ...], modifiers: tuple[str, ...]) -> None:
    assert charged(done(KNEE, *views, side=side, others=())).modifiers == modifiers


def test_a_procedure_without_sides_has_no_modifier_for_one() -> None:
    assert charged(done(side="L")).modifiers == ()
    assert charged(done(BAGE, "PA:L", side="L", others=())).modifiers == ("LT",)


@pytest.mark.parametrize(
    ("side", "views", "why", "word"),
    [
        ("L", ("AP:R", "LAT:R"), Why.SIDE_DIFFERS, "left, the images show right"),
        ("L", ("AP:L", "LAT:R"), Why.SIDE_DIFFERS, "the images show both sides"),
        ("B", ("AP:L", "LAT:L", "OBL:L", "SKY:L"), Why.SIDE_DIFFERS, "both sides, the images show left"),
        ("", ("AP:L", "LAT:L"), Why.SIDE_MISSING, "names no side; the images show left"),
        ("", ("AP", "LAT"), Why.SIDE_MISSING, "names no side: correct"),
    ],
)
def test_sides_that_differ_hold_the_charge(side: str, views: tuple[str, ...], why: Why, word: str) -> None:
    (reason,) = decide(done(KNEE, *views, side=side, others=())).reasons
    assert reason.key is why
    assert word in reason.sentence
    assert reason.is_discrepancy


def test_another_number_of_views_is_charged_as_the_site_names_it() -> None:
    assert charged(done(CHEST2, "PA")).code == "RXCHEST1"
    assert charged(done(CHEST1, "PA", "LL", others=(CHEST2, CHESTP))).code == "RXCHEST2"


def test_where_the_site_names_none_or_several_such_a_person_decides() -> None:
    (reason,) = decide(done(CHEST2, "PA", others=())).reasons
    assert (reason.key, "1 of 2 views" in reason.sentence) == (Why.VIEWS_DIFFER, True)
    other = replace(CHEST1, code="X", charge_code="RX2")
    assert held(done(CHEST2, "PA", others=(CHEST1, other))) == [Why.VIEWS_DIFFER]
    assert held(done(CHEST2, "PA", others=(replace(CHEST1, charge_code=""),))) == [Why.VIEWS_DIFFER]
    assert held(done(replace(CHEST2, body_part=""), "PA", others=(replace(CHEST1, body_part=""),))) == [
        Why.VIEWS_DIFFER
    ]
    assert held(done(CHEST2, "PA", others=(replace(CHEST1, body_part="HAND"),))) == [Why.VIEWS_DIFFER]
    assert held(done(CHEST2, "PA", "LL", "AP", others=(CHEST1,))) == [Why.VIEWS_DIFFER]


def test_a_procedure_that_names_no_views_takes_any() -> None:
    assert charged(done(replace(CHEST2, views=()), "A", "B", "C")).code == "RXCHEST2"


def test_done_with_a_portable_unit_is_charged_as_such() -> None:
    assert charged(done(CHEST1, "AP", portable_room=True, others=(CHEST2, CHESTP))).code == "RXCHESTP"
    assert charged(done(CHESTP, "AP", portable_room=True)).code == "RXCHESTP"
    assert held(done(CHEST1, "AP", portable_room=True, others=(CHEST2,))) == [Why.PORTABLE]
    assert held(done(CHEST2, "AP", portable_room=True, others=())) == [Why.PORTABLE, Why.VIEWS_DIFFER]
    no_images = Done(CHEST1, (CHESTP,), "", StepState.COMPLETED, portable_room=True, read=True)
    assert [reason.key for reason in decide(no_images).reasons] == [Why.NO_IMAGES]


def test_repeats_are_counted_and_not_charged_and_views_without_a_name_are_no_repeats() -> None:
    line = charged(done(CHEST2, "PA", "PA", "LL"))
    assert (line.views, line.repeated) == (("PA", "LL"), 1)
    assert charged(done(CHEST2, "", "")).views == ("view", "view")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"read": False}, [Why.NO_REPORT]),
        ({"has_order": False}, [Why.NO_ORDER]),
        ({"read": False, "needs_report": False}, []),
        ({"undecided_images": 1}, [Why.UNDECIDED]),
        ({"undecided_images": 2}, [Why.UNDECIDED]),
    ],
)
def test_what_is_missing_holds_it(fields: dict[str, Any], why: list[Why]) -> None:
    assert held(done(**fields)) == why


def test_images_that_a_machine_tells_of_and_that_never_came_count_and_hold_it() -> None:
    (reason,) = decide(done(CHEST2, "PA", missing_images=1, others=())).reasons
    assert (reason.key, reason.is_discrepancy) == (Why.MISSING, True)
    assert "1 image has not come" in reason.sentence
    none_came = decide(replace(done(), views=(), missing_images=2))
    assert [r.key for r in none_came.reasons] == [Why.MISSING]
    assert "2 images have" in none_came.reasons[0].sentence
    assert none_came.line is not None
    assert (none_came.line.code, none_came.line.views) == ("RXCHEST2", ("view", "view"))
    broken_off = replace(done(), views=(), missing_images=1, step=StepState.DISCONTINUED)
    assert decide(broken_off).line is not None
    assert held(done(undecided_images=1, missing_images=1, others=())) == [Why.UNDECIDED, Why.VIEWS_DIFFER]


def test_an_exam_without_images_or_code_or_procedure_is_held() -> None:
    empty = replace(done(), views=())
    assert held(empty) == [Why.NO_IMAGES]
    assert held(done(replace(CHEST2, charge_code=""))) == [Why.NO_CODE]
    assert held(done(None)) == [Why.UNKNOWN]
    assert not Reason(Why.NO_REPORT, "").is_discrepancy
    assert not Reason(Why.NO_ORDER, "").is_discrepancy


@pytest.mark.parametrize(
    "fields",
    [
        {"step": None},
        {"step": StepState.IN_PROGRESS},
        {"step": StepState.DISCONTINUED, "views": ()},
        {"cancelled": True, "views": ()},
    ],
)
def test_what_was_not_done_is_not_charged(fields: dict[str, Any]) -> None:
    assert decide(replace(done(), **fields)).line is None


def test_a_broken_off_exam_with_images_is_charged_for_what_was_done() -> None:
    assert charged(done(CHEST2, "PA", step=StepState.DISCONTINUED)).code == "RXCHEST1"
    waiting = replace(done(), step=StepState.DISCONTINUED, views=(), undecided_images=1)
    assert held(waiting) == [Why.UNDECIDED]
    assert charged(done(cancelled=True)).code == "RXCHEST2"


def test_what_was_taken_back_is_held_as_long_as_it_is_the_same() -> None:
    line = charged(done())
    assert held(replace(done(), taken_back=line)) == [Why.TAKEN_BACK]
    assert not decide(replace(done(), taken_back=line)).reasons[0].is_discrepancy
    assert charged(replace(done(), taken_back=replace(line, views=("PA",)))) == line


LINE, OTHER = Line("A", "a"), Line("B", "b")
WHY = (Reason(Why.NO_REPORT, "x"),)


@pytest.mark.parametrize(
    ("decision", "standing", "step"),
    [
        (Decision(None), None, Step.KEEP),
        (Decision(None), Standing(ChargeState.ACCEPTED, LINE), Step.CREDIT),
        (Decision(LINE), None, Step.CREATE),
        (Decision(LINE, WHY), Standing(ChargeState.HELD, LINE, WHY), Step.KEEP),
        (Decision(OTHER, WHY), Standing(ChargeState.HELD, LINE, WHY), Step.HOLD),
        (Decision(LINE), Standing(ChargeState.HELD, LINE, WHY), Step.RELEASE),
        (Decision(LINE), Standing(ChargeState.READY, LINE), Step.KEEP),
        (Decision(OTHER), Standing(ChargeState.READY, LINE), Step.REPLACE),
        (Decision(LINE, WHY), Standing(ChargeState.ACCEPTED, LINE), Step.REPLACE),
        (Decision(LINE, WHY), Standing(ChargeState.READY, LINE, overridden=True), Step.KEEP),
        (Decision(OTHER, WHY), Standing(ChargeState.READY, LINE, overridden=True), Step.REPLACE),
    ],
)
def test_what_went_out_is_never_changed(decision: Decision, standing: Standing | None, step: Step) -> None:
    assert step_for(decision, standing) is step


def test_every_pair_of_state_and_action() -> None:
    legal = {
        (ChargeState.HELD, ChargeAction.HOLD),
        (ChargeState.HELD, ChargeAction.RELEASE),
        (ChargeState.HELD, ChargeAction.CREDIT),
        (ChargeState.READY, ChargeAction.HOLD),
        (ChargeState.READY, ChargeAction.ACCEPT),
        (ChargeState.READY, ChargeAction.CREDIT),
        (ChargeState.ACCEPTED, ChargeAction.ACCEPT),
        (ChargeState.ACCEPTED, ChargeAction.CREDIT),
    }
    assert {pair for pair in itertools.product(ChargeState, ChargeAction) if pair in TRANSITIONS} == legal
    assert ChargeState.CREDITED not in LIVE
