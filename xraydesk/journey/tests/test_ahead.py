"""Booking ahead: found, held for a while, booked as one; free again by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.factories import ALL_DAY, AT, SITE_FILES, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Location, Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey import ahead
from xraydesk.journey.ahead import Wish, book, end_expired, find_hold, find_slots, hold, let_go
from xraydesk.journey.book import ask_for_place, book_exam, cancel_booking, propose_places
from xraydesk.journey.errors import HoldOver, PlaceTaken, PlaceUnfit, UnknownExam, UnknownHold, WrongState
from xraydesk.journey.load_site import load_site
from xraydesk.journey.planned_day import day_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam, Procedure
from xraydesk.orders.states import Priority, TriageState
from xraydesk.rooms.models import PlannedClosure, Room
from xraydesk.scheduling.engine.ahead import Lack
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Attendance, Booking, Hold
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.states import BookingState, Going, HoldState
from xraydesk.siteplan.jsonform import to_json
from xraydesk.siteplan.plan import SitePlan, WardPlan
from xraydesk.siteplan.policies import Policies
from xraydesk.siteplan.reading import read_toml
from xraydesk.staff.models import Companion, Porter, Technologist

pytestmark = pytest.mark.django_db
NOBODY = 10**9
DAYS = timedelta(days=1)


@pytest.fixture
def site() -> Site:
    return make_site()


def with_policies(site: Site, **policies: Any) -> Site:
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
        wards=(WardPlan("W3", "Ward 3", travel_minutes=6),),
        policies=Policies(**policies),
    )
    site.plan = to_json(plan)
    site.save()
    return site


def wish(*exams: Exam, **more: Any) -> Wish:
    return Wish(exam_ids=tuple(exam.pk for exam in exams), **more)


def place(minute: int = 60, room: str = "XR1") -> Place:
    start = AT + timedelta(minutes=minute)
    return Place(Room.objects.get(code=room, site__code="T").pk, start, start)


def held(site: Site, *exams: Exam, minute: int = 60, at: Any = AT, room: str = "XR1", **more: Any) -> Hold:
    places = [place(minute + 10 * number, room) for number in range(len(exams))]
    return hold(site=site, wish=wish(*exams), places=places, at=at, by="user:a", **more)


def kinds(exam: Exam) -> list[str]:
    return list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))


# -- finding ---------------------------------------------------------------------------------------


def test_places_are_found_for_a_future_day_and_no_further_than_the_site_books_ahead(site: Site) -> None:
    exam = make_exam(with_policies(site, booking_days_ahead=20))
    since = AT + 9 * DAYS
    offers = find_slots(site=site, wish=wish(exam), at=AT, since=since, count=3)
    assert [o.start for o in offers] == [since, since, since + timedelta(minutes=15)]
    last = find_slots(
        site=site, wish=wish(exam), at=AT, since=since, until=since + timedelta(minutes=20), count=99
    )
    assert max(o.start for o in last) == since + timedelta(minutes=15)
    Room.objects.update(hours={})
    assert find_slots(site=site, wish=wish(exam), at=AT) == []


def test_sixty_places_are_found_for_a_procedure_of_nobody_yet(site: Site) -> None:
    chest = Procedure.objects.get(site=site, code="XRCHEST2")
    offers = find_slots(site=site, wish=Wish(procedure_ids=(chest.pk,)), at=AT, count=60)
    assert len(offers) == 60
    assert len({(o.parts[0].place.room_id, o.start) for o in offers}) == 60


def test_rooms_and_locations_may_be_chosen(site: Site) -> None:
    wing = Location.objects.create(site=site, code="WING", name="Wing")
    Room.objects.filter(code="XR2").update(location=wing)
    xr2 = Room.objects.get(code="XR2")
    exam = make_exam(site)
    for asked in (wish(exam, locations=frozenset({wing.pk})), wish(exam, rooms=frozenset({xr2.pk}))):
        found = find_slots(site=site, wish=asked, at=AT, count=4)
        assert {o.parts[0].place.room_id for o in found} == {xr2.pk}
    make_booking(exam, room="XR1", start=AT + DAYS)
    elsewhere = find_slots(site=site, wish=wish(exam, rooms=frozenset({xr2.pk})), at=AT, count=1)
    assert [lack.what for lack in elsewhere[0].lacks] == [Lack.ELSEWHERE]


def test_planned_closures_are_honoured(site: Site) -> None:
    exam = make_exam(site)
    closed = (AT, AT + timedelta(hours=5))
    for room in Room.objects.all():
        PlannedClosure.objects.create(
            site=site, room=room, during=closed, reason="service", at=AT, by="user:a"
        )
    assert find_slots(site=site, wish=wish(exam), at=AT, count=1)[0].start == closed[1]
    PlannedClosure.objects.update(ended_at=AT)
    assert find_slots(site=site, wish=wish(exam), at=AT, count=1)[0].start == AT


def test_kept_and_published_times_bind_the_rules_and_are_told_to_people(site: Site) -> None:
    """10:00 is kept for STATs until 9:00, outpatients are booked from noon."""
    every = {day: [["08:00", "12:00"]] for day in ALL_DAY}
    noon = {day: [["12:00", "13:00"]] for day in ALL_DAY}
    kept = [{"whom": ["stat"], "hours": every, "release_minutes": 60}]
    Room.objects.update(kept=kept, published=noon, slot_minutes=20)
    tomorrow = AT + DAYS  # ten in the morning
    stat, routine = make_exam(site, priority=Priority.STAT), make_exam(site, requested_at=tomorrow)
    by_rule = propose_places(exam_id=routine.pk, at=AT, count=2)
    assert [p.place.start for p in by_rule] == [tomorrow + timedelta(hours=2)] * 2
    assert "XR1 is kept for STATs until Tue 3 Mar 9:00" in by_rule[0].why
    assert propose_places(exam_id=stat.pk, at=AT, count=1)[0].place.start == AT
    offers = find_slots(site=site, wish=wish(routine), at=AT, since=tomorrow, count=1)
    assert (offers[0].start, offers[0].lacks) == (tomorrow + timedelta(hours=2), ())
    assert {lack.what for o in offers[1:] for lack in o.lacks} == {Lack.KEPT}


# -- holding ---------------------------------------------------------------------------------------


def test_a_held_place_is_nobody_elses_until_its_time_is_over(site: Site) -> None:
    exam, other = make_exam(site), make_exam(site)
    kept = held(with_policies(site, hold_minutes=7), exam)
    assert kept.until == AT + timedelta(minutes=7)
    booking = Booking.objects.get(hold=kept)
    assert (booking.state, booking.exam, booking.technologist.code) == ("held", exam, "T1")
    assert live_booking(exam.pk) is None
    with pytest.raises(PlaceTaken):
        book_exam(exam_id=other.pk, at=AT, by="user:b", place=place())
    with pytest.raises(PlaceTaken) as lost:
        held(site, other)
    assert len(lost.value.alternatives) == ahead.ALTERNATIVES_MAX
    assert all(
        (p.place.room_id, p.place.start) != (place().room_id, place().start) for p in lost.value.alternatives
    )
    over = kept.until
    taken = book_exam(exam_id=other.pk, at=over, by="user:b", place=place())
    assert taken.during.lower == place().start
    assert not Booking.objects.filter(hold=kept).exists()
    assert end_expired(site=site, at=over) == 1
    assert find_hold(site=site, hold_id=kept.pk).state == HoldState.EXPIRED
    assert kinds(exam) == [FactKind.PLACE_HELD, FactKind.HOLD_ENDED]
    assert end_expired(site=site, at=over) == 0


def test_an_expired_hold_is_in_nobodys_way_when_places_are_looked_for_or_held(site: Site) -> None:
    exam, other = make_exam(site), make_exam(site)
    kept = held(site, exam, minutes=10)
    assert place().start not in {
        o.start
        for o in find_slots(site=site, wish=wish(other, rooms=frozenset({place().room_id})), at=AT, count=9)
    }
    again = held(site, other, at=kept.until)
    assert Booking.objects.get(hold=again).exam == other
    assert [b.exam for b in Booking.objects.all()] == [other]


def test_holding_another_place_lets_the_first_one_go(site: Site) -> None:
    exam = make_exam(site)
    first, second = held(site, exam), held(site, exam, minute=65)
    assert find_hold(site=site, hold_id=first.pk).state == HoldState.LET_GO
    assert Booking.objects.get().hold == second
    # Its own held place is not in an exam's way when it looks on.
    assert (
        find_slots(site=site, wish=wish(exam), at=AT, since=place(65).start, count=1)[0].start
        == place(65).start
    )


def test_a_hold_can_be_let_go_once_and_only_here(site: Site) -> None:
    exam = make_exam(site)
    kept = held(site, exam)
    elsewhere = make_site(code="U")
    for deed in (let_go, book):
        with pytest.raises(UnknownHold):
            deed(site=elsewhere, hold_id=kept.pk, at=AT, by="user:b")
    with pytest.raises(UnknownHold):
        find_hold(site=elsewhere, hold_id=kept.pk)
    let_go(site=site, hold_id=kept.pk, at=AT, by="user:a")
    let_go(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert not Booking.objects.exists()
    assert kinds(exam) == [FactKind.PLACE_HELD, FactKind.HOLD_ENDED]
    with pytest.raises(HoldOver):
        book(site=site, hold_id=kept.pk, at=AT, by="user:a")


def test_what_cannot_be_held_is_refused_with_other_places(site: Site) -> None:
    exam = make_exam(site)
    Room.objects.filter(code="XR2").update(hours={})
    with pytest.raises(PlaceUnfit, match="XR2 is closed") as unfit:
        held(site, exam, room="XR2")
    assert unfit.value.alternatives[0].place.start == place().start
    with pytest.raises(PlaceUnfit, match="has passed"):
        held(site, exam, minute=-60)
    with pytest.raises(WrongState, match="one place for each"):
        hold(site=site, wish=wish(exam), places=[place(), place(80)], at=AT, by="user:a")
    waiting = make_exam(site, triage=TriageState.HELD)
    with pytest.raises(WrongState, match="Accept it"):
        held(site, waiting)
    assert not Booking.objects.exists()


def test_only_exams_of_one_patient_of_this_site_are_planned_together(site: Site) -> None:
    elsewhere = make_exam(make_site(code="U"))
    for asked, error in (
        (wish(elsewhere), UnknownExam),
        (wish(make_exam(site), make_exam(site)), WrongState),
        (Wish(), WrongState),
        (Wish(exam_ids=(1, 2), procedure_ids=(3,)), WrongState),
        (Wish(procedure_ids=(NOBODY,)), UnknownExam),
        (Wish(exam_ids=(NOBODY,)), UnknownExam),
    ):
        with pytest.raises(error):
            find_slots(site=site, wish=asked, at=AT)
    exam = make_exam(site)
    with pytest.raises(UnknownExam):
        find_slots(site=site, wish=wish(exam, exam), at=AT)


def test_the_planner_of_the_day_leaves_held_places_alone(site: Site) -> None:
    exam, other = make_exam(site), make_exam(site)
    kept = held(site, exam, minute=0)
    day = day_of(site=site, at=AT, wanted=(other.accession,))
    assert [e.id for e in day.told.problem.exams] == [other.accession]
    first = next(room for room in day.told.problem.rooms if room.id == "XR1")
    assert first.open[0][0] >= 10
    later = day_of(site=site, at=kept.until, wanted=(other.accession,))
    assert next(room for room in later.told.problem.rooms if room.id == "XR1").open[0][0] == 0


# -- booking ---------------------------------------------------------------------------------------


def test_a_held_place_is_booked_and_nobody_is_asked_for_one_any_more(site: Site) -> None:
    exam = make_exam(site)
    ask_for_place(exam, why="no time", at=AT)
    kept = held(site, exam)
    (booking,) = book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert Booking.objects.get() == booking == live_booking(exam.pk)
    assert (booking.state, booking.time_was_given, booking.held_until) == (BookingState.BOOKED, True, None)
    assert find_hold(site=site, hold_id=kept.pk).state == HoldState.BOOKED
    exam.refresh_from_db()
    assert exam.booking_blocked == ""
    assert FactKind.EXAM_BOOKED in kinds(exam)
    with pytest.raises(HoldOver, match="booked already"):
        book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert end_expired(site=site, at=AT + DAYS) == 0


def test_a_place_is_not_booked_once_its_time_is_over_or_its_room_is_gone(site: Site) -> None:
    kept = held(site, make_exam(site))
    with pytest.raises(HoldOver, match="time to decide"):
        book(site=site, hold_id=kept.pk, at=kept.until, by="user:a")
    Room.objects.filter(code="XR1").update(retired=True)
    with pytest.raises(HoldOver, match="not in use"):
        book(site=site, hold_id=kept.pk, at=AT, by="user:a")


def test_an_exam_with_a_place_keeps_it_until_the_held_one_is_booked(site: Site) -> None:
    exam = make_exam(site)
    before = book_exam(exam_id=exam.pk, at=AT, by="user:a", place=place(300))
    kept = held(site, exam, minute=60)
    assert live_booking(exam.pk) == before
    (after,) = book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    before.refresh_from_db()
    assert before.state == BookingState.RELEASED
    moved = Fact.objects.get(accession=exam.accession, kind=FactKind.EXAM_MOVED)
    assert moved.data["to"]["start"] == after.during.lower.isoformat()
    with pytest.raises(PlaceTaken, match="the patient is in another exam"):
        held(site, make_exam(site, patient=exam.patient), minute=60, room="XR2")


def test_a_place_held_for_nobody_yet_is_booked_for_an_exam_that_came_since(site: Site) -> None:
    chest = Procedure.objects.get(site=site, code="XRCHEST2")
    kept = hold(site=site, wish=Wish(procedure_ids=(chest.pk,)), places=[place()], at=AT, by="link:EHR")
    assert Booking.objects.get().exam is None
    with pytest.raises(WrongState, match="for which exam"):
        book(site=site, hold_id=kept.pk, at=AT, by="link:EHR")
    with pytest.raises(WrongState, match="for which exam"):
        book(site=site, hold_id=kept.pk, at=AT, by="link:EHR", exam_ids=[make_exam(make_site(code="U")).pk])
    exam = make_exam(site)
    busy = make_exam(site, patient=exam.patient)
    elsewhere = book_exam(exam_id=busy.pk, at=AT, by="user:a", place=place(60, "XR2"))
    with pytest.raises(PlaceTaken, match="the patient is taken"):
        book(site=site, hold_id=kept.pk, at=AT, by="link:EHR", exam_ids=[exam.pk])
    cancel_booking(exam_id=busy.pk, at=AT, by="user:a", why="")
    assert elsewhere.pk
    (booking,) = book(site=site, hold_id=kept.pk, at=AT, by="link:EHR", exam_ids=[exam.pk])
    assert (booking.exam_id, booking.patient_id) == (exam.pk, exam.patient_id)


def test_the_database_lets_only_held_places_lack_an_exam(site: Site) -> None:
    booking = make_booking(make_exam(site))
    for wrong in ({"exam": None}, {"patient": None}, {"state": "held"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(**wrong)


# -- who goes along, and visits ---------------------------------------------------------------------


def inpatient(site: Site, **fields: Any) -> Exam:
    exam = make_exam(site, **fields)
    exam.order.patient_class, exam.order.ward = "I", "W3"
    exam.order.save()
    return exam


def company(exam: Exam) -> dict[str, tuple[str, int, int]]:
    found = Attendance.objects.filter(booking__exam=exam, live=True).select_related("porter", "companion")
    return {
        a.going: (
            (a.porter or a.companion).code,
            int((a.during.lower - AT) / timedelta(minutes=1)),
            int((a.during.upper - AT) / timedelta(minutes=1)),
        )
        for a in found
    }


def test_porter_interpreter_and_escort_are_held_with_the_place_and_freed_with_it(site: Site) -> None:
    with_policies(site, languages=("en",))
    Porter.objects.create(site=site, code="P1", name="Webb", shifts=ALL_DAY)
    Companion.objects.create(
        site=site, code="IS", name="Ibarra", kind="interpreter", languages=["ES"], shifts=ALL_DAY
    )
    Companion.objects.create(site=site, code="E1", name="Lund", kind="escort", shifts=ALL_DAY)
    Procedure.objects.filter(code="XRCHEST2").update(escort=True, preparation_minutes=15)
    exam = inpatient(site, patient=make_patient(site, language="es "))
    kept = held(site, exam)
    assert company(exam) == {
        Going.FETCH: ("P1", 33, 45),
        Going.RETURN: ("P1", 70, 82),
        Going.INTERPRETER: ("IS", 45, 70),
        Going.ESCORT: ("E1", 45, 70),
    }
    assert kept.lacks == []
    # Nobody goes along with two patients at once.
    other = inpatient(site, patient=make_patient(site, language="es"))
    second = held(site, other, room="XR2")
    assert company(other) == {Going.FETCH: ("P1", 18, 30), Going.RETURN: ("P1", 85, 97)}
    assert second.lacks == ["no interpreter for es is free then", "nobody is free to stay with the patient"]
    offers = find_slots(site=site, wish=wish(other), at=AT, since=place().start, count=1)
    assert offers[0].lacks == ()
    book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert len(company(exam)) == 4
    cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="")
    assert company(exam) == {}
    assert len(held(site, other, room="XR2").lacks) == 0


def test_whoever_goes_along_with_an_expired_hold_is_free(site: Site) -> None:
    Porter.objects.create(site=site, code="P1", name="Webb", shifts=ALL_DAY)
    with_policies(site)
    kept = held(site, inpatient(site))
    other = inpatient(site)
    Technologist.objects.update(retired=True)
    again = held(site, other, room="XR2", at=kept.until)
    assert again.lacks == []
    assert set(company(other)) == {Going.FETCH, Going.RETURN}


def test_exams_of_one_patient_are_found_held_and_booked_as_one_visit(site: Site) -> None:
    patient = make_patient(site)
    knee = make_exam(site, patient=patient, code="XRKNEE2", laterality="L")
    chest = make_exam(site, patient=patient)
    Procedure.objects.filter(code="XRCHEST2").update(after=["XRKNEE2"])
    offers = find_slots(site=site, wish=wish(chest, knee), at=AT, since=place().start, count=1)
    parts = offers[0].parts
    assert [p.ask.key for p in parts] == [knee.accession, chest.accession]
    assert parts[0].place.room_id == parts[1].place.room_id
    assert parts[1].place.start == parts[0].place.end
    by_key = {p.ask.key: p.place for p in parts}
    places = [by_key[e.accession] for e in (chest, knee)]
    kept = hold(site=site, wish=wish(chest, knee), places=places, at=AT, by="user:a")
    assert [told["key"] for told in kept.places] == [knee.accession, chest.accession]
    bookings = book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert {b.exam_id for b in bookings} == {chest.pk, knee.pk}
    assert {b.state for b in Booking.objects.all()} == {"booked"}


def test_a_visit_is_booked_whole_or_not_at_all(site: Site) -> None:
    patient = make_patient(site)
    first, second = make_exam(site, patient=patient), make_exam(site, patient=patient, code="XRKNEE2")
    kept = held(site, first, second)
    second.triage = TriageState.CANCELLED
    second.save()
    with pytest.raises(WrongState), transaction.atomic():
        book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    assert {b.state for b in Booking.objects.all()} == {"held"}
    assert live_booking(first.pk) is None
    with pytest.raises(PlaceTaken):
        held(site, make_exam(site), minute=65)


def test_a_house_of_thirty_rooms_is_loaded_and_booked_ahead_in_by_what_it_publishes_and_keeps() -> None:
    load_site(plan=read_toml(SITE_FILES / "university.toml"), at=AT, by="desk")
    site = Site.objects.get(code="UNIV")
    assert Room.objects.filter(site=site, retired=False).count() == 30
    rooms = {room.pk: room for room in Room.objects.filter(site=site)}
    patient = make_patient(site, language="tur")
    swallow, chest = (make_exam(site, patient=patient, code=code) for code in ("XRSWALLOW", "XRCHEST2"))
    offers = find_slots(site=site, wish=wish(swallow, chest), at=AT, count=5, spread=True)
    assert offers
    for offer in offers:
        assert [part.ask.key for part in offer.parts] == [chest.accession, swallow.accession]
        assert {one.going for one in offer.along} == {Going.INTERPRETER, Going.ESCORT} or offer.lacks
        study = offer.parts[1].place
        start = clock.in_zone(study.start, site.timezone)
        assert rooms[study.room_id].kind == "fluoroscopy"
        assert (8 <= start.hour < 12 and start.minute in (0, 30)) or offer.lacks
    best = next(offer for offer in offers if not offer.lacks)
    places = {part.ask.key: part.place for part in best.parts}
    kept = hold(
        site=site,
        wish=wish(swallow, chest),
        places=[places[swallow.accession], places[chest.accession]],
        at=AT,
        by="user:a",
    )
    assert {b.exam for b in book(site=site, hold_id=kept.pk, at=AT, by="user:a")} == {swallow, chest}
