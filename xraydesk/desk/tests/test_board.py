"""The board, its panel, and the list to print, through Django's client."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.members import Member
from xraydesk.access.models import Location, Membership
from xraydesk.access.roles import Role
from xraydesk.desk.access import exam_or_404, room_or_404
from xraydesk.desk.board_query import board_of
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import begin, full_day
from xraydesk.journey.exam_view import find
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room

pytestmark = pytest.mark.django_db


class Page(HTMLParser):
    """What the acceptance asks of each page: title, language, one h1, unique ids, labelled inputs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[tuple[str, bool]] = []
        self.h1 = self._label = 0
        self.title, self._in_title = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        self.h1 += tag == "h1"
        self._in_title = tag == "title"
        if tag == "label":
            self._label += 1
            self.labels.add(given.get("for", ""))
        if tag in {"input", "select", "textarea"} and given.get("type") not in {"hidden", "submit"}:
            self.inputs.append((given.get("id", ""), bool(self._label)))
        assert "onclick" not in given

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        self._label -= tag == "label"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def unlabelled(self) -> list[str]:
        return [i for i, inside in self.inputs if not inside and i not in self.labels]


def accession_of(site_exams: str, **fields: object) -> str:
    return str(Exam.objects.filter(**fields).order_by("id").values_list("accession", flat=True)[0])


def test_a_full_board_draws_every_stage_and_names_as_text() -> None:
    site = full_day(clock.now())
    text = signed_in(site).get("/").content.decode()
    for stage in ("scheduled", "arrived", "inroom", "done", "images"):
        assert f'class="ex{""}' in text
        assert f'data-stage="{stage}" href' in text
    assert "<b>Bold</b>" not in text
    assert "&lt;b&gt;Bold&lt;/b&gt;" in text
    assert "no name yet" in text
    assert 'class="ex lost' in text
    assert "6 to place again" in text
    assert "Two patients have names alike" in text


def test_pages_have_one_heading_labels_unique_ids_and_no_patient_in_the_title() -> None:
    site = full_day(clock.now())
    client = signed_in(site)
    stat = accession_of("", priority="stat")
    booked = accession_of("", bookings__state="booked", triage="accepted", bookings__arrived_at=None)
    for path in ("/", f"/?exam={stat}", f"/?exam={booked}", "/?span=4h", "/day", f"/exams/{booked}/move"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        page = Page(answer.content.decode())
        assert page.h1 == 1, path
        assert len(page.ids) == len(set(page.ids)), path
        assert page.unlabelled() == [], path
        assert page.title.endswith("xraydesk")
        assert not any(name in page.title for name in ("Stojanović", "Kowalczyk"))


def test_the_number_of_queries_does_not_grow_with_the_exams() -> None:
    at = clock.now()
    counts = []
    for code, exams in (("S", 8), ("L", 20)):
        site = full_day(at, rooms=4, exams_a_room=exams, code=code)
        client = signed_in(site)
        client.get("/")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 25


def test_the_panel_offers_what_fits_the_stage_and_the_role() -> None:
    at = clock.now()
    site = full_day(at)
    stat = accession_of("", priority="stat")
    arrived = accession_of(
        "", bookings__arrived_at__isnull=False, bookings__state="booked", stepexam=None, triage="accepted"
    )
    coordinator, manager = signed_in(site), signed_in(site, Role.MANAGER)
    text = coordinator.get(f"/?exam={stat}").content.decode()
    assert 'action="/rearrangements"' in text
    assert f'action="/exams/{stat}/arrive"' in text
    text = coordinator.get(f"/?exam={arrived}").content.decode()
    assert f'action="/exams/{arrived}/unarrive"' in text
    assert f'href="/exams/{arrived}/move"' in text
    assert f"/exams/{arrived}/arrive" not in text
    text = manager.get(f"/?exam={arrived}").content.decode()
    assert 'id="panel"' in text
    assert f"/exams/{arrived}/" not in text
    assert f'href="/exams/{arrived}"' not in text


def test_the_board_leads_nobody_to_a_page_that_is_not_theirs() -> None:
    site = make_site()
    coordinator, administrator = signed_in(site), signed_in(site, Role.ADMINISTRATOR)
    for address in ("/rooms/XR1", "/repair"):
        assert f'href="{address}"' in coordinator.get("/").content.decode()
        assert coordinator.get(address).status_code == 200
        assert f'href="{address}"' not in administrator.get("/").content.decode()
        assert administrator.get(address).status_code == 404


def test_an_exam_that_is_nobodys_here_opens_no_panel() -> None:
    site, other = make_site("T"), make_site("O")
    theirs = make_exam(other)
    answer = signed_in(site).get(f"/?exam={theirs.accession}")
    assert answer.status_code == 200
    assert 'id="panel"' not in answer.content.decode()


def test_the_board_agrees_with_the_one_view_of_an_exam() -> None:
    at = clock.now()
    site = full_day(at)
    seen = board_of(site=site, day=clock.local_day(at, site.timezone), at=at)
    checked = 0
    for card in [*seen.cards, *seen.tray]:
        view = find(site=site, accession=card.accession)
        assert view is not None
        assert (card.stage, card.room or view.room) == (view.stage, view.room)
        checked += 1
    assert checked >= 70


def test_an_exam_is_drawn_in_the_room_that_performs_it() -> None:
    site, at = make_site(), clock.now()
    exam = make_exam(site)
    make_booking(exam, room="XR1", start=at)
    begin(exam, room="XR2", at=at)
    seen = board_of(site=site, day=clock.local_day(at, site.timezone), at=at)
    assert [(lane.code, len(lane.cards)) for lane in seen.lanes] == [("XR1", 0), ("XR2", 1)]


def test_a_role_limited_to_a_location_sees_its_rooms_only() -> None:
    site, at = make_site(), clock.now()
    wing = Location.objects.create(site=site, code="WING", name="Clinic wing")
    Room.objects.filter(site=site, code="XR2").update(location=wing)
    here, there = make_exam(site), make_exam(site)
    make_booking(here, room="XR1", start=at)
    make_booking(there, room="XR2", start=at)
    client = signed_in(site)
    Membership.objects.get(site=site).locations.add(wing)
    text = client.get("/").content.decode()
    assert f"e-{there.accession}" in text
    assert f"e-{here.accession}" not in text
    assert 'id="panel"' not in client.get(f"/?exam={here.accession}").content.decode()
    assert client.post(f"/exams/{here.accession}/arrive").status_code == 404
    assert client.get(f"/exams/{there.accession}/move").status_code == 200


def test_a_portable_units_lane_shows_the_bed() -> None:
    site, at = make_site(), clock.now()
    Room.objects.filter(site=site, code="XR2").update(kind="portable")
    for room in ("XR1", "XR2"):
        exam = make_exam(site)
        exam.order.patient_class, exam.order.ward, exam.order.bed = "I", "W3", "12"
        exam.order.save()
        make_booking(exam, room=room, start=at)
    text = signed_in(site).get("/").content.decode()
    assert '<abbr class="cls" title="inpatient">W3</abbr>' in text
    assert '<abbr class="cls" title="inpatient">W3 12</abbr>' in text


def test_what_is_late_or_waits_says_since_when_so_that_it_can_count_by_itself() -> None:
    site, at = make_site(), clock.now()
    late, waits = make_exam(site), make_exam(site)
    make_booking(late, room="XR1", start=at - timedelta(minutes=12))
    make_booking(waits, room="XR2", start=at + timedelta(minutes=5), arrived_at=at - timedelta(minutes=28))
    text = signed_in(site).get("/").content.decode()
    since = (at - timedelta(minutes=12)).isoformat()
    assert f'data-since="{since}" data-form="+#">+12<span class="w"> late</span>' in text
    assert 'data-form="#′" title="minutes of waiting">28′' in text
    assert "waiting, longest 28 min" in text


def test_the_tray_shows_at_most_sixty_and_says_how_many_more_there_are() -> None:
    site = make_site()
    for _ in range(62):
        make_exam(site)
    last = make_exam(site)
    text = signed_in(site).get(f"/?exam={last.accession}").content.decode()
    assert "2 more" in text
    assert f"t-{last.accession}" in text


def test_a_day_or_time_that_is_none_is_not_there() -> None:
    client = signed_in(make_site())
    for query in (
        "day=yesterday",
        "day=0001-01-01",
        "day=9999-12-31",
        "span=4h&from=25:10",
        "day=2026-02-30",
    ):
        assert client.get(f"/?{query}").status_code == 404, query
    assert client.get("/day?show=order_by").status_code == 404
    assert client.get("/?day=2026-03-02&span=4h&from=10:00").status_code == 200


def test_without_rooms_the_board_says_what_to_do() -> None:
    site = make_site(rooms=0)
    assert "No rooms yet" in signed_in(site).get("/").content.decode()


def test_other_days_have_their_own_exams_and_no_now_line() -> None:
    site, at = make_site(), clock.now()
    tomorrow = make_exam(site)
    make_booking(tomorrow, start=at + timedelta(days=1))
    day = (clock.local_day(at, site.timezone) + timedelta(days=1)).isoformat()
    client = signed_in(site)
    assert f"e-{tomorrow.accession}" not in client.get("/").content.decode()
    text = client.get(f"/?day={day}").content.decode()
    assert f"e-{tomorrow.accession}" in text
    assert 'class="now"' not in text


def test_the_day_list_has_what_is_needed_to_work_from_paper() -> None:
    site, at = make_site(), clock.now()
    exam = make_exam(site, code="XRKNEE2", laterality="L")
    exam.notes.create(site=site, at=at, by="user:x", text="Comes with her daughter.")
    make_booking(exam, start=at)
    held = make_exam(site, triage=TriageState.HELD)
    text = signed_in(site).get("/day").content.decode()
    for words in (
        "Prüfer, Ada",
        "12 May 1969",
        "MRN MR",
        "Left knee 2 views",
        "Comes with her daughter.",
        "No place yet",
        "On hold",
    ):
        assert words in text
    assert exam.accession in text
    assert held.accession in text
    filtered = signed_in(site).get("/day?show=unplaced").content.decode()
    assert exam.accession not in filtered
    assert held.accession in filtered


def test_each_number_in_the_bar_leads_to_a_list_of_so_many() -> None:
    site = full_day(clock.now())
    client = signed_in(site)
    text = client.get("/").content.decode()
    shown = {
        show: int(text.split(f'<a href="/day?show={show}">')[1].split("<")[0])
        for show in ("inroom", "waiting", "late")
    }
    for show, number in shown.items():
        listed = client.get(f"/day?show={show}").content.decode()
        assert listed.count('<td class="left">') == number, show


PATHS = ("/", "/day", "/exams/{}/move")
POSTS = ("arrive", "unarrive", "book", "move", "move-back", "cancel-booking", "no-show", "undo-no-show")


def test_a_stranger_is_led_to_the_sign_in_and_back() -> None:
    exam = make_exam(make_site())
    for path in PATHS:
        answer = Client().get(path.format(exam.accession))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in")
    for deed in POSTS:
        answer = Client().post(f"/exams/{exam.accession}/{deed}")
        assert answer.status_code == 302
        assert answer["Location"] == "/sign-in?lost=1"


def test_a_role_that_may_not_and_another_site_find_nothing() -> None:
    """Row 57: every URL, every role, another site's object."""
    site, other = make_site("T"), make_site("O")
    exam = make_exam(site)
    booking = make_booking(exam, start=clock.now() - timedelta(minutes=30))
    porter, manager, theirs = signed_in(site, Role.PORTER), signed_in(site, Role.MANAGER), signed_in(other)
    for path in PATHS:
        assert porter.get(path.format(exam.accession)).status_code == 404
    assert manager.get("/").status_code == 200
    assert manager.get(f"/exams/{exam.accession}/move").status_code == 404
    assert theirs.get(f"/exams/{exam.accession}/move").status_code == 404
    for deed in POSTS:
        for client in (porter, manager, theirs):
            assert (
                client.post(
                    f"/exams/{exam.accession}/{deed}", {"place": "XR1 2026-03-02T15:00:00+00:00"}
                ).status_code
                == 404
            )
    booking.refresh_from_db()
    assert (booking.state, booking.arrived_at) == ("booked", None)


def test_a_technologist_may_say_that_a_patient_is_here_and_no_more() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, start=clock.now())
    client = signed_in(site, Role.TECHNOLOGIST)
    assert client.post(f"/exams/{exam.accession}/arrive").status_code == 303
    assert client.post(f"/exams/{exam.accession}/cancel-booking").status_code == 404


def test_things_of_another_location_are_not_found_by_the_guards() -> None:
    site = make_site()
    wing = Location.objects.create(site=site, code="WING", name="Clinic wing")
    member = Member(who="user:x", name="x", site=site, role=Role.COORDINATOR, locations=frozenset({wing.pk}))
    from django.http import Http404

    with pytest.raises(Http404):
        room_or_404(member, "XR1")
    unplaced = make_exam(site)
    assert exam_or_404(member, unplaced.accession) == unplaced
