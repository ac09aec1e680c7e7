"""What the board does to an exam, and what it says when somebody was first."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.desk.panel import place_value
from xraydesk.desk.tests.minute import begun
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.journey.book import move_exam
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def client(site: Site) -> Client:
    return signed_in(site)


def soon(minutes: int = 60) -> datetime:
    return begun() + timedelta(minutes=minutes)


def live(exam: Exam) -> Booking:
    return exam.bookings.get(state="booked")


def do(client: Client, exam: Exam, deed: str, **fields: str) -> str:
    """Posts one form of the panel; the text of the page it leads to."""
    answer = client.post(f"/exams/{exam.accession}/{deed}", fields, follow=True)
    assert answer.redirect_chain[0][1] == 303
    assert answer.status_code == 200
    return answer.content.decode()


def test_arrived_is_said_with_an_undo_that_takes_it_back(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon())
    text = do(client, exam, "arrive")
    assert live(exam).arrived_at is not None
    assert "Marked as arrived." in text
    assert f'action="/exams/{exam.accession}/unarrive"' in text
    assert 'id="panel"' in text
    do(client, exam, "unarrive")
    assert live(exam).arrived_at is None
    assert [f.by for f in Fact.objects.filter(accession=exam.accession)] == ["user:coordinator-T"] * 2


def test_no_show_and_back(site: Site, client: Client) -> None:
    exam = make_exam(site)
    booking = make_booking(exam, start=soon(-30))
    do(client, exam, "no-show")
    booking.refresh_from_db()
    assert booking.state == "no-show"
    do(client, exam, "undo-no-show")
    booking.refresh_from_db()
    assert booking.state == "booked"


def test_a_refusal_says_why_and_changes_nothing(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon(30))
    assert "still to come" in do(client, exam, "no-show")
    assert live(exam).state == "booked"


def test_a_place_taken_back_leaves_the_exam_waiting_in_the_tray(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon())
    text = do(client, exam, "cancel-booking", why="asked to come another day")
    assert not exam.bookings.filter(state="booked").exists()
    assert f"t-{exam.accession}" in text


def test_a_proposed_place_is_booked(site: Site, client: Client) -> None:
    exam = make_exam(site)
    page = client.get(f"/?exam={exam.accession}").content.decode()
    value = page.split('name="place" value="')[1].split('"')[0]
    answer = client.post(f"/exams/{exam.accession}/book", {"place": value})
    assert answer.status_code == 303
    assert place_value(live(exam).room.code, live(exam).during.lower) == value.replace("Z", "+00:00")


@pytest.mark.parametrize(
    "place", ["", "XR1", "XR1 soon", "XR9 2026-03-02T15:00:00+00:00", "XR1 2026-03-02T15:00:00"]
)
def test_a_form_that_names_no_place_is_told_so(site: Site, client: Client, place: str) -> None:
    exam = make_exam(site)
    for deed in ("book", "move"):
        answer = client.post(f"/exams/{exam.accession}/{deed}", {"place": place})
        assert answer.status_code == 400
        assert "Choose a room and a time." in answer.content.decode()


def test_a_move_is_shown_before_anything_changes(site: Site, client: Client) -> None:
    exam = make_exam(site)
    before = make_booking(exam, start=soon())
    before.refresh_from_db()
    start = clock.in_zone(soon(90), site.timezone)
    query = f"room=XR2&day={start.date()}&start={start:%H:%M}"
    text = client.get(f"/exams/{exam.accession}/move?{query}").content.decode()
    assert "What would happen" in text
    assert f"XR2 at {start:%H:%M}" in text
    assert live(exam) == before
    value = text.split('name="place" value="')[1].split('"')[0]
    said = do(client, exam, "move", place=value, seen=str(before.pk))
    assert live(exam).room.code == "XR2"
    assert f"/exams/{exam.accession}/move-back" in said
    do(client, exam, "move-back")
    assert (live(exam).room.code, live(exam).during.lower) == ("XR1", before.during.lower)


def test_a_time_that_is_none_is_marked_and_the_rest_kept(site: Site, client: Client) -> None:
    exam = make_exam(site)
    text = client.get(f"/exams/{exam.accession}/move?room=XR2&day=2026-03-02&start=25:10").content.decode()
    assert "A day has 24 hours." in text
    assert 'aria-invalid="true"' in text


def test_a_place_in_the_way_of_others_is_said_in_the_preview(site: Site, client: Client) -> None:
    first, second = make_exam(site), make_exam(site)
    make_booking(first, room="XR2", start=soon())
    make_booking(second, room="XR1", start=soon(120))
    start = clock.in_zone(soon(), site.timezone)
    text = client.get(
        f"/exams/{second.accession}/move?room=XR2&day={start.date()}&start={start:%H:%M}"
    ).content.decode()
    assert "It cannot be" in text
    assert "XR2 is taken" in text


def test_a_place_lost_to_somebody_else_is_told_with_others_that_are_free(site: Site, client: Client) -> None:
    """Row 42, as a person meets it: the second is told, keeps what was chosen, and is shown other places."""
    first, second = make_exam(site), make_exam(site)
    make_booking(first, room="XR2", start=soon())
    answer = client.post(f"/exams/{second.accession}/book", {"place": place_value("XR2", soon())})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "was not placed" in text
    assert text.count('name="place" value="') >= 2
    assert f'value="{clock.in_zone(soon(), site.timezone):%H:%M}"' in text
    assert not second.bookings.exists()


def test_whoever_is_later_is_told_who_was_first_and_keeps_the_choice(site: Site, client: Client) -> None:
    exam = make_exam(site)
    before = make_booking(exam, start=soon())
    room_id = before.room.site.room_set.get(code="XR2").pk
    move_exam(
        exam_id=exam.pk,
        place=Place(room_id, soon(120), soon(130)),
        at=clock.now(),
        by="user:ali.rahimi",
    )
    answer = client.post(
        f"/exams/{exam.accession}/move", {"place": place_value("XR1", soon(90)), "seen": str(before.pk)}
    )
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "ali.rahimi put this exam into XR2" in text
    assert place_value("XR1", soon(90)) in text
    assert live(exam).room.code == "XR2"


def test_undo_of_a_move_that_never_was_changes_nothing(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon())
    assert client.post(f"/exams/{exam.accession}/move-back").status_code == 409


def test_a_form_leads_back_to_our_own_pages_only(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon())
    answer = client.post(f"/exams/{exam.accession}/arrive", {"back": "//evil.example/x"})
    assert answer["Location"].startswith("/?")
    answer = client.post(f"/exams/{exam.accession}/unarrive", {"back": "/day"})
    assert answer["Location"] == "/day"


def test_the_day_of_an_exam_is_where_a_form_leads_back_to(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=soon(3 * 24 * 60))
    answer = client.post(f"/exams/{exam.accession}/arrive")
    assert f"day={clock.local_day(soon(3 * 24 * 60), site.timezone)}" in answer["Location"]
