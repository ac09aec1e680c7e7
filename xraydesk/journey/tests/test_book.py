"""Exams get their place, are moved and lose it, and whoever is late is told politely."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.factories import ALL_DAY, AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.journey import book
from xraydesk.journey.book import (
    book_by_policy,
    book_exam,
    cancel_booking,
    mark_no_show,
    move_exam,
    propose_earlier,
    propose_places,
    undo_no_show,
    waiting_in_order,
)
from xraydesk.journey.errors import NoPlace, PlaceTaken, PlaceUnfit, UnknownExam, WrongState
from xraydesk.journey.places import places_for
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam, Procedure
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Visit
from xraydesk.rooms.models import Room, Ward
from xraydesk.scheduling import actions
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.jsonform import to_json
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.policies import BookingWay, Policies
from xraydesk.staff.models import Technologist

pytestmark = pytest.mark.django_db
NOBODY = 10**9


@pytest.fixture
def site() -> Site:
    return make_site()


def after(minutes: int) -> Any:
    return AT + timedelta(minutes=minutes)


def place(minute: int = 0, room: str = "XR1") -> Place:
    return Place(Room.objects.get(code=room).pk, after(minute), after(minute + 10))


def kinds(exam: Exam) -> list[str]:
    return list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))


def begun(
    exam: Exam, *, room: str = "XR1", state: str = "IN PROGRESS", minutes_ago: int = 0
) -> PerformedStep:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(code=room),
        state=state,
        by=f"modality:{room}",
        started_at=after(-minutes_ago),
        ended_at=None if state == "IN PROGRESS" else AT,
    )
    StepExam.objects.create(step=step, exam=exam)
    return step


def set_policies(site: Site, **policies: Any) -> None:
    plan = SitePlan(
        code=site.code,
        name=site.name,
        timezone=site.timezone,
        assigning_authority="HOSP",
        ae_title="XRAYDESK",
        locations=(),
        rooms=(),
        modalities=(),
        procedures=(),
        policies=Policies(**policies),
    )
    site.plan = to_json(plan)
    site.save()


# Booking.


def test_an_exam_without_a_wish_gets_the_first_free_place(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="user:a")
    assert (booking.during.lower, booking.room.code, booking.time_was_given) == (AT, "XR1", False)
    assert booking.why[0] == "XR1 is free at 10:00 and Technologist 1 is there"
    fact = Fact.objects.get(accession=exam.accession)
    assert (fact.kind, fact.room, fact.patient, fact.by) == ("booked", "XR1", exam.patient_id, "user:a")
    assert fact.data == {
        "room": "XR1",
        "start": "2026-03-02T15:00:00+00:00",
        "end": "2026-03-02T15:10:00+00:00",
        "technologist": "T1",
        "why": booking.why,
        "given": False,
    }


def test_a_requested_time_is_kept_and_is_said_to_be_given(site: Site) -> None:
    exam = make_exam(site, requested_at=after(60) + timedelta(seconds=20))
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert (booking.during.lower, booking.time_was_given) == (after(60), True)


def test_a_requested_time_that_is_taken_gives_the_next_free_one_which_nobody_gave(site: Site) -> None:
    for number in (1, 2):
        make_booking(make_exam(site), room=f"XR{number}", start=after(60))
    booking = book_exam(exam_id=make_exam(site, requested_at=after(65)).pk, at=AT, by="rule")
    assert (booking.during.lower, booking.time_was_given) == (after(70), False)


def test_a_stat_of_the_emergency_department_does_not_wait_for_its_time(site: Site) -> None:
    exam = make_exam(site, priority="stat", requested_at=after(60))
    exam.order.patient_class = "E"
    exam.order.save()
    assert book_exam(exam_id=exam.pk, at=AT, by="rule").during.lower == AT


def test_two_exams_of_one_patient_follow_each_other(site: Site) -> None:
    patient = make_patient(site)
    first, second = (
        book_exam(exam_id=make_exam(site, patient=patient).pk, at=AT, by="rule") for _ in range(2)
    )
    assert second.during.lower >= first.during.upper


def test_a_patient_from_a_ward_is_not_expected_before_the_porter_can_bring_them(site: Site) -> None:
    Ward.objects.create(site=site, code="W3", name="Ward 3", travel_minutes=7)
    exam = make_exam(site, priority="stat")
    exam.order.patient_class, exam.order.ward = "I", "W3"
    exam.order.save()
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert booking.during.lower == after(7)
    actions.mark_arrived(booking, at=AT)
    assert propose_places(exam_id=exam.pk, at=AT)[0].place.start == AT


def test_a_portable_exam_goes_only_to_a_portable_unit(site: Site) -> None:
    Procedure.objects.filter(code="XRCHEST2").update(room_kinds=["portable"])
    exam = make_exam(site)
    with pytest.raises(NoPlace):
        book_exam(exam_id=exam.pk, at=AT, by="rule")
    Room.objects.filter(code="XR2").update(kind="portable")
    assert book_exam(exam_id=exam.pk, at=AT, by="rule").room.code == "XR2"


def test_an_exam_of_no_listed_procedure_is_given_a_quarter_of_an_hour(site: Site) -> None:
    exam = make_exam(site)
    Exam.objects.filter(pk=exam.pk).update(procedure=None)
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert booking.during.upper - booking.during.lower == timedelta(minutes=15)


def test_a_place_is_looked_for_on_later_days_where_the_first_is_full(site: Site) -> None:
    Room.objects.update(hours={"thu": ALL_DAY["thu"]})
    booking = book_exam(exam_id=make_exam(site).pk, at=AT, by="rule")
    assert booking.during.lower.isoformat() == "2026-03-05T05:00:00+00:00"
    assert "XR1 is closed until Thu 5 Mar 0:00" in booking.why


def test_a_room_with_an_exam_under_way_past_its_time_is_not_free_yet(site: Site) -> None:
    begun(make_exam(site), room="XR1", minutes_ago=30)
    begun(make_exam(site), room="XR2", minutes_ago=1)
    begun(make_exam(site), room="XR2", minutes_ago=20)
    booking = book_exam(exam_id=make_exam(site, priority="stat").pk, at=AT, by="rule")
    assert (booking.room.code, booking.during.lower) == ("XR1", after(5))


def test_a_booked_exam_is_moved_not_booked_twice(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="user:a")
    with pytest.raises(WrongState, match=exam.accession):
        book_exam(exam_id=exam.pk, at=AT, by="user:a")


@pytest.mark.parametrize("triage", [TriageState.WAITING, TriageState.HELD, TriageState.CANCELLED])
def test_an_exam_that_is_not_accepted_is_not_booked(site: Site, triage: TriageState) -> None:
    exam = make_exam(site, triage=triage)
    with pytest.raises(WrongState, match=exam.accession):
        book_exam(exam_id=exam.pk, at=AT, by="user:a")
    assert book_by_policy(exam_id=exam.pk, at=AT) is None


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED"])
def test_an_exam_that_has_begun_needs_no_place(site: Site, state: str) -> None:
    exam = make_exam(site)
    begun(exam, state=state)
    with pytest.raises(WrongState, match="has begun"):
        book_exam(exam_id=exam.pk, at=AT, by="user:a")


def test_an_exam_that_nobody_knows_is_said_to_be_unknown() -> None:
    for step in (book_exam, mark_no_show, undo_no_show):
        with pytest.raises(UnknownExam):
            step(exam_id=NOBODY, at=AT, by="user:a")
    with pytest.raises(UnknownExam):
        propose_places(exam_id=NOBODY, at=AT)


def test_booking_takes_a_stated_number_of_questions(site: Site, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        make_booking(make_exam(site), start=after(10 * number))
    exam = make_exam(site)
    with django_assert_max_num_queries(25):
        book_exam(exam_id=exam.pk, at=AT, by="rule")


# A place that a person chose.


def test_a_chosen_place_is_taken_as_given(site: Site) -> None:
    booking = book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a", place=place(33, "XR2"))
    assert (booking.room.code, booking.during.lower, booking.time_was_given) == ("XR2", after(33), True)
    assert booking.technologist is not None


def test_a_chosen_place_that_is_taken_is_answered_with_others_from_that_time(site: Site) -> None:
    make_booking(make_exam(site), start=after(30))
    exam = make_exam(site)
    with pytest.raises(PlaceTaken, match=exam.accession) as caught:
        book_exam(exam_id=exam.pk, at=AT, by="user:a", place=place(35))
    first = caught.value.alternatives[0].place
    assert 1 <= len(caught.value.alternatives) <= 5
    assert (first.start, first.room_id) == (after(35), place(room="XR2").room_id)
    book_exam(exam_id=exam.pk, at=AT, by="user:a", place=first)


def test_a_chosen_place_that_was_lost_at_the_last_moment_is_answered_alike(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = book.judge_place

    def somebody_is_faster(exam: Exam, chosen: Place, *, at: Any) -> Any:
        verdict = judged(exam, chosen, at=at)
        make_booking(make_exam(site))
        return verdict

    monkeypatch.setattr(book, "judge_place", somebody_is_faster)
    with pytest.raises(PlaceTaken, match="taken the room") as caught:
        book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a", place=place())
    assert caught.value.alternatives


def test_a_chosen_room_that_cannot_do_the_exam_is_refused_with_reasons(site: Site) -> None:
    Room.objects.filter(code="XR2").update(kind="ortho")
    with pytest.raises(PlaceUnfit, match="XR2 is of kind ortho") as caught:
        book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a", place=place(0, "XR2"))
    assert caught.value.alternatives


def test_a_proposed_place_that_is_lost_is_proposed_again_with_others_kept_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def somebody_is_faster_once(exam: Exam, **how: Any) -> Any:
        found = places_for(exam, **how)
        if not calls:
            make_booking(make_exam(site))
        calls.append(1)
        return found

    monkeypatch.setattr(book, "places_for", somebody_is_faster_once)
    booking = book_exam(exam_id=make_exam(site).pk, at=AT, by="rule")
    assert (len(calls), booking.room.code, booking.during.lower) == (2, "XR2", AT)


def test_after_a_stated_number_of_tries_booking_gives_up_politely(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_booking(make_exam(site))
    always_the_same = places_for(make_exam(site, requested_at=after(60)), at=AT, count=1)
    stale = [replace(p, place=replace(place(), technologist_id=None)) for p in always_the_same]
    monkeypatch.setattr(book, "places_for", lambda *_, **__: stale)
    exam = make_exam(site)
    with pytest.raises(PlaceTaken, match="Try again"):
        book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    assert Item.objects.get().key == f"no place:{exam.accession}"


# Moving and cancelling.


def test_a_move_frees_the_old_place_and_tells_from_where_to_where(site: Site) -> None:
    exam = make_exam(site)
    old = book_exam(exam_id=exam.pk, at=AT, by="rule")
    actions.mark_arrived(old, at=AT)
    new = move_exam(exam_id=exam.pk, place=place(60, "XR2"), at=AT, by="user:a")
    assert (new.room.code, new.arrived_at, new.time_was_given) == ("XR2", AT, True)
    assert Booking.objects.get(pk=old.pk).state == "released"
    fact = Fact.objects.get(kind="moved")
    assert (fact.data["from"]["room"], fact.data["to"]["room"], fact.room) == ("XR1", "XR2", "XR2")
    book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a", place=place())


def test_a_move_by_less_than_its_own_length_is_not_in_its_own_way(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert move_exam(exam_id=exam.pk, place=place(5), at=AT, by="user:a").during.lower == after(5)


def test_a_move_to_the_same_place_changes_nothing(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert move_exam(exam_id=exam.pk, place=place(), at=AT, by="user:a") == booking
    assert kinds(exam) == ["booked"]


def test_a_move_to_a_taken_place_leaves_the_exam_where_it_was(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    make_booking(make_exam(site), room="XR2", start=after(60))
    with pytest.raises(PlaceTaken):
        move_exam(exam_id=exam.pk, place=place(60, "XR2"), at=AT, by="user:a")
    assert live_booking(exam.pk) == booking
    assert kinds(exam) == ["booked"]


@pytest.mark.parametrize("another", [True, False])
def test_a_move_whose_technologist_somebody_has_just_taken_is_done_by_another_who_is_free(
    another: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(rooms=3)
    Technologist.objects.filter(code="T3").delete()
    exam = make_exam(site)
    old = book_exam(exam_id=exam.pk, at=AT, by="rule")
    found: list[int | None] = []

    def fitting(exam: Exam, place: Place, *, at: datetime) -> Place:
        """Between looking and writing somebody takes whoever was found."""
        fits = as_ever(exam, place, at=at)
        if not found:
            who = Technologist.objects.filter(pk=fits.technologist_id)
            taken = who if another else Technologist.objects.all()
            for room, one in zip(("XR1", "XR3"), taken, strict=False):
                make_booking(make_exam(site), room=room, start=after(60), technologist=one)
        found.append(fits.technologist_id)
        return fits

    as_ever = book._fitting
    monkeypatch.setattr(book, "_fitting", fitting)
    if another:
        new = move_exam(exam_id=exam.pk, place=place(60, "XR2"), at=AT, by="user:a")
        assert (new.room.code, new.during.lower, new.technologist_id) == ("XR2", after(60), found[1])
        assert found[0] != found[1]
        assert Booking.objects.get(pk=old.pk).state == "released"
    else:
        with pytest.raises(PlaceTaken):
            move_exam(exam_id=exam.pk, place=place(60, "XR2"), at=AT, by="user:a")
        assert live_booking(exam.pk) == old
        assert kinds(exam) == ["booked"]


def test_what_has_no_place_cannot_be_moved_cancelled_or_missed(site: Site) -> None:
    exam = make_exam(site)
    with pytest.raises(WrongState):
        move_exam(exam_id=exam.pk, place=place(), at=AT, by="user:a")
    with pytest.raises(WrongState):
        cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="")
    with pytest.raises(WrongState):
        mark_no_show(exam_id=exam.pk, at=AT, by="user:a")
    with pytest.raises(WrongState):
        undo_no_show(exam_id=exam.pk, at=AT, by="user:a")
    assert propose_earlier(exam_id=exam.pk, at=AT) == []


def test_a_cancelled_booking_leaves_the_exam_waiting_with_the_reason(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="patient called")
    exam.refresh_from_db()
    assert live_booking(exam.pk) is None
    assert exam.booking_blocked == "The booking was cancelled: patient called"
    assert kinds(exam) == ["booked", "booking released"]
    book_exam(exam_id=exam.pk, at=AT, by="user:a")
    exam.refresh_from_db()
    assert exam.booking_blocked == ""


def test_the_booking_of_an_exam_held_meanwhile_can_be_cancelled(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    Exam.objects.filter(pk=exam.pk).update(triage=TriageState.HELD)
    cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="")
    exam.refresh_from_db()
    assert exam.booking_blocked == ""


def test_a_booking_that_is_done_cannot_be_cancelled(site: Site) -> None:
    exam = make_exam(site)
    make_booking(exam, state="done")
    with pytest.raises(WrongState, match="done"):
        cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="")


# No-shows.


def test_a_no_show_frees_the_place_and_is_taken_back_while_it_is_free(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    mark_no_show(exam_id=exam.pk, at=after(20), by="user:a")
    assert undo_no_show(exam_id=exam.pk, at=after(21), by="user:a") == booking
    assert kinds(exam) == ["booked", "no-show", "no-show taken back"]
    assert Booking.objects.get(pk=booking.pk).state == "booked"


def test_a_no_show_whose_place_has_gone_is_offered_others(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    mark_no_show(exam_id=exam.pk, at=after(1), by="user:a")
    make_booking(make_exam(site))
    with pytest.raises(PlaceTaken) as caught:
        undo_no_show(exam_id=exam.pk, at=after(2), by="user:a")
    alternative = caught.value.alternatives[0].place
    assert alternative.start >= after(2)
    again = book_exam(exam_id=exam.pk, at=after(2), by="user:a", place=alternative)
    assert live_booking(exam.pk) == again


def test_who_is_here_or_still_expected_has_not_missed_anything(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    with pytest.raises(WrongState, match="still to come"):
        mark_no_show(exam_id=exam.pk, at=after(-1), by="user:a")
    actions.mark_arrived(booking, at=AT)
    with pytest.raises(WrongState, match="has arrived"):
        mark_no_show(exam_id=exam.pk, at=after(20), by="user:a")


# Proposals.


def test_an_exam_that_became_urgent_is_offered_earlier_places_and_stays_until_somebody_decides(
    site: Site,
) -> None:
    exam = make_exam(site, requested_at=after(180))
    booking = book_exam(exam_id=exam.pk, at=AT, by="rule")
    Exam.objects.filter(pk=exam.pk).update(priority="stat")
    earlier = propose_earlier(exam_id=exam.pk, at=AT)
    assert earlier[0].place.start == AT
    assert all(p.place.start < booking.during.lower for p in earlier)
    assert live_booking(exam.pk) == booking
    move_exam(exam_id=exam.pk, place=earlier[0].place, at=AT, by="user:a")
    assert propose_earlier(exam_id=exam.pk, at=AT) == []


def test_as_many_places_are_proposed_as_were_asked_for(site: Site) -> None:
    found = propose_places(exam_id=make_exam(site).pk, at=AT, count=7)
    assert len({(p.place.room_id, p.place.start) for p in found}) == 7
    assert not Booking.objects.exists()


# By the site's policies.


def test_an_accepted_exam_is_booked_once(site: Site) -> None:
    exam = make_exam(site)
    booking = book_by_policy(exam_id=exam.pk, at=AT)
    assert booking is not None
    assert booking.booked_by == "rule"
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    assert kinds(exam) == ["booked"]
    assert not Item.objects.exists()


def test_where_no_place_is_found_a_person_is_asked_once_and_no_longer_once_it_is_booked(site: Site) -> None:
    Technologist.objects.update(shifts={})
    exam = make_exam(site)
    for _ in range(2):
        assert book_by_policy(exam_id=exam.pk, at=AT) is None
    exam.refresh_from_db()
    item = Item.objects.get()
    assert item.key == f"no place:{exam.accession}"
    assert item.text == exam.booking_blocked
    assert "14 days" in item.text
    assert kinds(exam) == ["no place found"]
    Technologist.objects.update(shifts=ALL_DAY)
    assert book_by_policy(exam_id=exam.pk, at=AT) is not None
    item.refresh_from_db()
    exam.refresh_from_db()
    assert (item.closed_how, exam.booking_blocked) == ("booked", "")


def test_patients_who_walk_in_are_given_no_time_until_they_are_here(site: Site) -> None:
    set_policies(site, booking={"O": BookingWay.ON_ARRIVAL})
    exam = make_exam(site)
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    exam.refresh_from_db()
    assert exam.booking_blocked == "Booked when the patient arrives."
    assert not Item.objects.exists()
    Visit.objects.create(
        site=site, patient=exam.patient, number="V1", patient_class="O", started_at=AT, changed_at=AT
    )
    assert book_by_policy(exam_id=exam.pk, at=after(1)) is not None


def test_a_visit_that_the_order_names_counts_whenever_it_began(site: Site) -> None:
    set_policies(site, booking={"*": BookingWay.ON_ARRIVAL})
    exam = make_exam(site)
    exam.order.visit_number = "V1"
    exam.order.save()
    visit = Visit.objects.create(
        site=site,
        patient=exam.patient,
        number="V1",
        patient_class="I",
        started_at=AT - timedelta(days=3),
        changed_at=AT,
        state=Visit.State.ENDED,
    )
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    Visit.objects.filter(pk=visit.pk).update(state=Visit.State.ACTIVE)
    assert book_by_policy(exam_id=exam.pk, at=AT) is not None


def test_where_the_site_wants_a_person_to_book_an_item_asks_for_it(site: Site) -> None:
    set_policies(site, booking={"O": BookingWay.REQUESTED, "I": BookingWay.ASK})
    exam = make_exam(site)
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    assert "no time" in Item.objects.get(accession=exam.accession).text
    assert book_by_policy(exam_id=make_exam(site, requested_at=after(60)).pk, at=AT) is not None


def test_those_without_a_place_are_tried_again_the_most_urgent_first(site: Site) -> None:
    Room.objects.update(state="down")
    routine, stat, untouched = make_exam(site), make_exam(site, priority="stat"), make_exam(site)
    for exam in (routine, stat):
        book_by_policy(exam_id=exam.pk, at=AT)
    assert waiting_in_order(site_id=site.pk) == [stat.pk, routine.pk]
    assert untouched.pk not in waiting_in_order(site_id=site.pk)
