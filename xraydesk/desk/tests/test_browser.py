"""The board in a real browser: live, by keyboard, without JavaScript, at both widths."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.desk import live
from xraydesk.desk.tests.browser import WIDTHS, Desk, until
from xraydesk.desk.tests.scenes import full_day, mid_morning_zone
from xraydesk.journey.arrive import arrive
from xraydesk.lib import clock
from xraydesk.orders.models import Exam

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site() -> Site:
    site = make_site()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    return site


def booked(site: Site, *, minutes: int = 30, room: str = "XR1", **fields: Any) -> Exam:
    exam = make_exam(site, **fields)
    make_booking(exam, room=room, start=clock.now() + timedelta(minutes=minutes))
    return exam


def test_a_change_by_somebody_else_changes_its_block_and_no_other(site: Site, desk: Desk) -> None:
    """Row 50 begins here: what is shown is what is true, without a click."""
    first, second = booked(site), booked(site, room="XR2")
    page = desk.page(site)
    page.evaluate(f"document.getElementById('e-{second.accession}').dataset.mine = 'untouched'")
    arrive(exam_id=first.pk, at=clock.now(), by="user:somebody.else")
    page.wait_for_selector(f"#e-{first.accession} .ex[data-stage=arrived]", timeout=15_000)
    assert page.get_attribute(f"#e-{second.accession}", "data-mine") == "untouched"
    assert page.locator(f"#e-{first.accession}.changed").count() == 1
    late = booked(site, minutes=90)
    arrive(exam_id=late.pk, at=clock.now(), by="user:somebody.else")
    page.wait_for_selector(f"#l-XR1 > #e-{late.accession}", timeout=15_000)


def test_what_is_being_typed_is_not_replaced(site: Site, desk: Desk) -> None:
    exam = booked(site)
    page = desk.page(site)
    page.goto(f"{desk.address}/?exam={exam.accession}")
    page.keyboard.press("h")
    page.keyboard.type("asked for a chaperone")
    arrive(exam_id=exam.pk, at=clock.now(), by="user:somebody.else")
    page.wait_for_selector(f"#e-{exam.accession} .ex[data-stage=arrived]", timeout=15_000)
    assert page.input_value("#hold-why") == "asked for a chaperone"


def test_a_click_fills_the_panel_and_back_empties_it(site: Site, desk: Desk) -> None:
    exam = booked(site)
    page = desk.page(site)
    page.evaluate("window.same = true")
    page.click(f"#e-{exam.accession} a")
    page.wait_for_selector("#panel")
    assert page.url.endswith(f"?exam={exam.accession}")
    assert page.evaluate("window.same") is True
    assert page.get_attribute(f"#e-{exam.accession} a", "aria-current") == "true"
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="detached")
    page.go_back()
    page.wait_for_selector("#panel")


def test_an_exam_arrives_and_is_undone_by_keyboard_alone(site: Site, desk: Desk) -> None:
    exam = booked(site)
    page = desk.page(site)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    page.wait_for_selector(".toast")
    assert exam.bookings.get().arrived_at is not None
    page.keyboard.press("u")
    page.wait_for_selector("text=Arrival taken back.")
    assert exam.bookings.get().arrived_at is None


def test_keys_open_help_search_and_pages(site: Site, desk: Desk) -> None:
    page = desk.page(site)
    page.wait_for_selector(".live:not([data-stale])")  # the script is there, and hears keys
    page.keyboard.press("?")
    assert page.locator("dialog#keys[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog#keys[open]").count() == 0
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/day")
    page.keyboard.press("g")
    page.keyboard.press("b")
    page.wait_for_url(desk.address + "/")


def test_a_page_whose_link_is_old_says_as_of_when_and_is_fresh_again_on_return(
    site: Site, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 50: a gap in the stream shows "as of"; what happened meanwhile is fetched on return."""
    exam = booked(site)
    page = desk.page(site)
    page.wait_for_selector(".live:not([data-stale])")
    # The browser's "offline" leaves open streams alone, so the stream is made to fall silent as well.
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 3600.0)
    page.context.set_offline(True)
    page.wait_for_selector(".live[data-stale]", timeout=30_000)
    assert page.inner_text(".live").startswith("as of ")
    arrive(exam_id=exam.pk, at=clock.now(), by="user:somebody.else")
    page.wait_for_timeout(2000)
    assert page.locator(f"#e-{exam.accession} .ex[data-stage=arrived]").count() == 0
    page.context.set_offline(False)
    page.wait_for_selector(f"#e-{exam.accession} .ex[data-stage=arrived]", timeout=30_000)
    page.wait_for_selector(".live:not([data-stale])", timeout=10_000)
    desk.complaints.clear()  # the browser says that it was offline


def test_waiting_minutes_count_up_and_the_now_line_moves_by_themselves(site: Site, desk: Desk) -> None:
    exam = booked(site, minutes=10)
    arrive(exam_id=exam.pk, at=clock.now() - timedelta(minutes=7), by="user:x")
    page = desk.page(site)
    flag = page.locator(f"#e-{exam.accession} .flag[data-since]")
    assert flag.inner_text() == "7′"
    before = float(page.evaluate("document.querySelector('main').style.getPropertyValue('--now')"))
    page.evaluate(
        "const m = document.querySelector('main'); m.style.setProperty('--now', 0);"
        f"document.querySelector('#e-{exam.accession} .flag').dataset.since = new Date(Date.now() - 9 * 60e3).toISOString()"
    )
    until(lambda: flag.inner_text() == "9′")
    now = "Number(document.querySelector('main').style.getPropertyValue('--now'))"
    until(lambda: abs(page.evaluate(now) - before) < 3)


def test_everything_works_without_javascript(site: Site, desk: Desk) -> None:
    exam = booked(site)
    page = desk.page(site, scripts=False)
    page.click(f"#e-{exam.accession} a")
    page.click("button:has-text('Arrived')")
    assert "Marked as arrived." in page.inner_text(".toast")
    page.click("#panel a:has-text('Move')")
    page.select_option("#room", "XR2")
    page.click("button:has-text('See what happens')")
    page.click("button:has-text('Accept')")
    assert exam.bookings.get(state="booked").room.code == "XR2"
    page.click(".toast button")
    assert exam.bookings.get(state="booked").room.code == "XR1"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
def test_nothing_runs_out_of_the_page_whatever_the_names(desk: Desk, width: int, theme: str) -> None:
    at = clock.now()
    full = full_day(at, rooms=3, exams_a_room=14, code="F")
    page = desk.page(full, width=width, theme=theme)
    stat = Exam.objects.get(site=full, priority="stat").accession
    booked_one = Exam.objects.filter(site=full, bookings__state="booked", triage="accepted")[0].accession
    for path in (
        "/",
        f"/?exam={stat}",
        "/?span=4h",
        "/day",
        f"/exams/{booked_one}/move",
        "/about/intended-use",
    ):
        page.goto(desk.address + path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (ink > paper) == (theme == "dark")


def test_a_day_of_six_rooms_fits_without_scrolling(desk: Desk) -> None:
    full = full_day(clock.now(), rooms=6, code="F")
    page = desk.page(full)
    inside, shown = page.evaluate(
        "(e => [e.scrollHeight, e.clientHeight])(document.querySelector('.scroll'))"
    )
    assert inside <= shown
    tall = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    assert tall <= 0


def test_an_empty_board_and_thirty_rooms_are_drawn_too(desk: Desk) -> None:
    empty = make_site("E", rooms=3)
    page = desk.page(empty)
    assert "everyone is placed" in page.inner_text("#tray")
    big = full_day(clock.now(), rooms=30, exams_a_room=4, code="B")
    page = desk.page(big)
    assert page.locator(".lane").count() == 30
    assert page.locator(".line .ex").count() == 120


def test_a_stat_is_let_in_by_keys_with_ghosts_before_and_undo_after(site: Site, desk: Desk) -> None:
    """Preview, next best, accept, undo: no pointer needed."""
    now = clock.now().replace(second=0, microsecond=0)
    for room in ("XR1", "XR2"):
        for number in range(9):
            make_booking(make_exam(site), room=room, start=now + timedelta(minutes=number * 10))
    exam = make_exam(site, priority="stat", due_at=clock.now() + timedelta(minutes=60))
    exam.order.patient_class = "E"
    exam.order.save()
    page = desk.page(site)
    page.wait_for_selector(".live:not([data-stale])")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#proposal")
    ghost = page.locator(f"#g-{exam.accession}")
    assert ghost.count() == 1
    first = ghost.get_attribute("style")
    page.keyboard.press("n")
    until(lambda: "Proposal 2 of" in page.inner_text("#proposal h3"))
    assert (
        page.locator(f"#g-{exam.accession}").get_attribute("style") != first or page.locator(".ghost").count()
    )
    page.keyboard.press("Enter")
    page.wait_for_selector(f".line #e-{exam.accession}")
    assert page.locator(".ghost").count() == 0
    assert exam.bookings.filter(state="booked").count() == 1
    page.keyboard.press("u")
    until(lambda: exam.bookings.filter(state="booked").count() == 0)
    page.wait_for_selector(f"#t-{exam.accession}")


def test_an_exam_dropped_on_a_lane_shows_what_would_follow_and_changes_nothing(
    site: Site, desk: Desk
) -> None:
    exam = make_exam(site)
    other = booked(site, minutes=120)
    page = desk.page(site)
    page.drag_and_drop(f"#t-{exam.accession} a", "#l-XR2", target_position={"x": 600, "y": 10})
    page.wait_for_selector("text=What would happen")
    assert f"/exams/{exam.accession}/move?room=XR2&at=" in page.url
    page.go_back()
    page.drag_and_drop(f"#e-{other.accession} a", "#l-XR2", target_position={"x": 700, "y": 10})
    page.wait_for_selector("text=What would happen")
    assert f"/exams/{other.accession}/move?room=XR2&at=" in page.url
    assert exam.bookings.count() == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_not_on_the_worklist_is_answered_in_three_clicks(site: Site, desk: Desk, width: int) -> None:
    exam = booked(site)
    page = desk.page(site, width=width)
    page.goto(desk.address)
    page.click(f"#e-{exam.accession}")
    page.click("text=Not on the worklist?")
    page.wait_for_selector("#answer >> text=XR1 shows it")
    page.click("nav[aria-label=Machine] >> text=XR2")
    page.wait_for_selector("#answer >> text=XR2 does not show it")
    assert "not in XR2, where XR2 stands" in page.inner_text("#answer")
    assert "On the worklist of XR1" in page.inner_text("#answer")
    assert "has asked nothing" in page.inner_text("#asked")
