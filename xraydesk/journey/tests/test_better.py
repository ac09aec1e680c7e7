"""A better answer than the first: found, proposed before it while it holds, accepted like any other, and forgotten once it does not."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.cache import cache

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.journey import better
from xraydesk.journey.better import look_further, propose_after_with_better, propose_with_better
from xraydesk.journey.book import cancel_booking
from xraydesk.journey.planned_day import Event
from xraydesk.journey.propose import propose_after, propose_for
from xraydesk.journey.tests.test_rearrange import MIN, done, stat
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.scheduling import refining
from xraydesk.scheduling.models import Rearrangement
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered of the test before, and a busy machine finds what an idle one does."""
    cache.clear()
    monkeypatch.setattr(refining, "SECONDS", 2.0)
    monkeypatch.setattr(refining, "PROCESS_SECONDS_MAX", 90.0)


def tight(start: datetime = AT) -> tuple[Site, list[Exam], Exam]:
    """One room: five long exams one after the other, ten minutes, then somebody who cannot move, and a STAT.

    The five could each be ten minutes later; the first search moves fewer, and by hours.
    """
    site = make_site(rooms=1)
    chain = []
    for number in range(5):
        exam = make_exam(site)
        make_booking(exam, start=start + number * 30 * MIN, minutes=30)
        chain.append(exam)
    make_booking(make_exam(site, triage=TriageState.HELD), start=start + 160 * MIN, minutes=400)
    exam = stat(site)
    exam.due_at = start + 60 * MIN
    exam.save()
    return site, chain, exam


@pytest.mark.link
def test_what_is_found_is_proposed_first_and_accepted_like_any_other() -> None:
    site, chain, exam = tight()
    first = propose_with_better(site=site, accession=exam.accession, at=AT)
    assert first.look_further
    assert not any(p.better for p in first.proposals)
    assert [p.cost for p in first.proposals] == [
        p.cost for p in propose_for(site=site, accession=exam.accession, at=AT).proposals
    ]
    assert look_further(site=site, accession=exam.accession, at=AT)
    assert Rearrangement.objects.count() == 0, "looking writes nothing"
    again = propose_with_better(site=site, accession=exam.accession, at=AT)
    assert not again.look_further
    assert [p.better for p in again.proposals] == [True] + [False] * (len(again.proposals) - 1)
    assert again.proposals[0].cost < again.proposals[1].cost
    assert again.proposals[0].told.headline
    kept = done(site, again, at=AT + 4 * MIN)
    assert kept.by == "ada"
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.during.lower <= AT + 60 * MIN
    moved = [live_booking(e.pk) for e in chain]
    assert all(b is not None and b.during.lower <= AT + 160 * MIN for b in moved)


@pytest.mark.link
def test_it_is_forgotten_once_the_board_has_changed_or_its_time_has_passed() -> None:
    site, chain, exam = tight()
    assert look_further(site=site, accession=exam.accession, at=AT)
    much_later = propose_with_better(site=site, accession=exam.accession, at=AT + 15 * MIN)
    assert not any(p.better for p in much_later.proposals)
    assert much_later.look_further
    cancel_booking(exam_id=chain[-1].pk, at=AT, by="bob", why="called")
    changed = propose_with_better(site=site, accession=exam.accession, at=AT)
    assert not any(p.better for p in changed.proposals)


@pytest.mark.link
def test_where_nothing_better_was_found_nobody_looks_again_for_the_same_answer() -> None:
    site = make_site(rooms=1)
    exam = stat(site)
    assert propose_with_better(site=site, accession=exam.accession, at=AT).look_further
    assert not look_further(site=site, accession=exam.accession, at=AT)
    known = propose_with_better(site=site, accession=exam.accession, at=AT)
    assert not known.look_further
    assert len(known.proposals) == 1
    make_booking(make_exam(site), start=AT, minutes=20)
    assert propose_with_better(site=site, accession=exam.accession, at=AT).look_further, "another answer"


@pytest.mark.link
def test_what_one_may_touch_is_remembered_apart() -> None:
    site, _, exam = tight()
    location = site.locations.get()
    assert look_further(site=site, accession=exam.accession, at=AT)
    limited = propose_with_better(site=site, accession=exam.accession, at=AT, locations={location.pk})
    assert not any(p.better for p in limited.proposals)


def test_nothing_is_looked_for_where_there_is_no_answer_at_all_or_another_search_runs() -> None:
    site, _, exam = tight()
    with refining._turn:
        assert not look_further(site=site, accession=exam.accession, at=AT)
    assert propose_with_better(site=site, accession=exam.accession, at=AT).look_further, "asked again later"
    exam.procedure.room_kinds = ["angiography"]
    exam.procedure.save()
    assert not look_further(site=site, accession=exam.accession, at=AT)
    assert propose_with_better(site=site, accession=exam.accession, at=AT).proposals == ()


@pytest.mark.link
def test_more_moves_than_anybody_would_read_are_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    site, _, exam = tight()
    monkeypatch.setattr(better, "MOVES_MAX", 2)
    assert not look_further(site=site, accession=exam.accession, at=AT)


@pytest.mark.link
def test_nobody_is_written_down_who_stands_where_they_stood() -> None:
    """Who is moved from one porter to another is judged, and no move to the EHR."""
    site, _, exam = tight()
    assert look_further(site=site, accession=exam.accession, at=AT)
    kept = done(site, propose_with_better(site=site, accession=exam.accession, at=AT))
    for move in kept.moves:
        before, after = move["before"], move["after"]
        assert before is None or (before["room"], before["start"]) != (after["room"], after["start"])


def down(start: datetime = AT) -> tuple[Site, list[Exam], Event]:
    """Two rooms: XR2 has what `tight` has, a STAT stands in XR1, and XR1 goes down."""
    site = make_site()
    chain = []
    for number in range(5):
        exam = make_exam(site)
        make_booking(exam, room="XR2", start=start + number * 30 * MIN, minutes=30)
        chain.append(exam)
    make_booking(make_exam(site, triage=TriageState.HELD), room="XR2", start=start + 160 * MIN, minutes=400)
    lost = stat(site)
    lost.due_at = start + 20 * MIN
    lost.save()
    make_booking(lost, room="XR1", start=start + 10 * MIN)
    return site, [*chain, lost], Event(room_down=("XR1", None))


@pytest.mark.link
def test_after_something_happened_a_longer_search_betters_the_first_proposal_too() -> None:
    site, exams, event = down()
    first = propose_after_with_better(site=site, event=event, at=AT)
    assert first.look_further
    assert first.event == event
    assert [p.cost for p in first.proposals] == [
        p.cost for p in propose_after(site=site, event=event, at=AT).proposals
    ]
    assert look_further(site=site, event=event, at=AT)
    other = propose_after_with_better(site=site, event=Event(gone="T1"), at=AT)
    assert not any(p.better for p in other.proposals), (
        "what was found for one thing is not proposed for another"
    )
    again = propose_after_with_better(site=site, event=event, at=AT)
    assert not again.look_further
    assert [p.better for p in again.proposals] == [True] + [False] * (len(again.proposals) - 1)
    assert again.proposals[0].cost < first.proposals[0].cost
    done(site, again, at=AT + 2 * MIN)
    where = {e.accession: live_booking(e.pk) for e in exams}
    assert all(b is not None and b.room.code == "XR2" for b in where.values())


def test_where_nothing_has_to_move_no_longer_search_is_made() -> None:
    site = make_site()
    assert not look_further(site=site, event=Event(room_down=("XR1", None)), at=AT)
    assert propose_after_with_better(site=site, event=Event(room_down=("XR1", None)), at=AT).proposals == ()
