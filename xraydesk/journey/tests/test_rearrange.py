"""A STAT is let in, others give way: shown first, then done all at once or not at all, and undone as a whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.contact.models import Notice
from xraydesk.contact.states import NoticeState
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.journey.book import ask_for_place, move_exam
from xraydesk.journey.errors import BoardChanged, WrongState
from xraydesk.journey.planned_day import Event, day_of
from xraydesk.journey.propose import Proposal, Proposed, propose_after, propose_for, propose_place
from xraydesk.journey.rearrange import WantedMove, accept, undo
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import PlannedClosure, Room, Ward
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob

pytestmark = pytest.mark.django_db
MIN = timedelta(minutes=1)


@pytest.fixture
def site() -> Site:
    return make_site()


def full_morning(site: Site) -> list[Exam]:
    """Both rooms booked without a gap for two hours: ten minutes each, outpatients."""
    found = []
    for room in ("XR1", "XR2"):
        for number in range(12):
            exam = make_exam(site)
            make_booking(exam, room=room, start=AT + number * 10 * MIN)
            found.append(exam)
    return found


def stat(site: Site, **fields: Any) -> Exam:
    exam = make_exam(site, priority="stat", due_at=AT + 60 * MIN, **fields)
    exam.order.patient_class = "E"
    exam.order.save()
    return exam


def moves_of(proposal: Proposal) -> list[WantedMove]:
    return [WantedMove(s.accession, s.booking_id, s.move.after) for s in proposal.steps]


def done(site: Site, proposed: Proposed, number: int = 0, at: datetime = AT, **changes: Any) -> Rearrangement:
    proposal = proposed.proposals[number]
    arguments: dict[str, Any] = {
        "moves": moves_of(proposal),
        "asked": "a STAT",
        "why": proposal.told.sentences,
        "start": proposed.day.start,
        "wanted": proposed.wanted,
        "event": proposed.event,
        "at": at,
        "by": "ada",
    }
    return accept(site=site, **(arguments | changes))


def begin(exam: Exam) -> None:
    """The exam is on the table in XR1 since five minutes."""
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(site=exam.site, code="XR1"),
        state="IN PROGRESS",
        by="modality:XR1",
        started_at=AT - 5 * MIN,
    )
    StepExam.objects.create(step=step, exam=exam)


def places(exams: list[Exam]) -> dict[str, tuple[str, datetime] | None]:
    return {e.accession: (b.room.code, b.during.lower) if (b := live_booking(e.pk)) else None for e in exams}


def test_a_stat_into_a_full_morning_moves_few_and_says_who_and_why(site: Site) -> None:
    full_morning(site)
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    best = proposed.proposals[0]
    first = best.steps[0]
    assert first.accession == exam.accession
    assert first.start is not None
    assert first.start < AT + 60 * MIN
    others = best.steps[1:]
    assert others
    assert all(s.booking_id and s.was_start and s.minutes > 0 for s in others if not s.stays)
    assert best.told.headline.startswith(f"{first.room} at ")
    assert "move" in best.told.headline
    assert any("Without anybody moving" in s for s in best.told.sentences)
    assert len(proposed.proposals) > 1
    assert [p.cost for p in proposed.proposals] == sorted(p.cost for p in proposed.proposals)
    assert Rearrangement.objects.count() == 0, "nothing is written by asking"


def test_accepting_changes_all_of_it_at_once(site: Site) -> None:
    booked = full_morning(site)
    exam = stat(site)
    ask_for_place(exam, why="No place", at=AT)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    steps = proposed.proposals[0].steps
    kept = done(site, proposed)
    for step in steps:
        booking = live_booking(Exam.objects.get(accession=step.accession).pk)
        assert booking is not None
        assert (booking.room.code, booking.during.lower) == (step.room, step.start)
    assert live_booking(exam.pk).time_was_given, "a person agreed to it"  # type: ignore[union-attr]
    untouched = {e.accession for e in booked} - {s.accession for s in steps}
    assert all(live_booking(e.pk).booked_by == "rule" for e in booked if e.accession in untouched)  # type: ignore[union-attr]
    told = Fact.objects.filter(accession__in=[s.accession for s in steps], data__rearrangement=kept.pk)
    assert {f.kind for f in told} == {"booked", "moved"}
    assert told.count() == len(steps)
    moved = [s for s in steps[1:] if s.minutes]
    notices = Notice.objects.filter(state=NoticeState.WAITING)
    assert {n.exam.accession for n in notices} == {s.accession for s in moved}
    assert all(n.due_at == AT + timedelta(seconds=60) for n in notices)
    assert all("new time" in n.text for n in notices)
    assert not Item.objects.filter(accession=exam.accession, closed_at=None, kind="no place").exists()


def test_undoing_puts_everything_back_and_nobody_is_told(site: Site) -> None:
    booked = full_morning(site)
    before = places(booked)
    exam = stat(site)
    kept = done(site, propose_for(site=site, accession=exam.accession, at=AT))
    assert places(booked) != before
    undone = undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="ada")
    assert undone.undone_by == "ada"
    assert places(booked) == before
    assert live_booking(exam.pk) is None
    exam.refresh_from_db()
    assert "taken back" in exam.booking_blocked
    assert not Notice.objects.filter(state=NoticeState.WAITING).exists()
    with pytest.raises(WrongState, match=r"moved since|undone already"):
        undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="bob")


def test_who_was_told_already_is_told_again_when_it_is_undone(site: Site) -> None:
    full_morning(site)
    exam = stat(site)
    kept = done(site, propose_for(site=site, accession=exam.accession, at=AT))
    said = set(Notice.objects.values_list("exam__accession", flat=True))
    Notice.objects.update(state=NoticeState.SAID, ended_at=AT + MIN, ended_by="phone")
    undo(site=site, rearrangement_id=kept.pk, at=AT + 2 * MIN, by="ada")
    again = Notice.objects.filter(state=NoticeState.WAITING)
    assert {n.exam.accession for n in again} == said


def test_undo_ends_where_something_has_begun_or_moved(site: Site) -> None:
    full_morning(site)
    exam = stat(site)
    kept = done(site, propose_for(site=site, accession=exam.accession, at=AT))
    other = Exam.objects.get(accession=kept.moves[1]["accession"])
    begin(other)
    with pytest.raises(WrongState, match=f"{other.accession} has begun"):
        undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="ada")
    StepExam.objects.all().delete()
    Booking.objects.filter(exam=exam).update(state="released")
    with pytest.raises(WrongState, match=f"{exam.accession} was moved since"):
        undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="ada")


def test_a_board_that_changed_meanwhile_is_never_half_applied(site: Site) -> None:
    booked = full_morning(site)
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    other = next(s for s in proposed.proposals[0].steps[1:])
    moved = Exam.objects.get(accession=other.accession)
    late = AT + 300 * MIN
    move_exam(
        exam_id=moved.pk,
        place=replace(proposed.day.place(other.move.after), start=late, end=late + 10 * MIN),  # type: ignore[arg-type]
        at=AT,
        by="bob",
    )
    before = places([*booked, exam])
    with pytest.raises(BoardChanged, match=f"moved exam {moved.accession} meanwhile"):
        done(site, proposed)
    assert places([*booked, exam]) == before
    assert Rearrangement.objects.count() == 0


def test_somebody_in_the_place_meanwhile_is_told(site: Site) -> None:
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    step = proposed.proposals[0].steps[0]
    assert step.start is not None
    make_booking(make_exam(site), room=step.room, start=step.start)
    with pytest.raises(BoardChanged, match=r"The board has changed: Exams .* both have room"):
        done(site, proposed)


def test_a_proposal_may_be_read_for_some_minutes(site: Site) -> None:
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    done(site, proposed, at=AT + 3 * MIN)
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.during.lower == AT
    other = stat(site)
    proposed = propose_for(site=site, accession=other.accession, at=AT)
    with pytest.raises(BoardChanged, match="has passed"):
        done(site, proposed, at=AT + 20 * MIN)


def test_what_nobody_proposed_is_refused(site: Site) -> None:
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    with pytest.raises(BoardChanged, match="Nothing that could be done"):
        done(site, proposed, moves=[])
    stranger = make_exam(make_site("U"))
    with pytest.raises(BoardChanged, match="not here any more"):
        done(site, proposed, moves=[WantedMove(stranger.accession, None, None)])


def test_what_is_under_way_and_what_is_held_keeps_its_place(site: Site) -> None:
    begun, held = make_exam(site), make_exam(site, triage="held")
    make_booking(begun, room="XR1", start=AT - 5 * MIN)
    make_booking(held, room="XR2", start=AT)
    begin(begun)
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    assert {s.accession for p in proposed.proposals for s in p.steps} == {exam.accession}
    first = proposed.proposals[0].steps[0]
    assert first.start == AT + 5 * MIN, "the exam on the table is over then, or is taken to be"


def test_a_room_that_goes_down_gives_one_repair_for_all(site: Site) -> None:
    booked = full_morning(site)
    at = AT - 30 * MIN
    event = Event(room_down=("XR1", AT + 60 * MIN))
    proposed = propose_after(site=site, event=event, at=at)
    best = proposed.proposals[0]
    inside = {e.accession for e in booked[:6]}
    assert inside <= {s.accession for s in best.steps}
    assert not [s for s in best.steps if s.room == "XR1" and s.start and s.start < AT + 60 * MIN]
    done(site, proposed, at=at, asked="XR1 is down")
    assert not Booking.objects.filter(
        room__code="XR1", state="booked", during__startswith__lt=AT + 60 * MIN
    ).exists()


def test_a_technologist_who_goes_home_is_replaced(site: Site) -> None:
    exam = make_exam(site)
    make_booking(exam, room="XR1", start=AT + 30 * MIN)
    proposed = propose_after(site=site, event=Event(gone="T1"), at=AT)
    (step,) = proposed.proposals[0].steps
    assert (step.accession, step.technologist) == (exam.accession, "Technologist 2")
    assert step.stays, "same room, same time"


def test_a_patient_who_needs_longer_pushes_the_next(site: Site) -> None:
    begun, following = make_exam(site), make_exam(site)
    make_booking(begun, room="XR1", start=AT - 5 * MIN)
    make_booking(following, room="XR1", start=AT + 5 * MIN)
    begin(begun)
    proposed = propose_after(site=site, event=Event(longer=(begun.accession, 25)), at=AT)
    (moved,) = proposed.proposals[0].steps
    assert moved.accession == following.accession
    assert moved.room == "XR2" or (moved.start and moved.start >= AT + 25 * MIN)


def test_an_inpatient_is_booked_with_a_porter_who_is_free(site: Site) -> None:
    Ward.objects.create(site=site, code="W1", name="Ward 1", travel_minutes=10)
    hours = {day: [["00:00", "00:00"]] for day in ("mon", "tue")}
    Porter.objects.create(site=site, code="P1", name="Pat", shifts=hours)
    site.plan = {}
    exam = make_exam(site, priority="stat", due_at=AT + 60 * MIN)
    exam.order.patient_class, exam.order.ward = "I", "W1"
    exam.order.save()
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    step = proposed.proposals[0].steps[0]
    assert step.move.after is not None
    assert step.move.after.fetch is not None
    assert step.move.after.fetch.porter == "P1"
    done(site, proposed)
    assert TransportJob.objects.filter(exam=exam, kind="fetch").exists()


def test_a_place_by_hand_shows_who_gives_way(site: Site) -> None:
    booked = full_morning(site)
    exam = stat(site)
    proposed = propose_place(site=site, accession=exam.accession, room="XR1", start=AT + 20 * MIN, at=AT)
    (proposal,) = proposed.proposals
    assert (proposal.steps[0].room, proposal.steps[0].start) == ("XR1", AT + 20 * MIN)
    assert booked[2].accession in {s.accession for s in proposal.steps}
    assert propose_place(site=site, accession=exam.accession, room="NOWHERE", start=AT, at=AT).proposals == ()


def test_another_sites_day_is_not_seen(site: Site) -> None:
    other = make_site("U")
    make_booking(make_exam(other), room="XR1", start=AT)
    assert day_of(site=site, at=AT).told.problem.exams == ()
    patient = make_patient(site)
    exam = make_exam(site, patient=patient)
    make_booking(exam, room="XR2", start=AT)
    assert [e.id for e in day_of(site=site, at=AT).told.problem.exams] == [exam.accession]


def test_an_outpatient_gets_no_proposal_in_time_kept_for_stats_until_it_is_released(site: Site) -> None:
    """XR1 is kept from 10:00 to noon; a place there is anybody's half an hour before. XR2 is booked until noon."""
    every = {day: [["10:00", "12:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    Room.objects.filter(code="XR1").update(kept=[{"whom": ["stat"], "hours": every, "release_minutes": 30}])
    for number in range(12):
        make_booking(make_exam(site), room="XR2", start=AT + number * 10 * MIN)
    wish = make_exam(site, requested_at=AT + 60 * MIN)
    best = propose_for(site=site, accession=wish.accession, at=AT).proposals[0]
    assert "XR1 at 11:00 is kept for STATs until 10:30." in best.told.sentences
    first = best.steps[0]
    assert first.start is not None
    assert first.room == "XR2" or first.start >= AT + 120 * MIN
    exam = stat(site)
    (own, *_) = propose_for(site=site, accession=exam.accession, at=AT).proposals[0].steps
    assert (own.room, own.start) == ("XR1", AT)
    released = propose_for(site=site, accession=wish.accession, at=AT + 30 * MIN).proposals[0].steps[0]
    assert (released.room, released.start) == ("XR1", AT + 60 * MIN)


def test_a_proposal_in_kept_time_is_accepted_as_any_other(site: Site) -> None:
    every = {day: [["00:00", "00:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    Room.objects.update(kept=[{"whom": ["stat"], "hours": every, "release_minutes": 0}])
    full_morning(site)
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    done(site, proposed, at=AT + 2 * MIN)
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.room.code == proposed.proposals[0].steps[0].room


def test_a_room_that_is_closed_by_plan_is_proposed_to_nobody(site: Site) -> None:
    for room in Room.objects.filter(site=site):
        PlannedClosure.objects.create(
            site=site,
            room=room,
            during=DateTimeTZRange(AT + 10 * MIN, AT + 100 * MIN),
            reason="service",
            at=AT,
            by="ada",
        )
    for exam in (stat(site), make_exam(site, requested_at=AT + 30 * MIN)):
        for proposal in propose_for(site=site, accession=exam.accession, at=AT).proposals:
            for step in proposal.steps:
                assert step.start is not None
                assert step.end is not None
                assert step.end <= AT + 10 * MIN or step.start >= AT + 100 * MIN
