"""Finding a place for a future day, holding it, booking it or letting it go."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client

from tests.factories import make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Location, Membership, Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.minute import begun
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.ahead import Wish, hold
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking, Hold
from xraydesk.scheduling.states import BookingState

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def client(site: Site) -> Client:
    return signed_in(site)


def soon(minutes: int = 60) -> datetime:
    return begun() + timedelta(minutes=minutes)


def find(client: Client, exam: Exam, **query: str) -> str:
    answer = client.get(f"/exams/{exam.accession}/places", query)
    assert answer.status_code == 200
    return answer.content.decode()


def choices(page: str) -> list[str]:
    return re.findall(r'name="places" value="([^"]+)"', page)


def held(exam: Exam, *, room: str = "XR1", minute: int = 60) -> Hold:
    place = Place(Room.objects.get(site=exam.site, code=room).pk, soon(minute), soon(minute))
    return hold(
        site=exam.site,
        wish=Wish(exam_ids=(exam.pk,)),
        places=[place],
        at=clock.now(),
        by="user:coordinator-T",
    )


def test_a_place_is_found_held_and_booked(site: Site, client: Client) -> None:
    exam = make_exam(site)
    day = (soon() + timedelta(days=3)).date()
    page = find(client, exam, day=day.isoformat())
    chosen = choices(page)[0]
    answer = client.post(f"/exams/{exam.accession}/hold-place", {"places": chosen}, follow=True)
    text = answer.content.decode()
    assert answer.redirect_chain[0][1] == 303
    assert "Held for you" in text
    assert "10 min</b> left" in text
    booking = Booking.objects.get()
    assert booking.state == BookingState.HELD
    assert "XR" in text
    assert "is held</a> for it" in find(client, exam)
    done = client.post(f"/holds/{booking.hold_id}/book", follow=True)
    booking.refresh_from_db()
    assert (booking.state, booking.booked_by) == (BookingState.BOOKED, "user:coordinator-T")
    assert "Booked in XR" in done.content.decode()
    assert exam.accession in done.redirect_chain[0][0]
    assert "Booked</h1>" in client.get(f"/holds/{booking.hold_id}").content.decode()


def test_days_and_locations_are_chosen_and_offers_lie_on_several_days(site: Site, client: Client) -> None:
    wing = Location.objects.create(site=site, code="WING", name="Clinic wing")
    Room.objects.filter(code="XR2").update(location=wing)
    exam = make_exam(site)
    page = find(client, exam)
    assert len({value.split()[2][:10] for value in choices(page)}) >= 2
    assert {value.split()[1] for value in choices(page)} == {"XR1", "XR2"}
    assert {value.split()[1] for value in choices(find(client, exam, location="WING"))} == {"XR2"}
    Room.objects.update(hours={})
    assert "No free place" in find(client, exam)
    for day, words in (
        ("2020-01-01", "from today on"),
        ("tomorrow", "like 2026-12-24"),
        ("9999-01-01", "within a year"),
    ):
        page = find(client, exam, day=day)
        assert words in page
        assert not choices(page)


def test_exams_of_one_patient_are_found_and_booked_as_one_visit(site: Site, client: Client) -> None:
    patient = make_patient(site)
    exam, other = make_exam(site, patient=patient), make_exam(site, patient=patient, code="XRKNEE2")
    waiting = make_exam(site, patient=patient, triage=TriageState.HELD)
    page = find(client, exam, **{"with": other.accession})
    assert "In one visit with" in page
    assert waiting.accession not in page
    chosen = choices(page)[0]
    assert {part.split()[0] for part in chosen.split(";")} == {exam.accession, other.accession}
    client.post(f"/exams/{exam.accession}/hold-place", {"places": chosen, "with": other.accession})
    kept = Hold.objects.get()
    client.post(f"/holds/{kept.pk}/book")
    assert {b.exam for b in Booking.objects.filter(state=BookingState.BOOKED)} == {exam, other}


def test_what_a_place_lacks_is_said_before_and_while_it_is_held(site: Site, client: Client) -> None:
    exam = make_exam(site, due_at=soon(-60))
    page = find(client, exam)
    assert "Only where something gives" in page
    assert "later than due" in page
    answer = client.post(f"/exams/{exam.accession}/hold-place", {"places": choices(page)[0]}, follow=True)
    assert "later than due" in answer.content.decode()


def test_a_place_lost_to_somebody_else_is_told_with_others_that_are_free(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(make_exam(site), room="XR1", start=soon())
    taken = f"{exam.accession} XR1 {soon().isoformat()}"
    answer = client.post(f"/exams/{exam.accession}/hold-place", {"places": taken})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "XR1 is taken" in text
    assert choices(text)
    assert not Hold.objects.exists()


@pytest.mark.parametrize(
    "places", ["", "nonsense", "A1 XR1", "{0} XR9 2026-12-24T10:00:00+00:00", "{0} XR1 soon"]
)
def test_what_is_no_place_is_refused_politely(site: Site, client: Client, places: str) -> None:
    exam = make_exam(site)
    answer = client.post(f"/exams/{exam.accession}/hold-place", {"places": places.format(exam.accession)})
    assert answer.status_code in (400, 404)
    assert not Booking.objects.exists()


def test_a_held_place_is_let_go(site: Site, client: Client) -> None:
    exam = make_exam(site)
    kept = held(exam)
    text = client.post(f"/holds/{kept.pk}/let-go", follow=True).content.decode()
    assert "The place is free again." in text
    assert not Booking.objects.exists()
    assert "It was let go" in client.get(f"/holds/{kept.pk}").content.decode()


def test_a_place_that_is_not_held_any_more_says_so_and_leads_on(site: Site, client: Client) -> None:
    exam = make_exam(site)
    kept = held(exam)
    Hold.objects.update(until=clock.now())
    page = client.get(f"/holds/{kept.pk}").content.decode()
    assert "The time to decide is over" in page
    assert f"/exams/{exam.accession}/places" in page
    assert "Book it" not in page
    text = client.post(f"/holds/{kept.pk}/book", follow=True).content.decode()
    assert "Look for one again" in text


def test_an_exam_that_has_a_place_keeps_it_until_the_other_is_booked(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, room="XR2", start=soon(300))
    kept = held(exam)
    assert "is free again once this one is booked" in client.get(f"/holds/{kept.pk}").content.decode()
    client.post(f"/holds/{kept.pk}/book")
    assert exam.bookings.get(state=BookingState.BOOKED).room.code == "XR1"


def test_a_stranger_and_other_roles_find_nothing_here(site: Site, client: Client) -> None:
    exam = make_exam(site)
    kept = held(exam)
    elsewhere = make_site(code="U")
    pages = [f"/exams/{exam.accession}/places", f"/holds/{kept.pk}"]
    posts = [f"/exams/{exam.accession}/hold-place", f"/holds/{kept.pk}/book", f"/holds/{kept.pk}/let-go"]
    strangers = [signed_in(elsewhere), *(signed_in(site, r) for r in Role if not allows(r, Permission.BOOK))]
    for stranger in strangers:
        assert {stranger.get(page).status_code for page in pages} == {404}
        assert {stranger.post(page, {"places": "x"}).status_code for page in posts} == {404}
    assert "/sign-in" in Client().get(pages[0])["Location"]
    assert Booking.objects.get().state == BookingState.HELD


def test_a_role_in_one_location_is_offered_and_shown_nothing_of_another(site: Site) -> None:
    wing = Location.objects.create(site=site, code="WING", name="Clinic wing")
    Room.objects.filter(code="XR2").update(location=wing)
    exam = make_exam(site)
    kept = held(exam)
    client = signed_in(site)
    Membership.objects.get(site=site).locations.add(wing)
    assert {value.split()[1] for value in choices(find(client, exam))} == {"XR2"}
    assert client.get(f"/holds/{kept.pk}").status_code == 404
    chosen = f"{exam.accession} XR1 {soon(200).isoformat()}"
    assert client.post(f"/exams/{exam.accession}/hold-place", {"places": chosen}).status_code == 400


def test_the_exams_page_leads_to_the_places(site: Site, client: Client) -> None:
    exam = make_exam(site)
    assert f"/exams/{exam.accession}/places" in client.get(f"/exams/{exam.accession}").content.decode()
    cancelled = make_exam(site, triage=TriageState.CANCELLED)
    assert "Find a place" not in client.get(f"/exams/{cancelled.accession}").content.decode()


def test_a_place_chosen_by_hand_that_is_kept_for_others_says_so(site: Site, client: Client) -> None:
    every = {day: [["00:00", "00:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    Room.objects.update(kept=[{"whom": ["stat"], "hours": every, "release_minutes": 0}])
    exam = make_exam(site)
    at = soon(120).isoformat()
    text = client.get(f"/exams/{exam.accession}/move", {"room": "XR1", "at": at}).content.decode()
    assert "XR1 is kept for STATs" in text
    assert "Accept <kbd>" in text


def test_the_board_hatches_what_is_still_kept_and_no_longer_what_is_released(
    site: Site, client: Client
) -> None:
    every = {day: [["00:00", "00:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    keeps = {"whom": ["stat", "emergency"], "hours": every}
    Room.objects.filter(code="XR1").update(kept=[keeps | {"release_minutes": 0}])
    Room.objects.filter(code="XR2").update(kept=[keeps | {"release_minutes": 10_080}])
    tomorrow = (soon() + timedelta(days=1)).date().isoformat()
    text = client.get("/", {"day": tomorrow}).content.decode()
    assert "Kept for emergencies and STATs" in text
    assert 'id="k-XR1-0"' in text
    assert 'id="k-XR2-0"' not in text


def test_the_board_draws_what_is_held_and_leads_whoever_may_decide_there(site: Site, client: Client) -> None:
    exam = make_exam(site)
    kept = held(exam, minute=60)
    place = Booking.objects.get(hold=kept)
    day = {"day": clock.local_day(place.during.lower, site.timezone).isoformat()}
    text = client.get("/", day).content.decode()
    assert f'href="/holds/{kept.pk}"' in text
    assert f"Held until {clock.in_zone(kept.until, site.timezone):%H:%M}" in text
    looking = signed_in(site, Role.TECHNOLOGIST).get("/", day).content.decode()
    assert "Held until" in looking
    assert f"/holds/{kept.pk}" not in looking
    client.post(f"/holds/{kept.pk}/let-go")
    assert "Held until" not in client.get("/", day).content.decode()
