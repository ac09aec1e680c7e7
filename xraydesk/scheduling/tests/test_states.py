"""A booking goes only the ways its table says."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.scheduling import actions
from xraydesk.scheduling.models import Booking, Hold
from xraydesk.scheduling.states import LIVE, OCCUPYING, TRANSITIONS, BookingAction, BookingState


def test_what_occupies_a_place_is_the_exams_present_booking() -> None:
    assert set(OCCUPYING) - set(LIVE) == {BookingState.HELD}


def test_released_cancelled_and_done_are_the_end() -> None:
    for state in (BookingState.RELEASED, BookingState.CANCELLED, BookingState.DONE):
        assert not [pair for pair in TRANSITIONS if pair[0] is state]


def do(booking: Booking, action: BookingAction) -> None:
    match action:
        case BookingAction.RELEASE:
            actions.release(booking, at=AT, why="freed")
        case BookingAction.FINISH:
            actions.finish(booking, at=AT)
        case BookingAction.CANCEL:
            actions.cancel(booking, at=AT, why="called off")
        case BookingAction.MISS:
            actions.miss(booking, at=AT)
        case BookingAction.UNDO_MISS:
            actions.undo_miss(booking)
        case BookingAction.CONFIRM:
            assert booking.exam
            actions.confirm(booking, exam=booking.exam, at=AT, by="desk", why=())


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "action"), list(product(BookingState, BookingAction)))
def test_every_pair_leads_where_the_table_says_or_is_refused(
    state: BookingState, action: BookingAction
) -> None:
    exam = make_exam(make_site())
    held: dict[str, object] = {}
    if state is BookingState.HELD:
        until = AT + timedelta(minutes=10)
        hold = Hold.objects.create(site=exam.site, until=until, held_at=AT, held_by="desk", places=[])
        held = {"hold": hold, "held_until": until}
    booking = Booking.objects.get(pk=make_booking(exam, state=state, **held).pk)
    reached = TRANSITIONS.get((state, action))
    if reached is None:
        with pytest.raises(actions.NotInThatState):
            do(booking, action)
    else:
        do(booking, action)
        assert booking.state == reached
    assert Booking.objects.get(pk=booking.pk).state == (reached or state)
