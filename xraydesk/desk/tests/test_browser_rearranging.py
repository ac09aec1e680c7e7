"""Letting others give way, in a real browser: what would follow is said while an exam is dragged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.desk.tests.browser import Desk, until
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.journey.arrive import arrive
from xraydesk.journey.tests.test_better import tight, time_enough  # noqa: F401 - a fixture
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.scheduling.models import Booking, Rearrangement

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
MIN = timedelta(minutes=1)


@pytest.fixture
def site() -> Site:
    """One room free, the other booked for two hours; mid-morning."""
    site = make_site()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    start = clock.now().replace(second=0, microsecond=0) + 5 * MIN
    for number in range(12):
        make_booking(make_exam(site), room="XR1", start=start + number * 10 * MIN)
    return site


def stat(site: Site) -> Exam:
    exam = make_exam(site, priority="stat", due_at=clock.now() + 60 * MIN)
    exam.order.patient_class = "E"
    exam.order.save()
    return exam


def over(page: Any, room: str, at: Any) -> tuple[float, float]:
    """The point of the screen at which a room's lane shows a moment."""
    box = page.locator(f"#l-{room}").bounding_box()
    span, start = page.evaluate(
        "(m => [Number(m.style.getPropertyValue('--span')), Date.parse(m.dataset.start)])(document.querySelector('main'))"
    )
    minute = (at.timestamp() * 1000 - start) / 60_000
    return box["x"] + box["width"] * minute / span, box["y"] + 10


def hold(page: Any, x: float, y: float) -> None:
    """Bring what is held to a point, and keep it there as a hand does: never quite still.

    Twice to each point: where two blocks meet, a step to and fro would only ever enter, and rest on neither.
    """
    for step in range(4):
        page.mouse.move(x + step // 2, y)
        page.wait_for_timeout(80)


def said(page: Any, words: str, x: float, y: float) -> None:
    """Hold it there until that is said beside it."""

    def heard() -> bool:
        hold(page, x, y)
        return page.locator("output").is_visible() and words in page.inner_text("output")

    until(heard)


def lift(page: Any, exam: Exam) -> None:
    """Take an exam out of the tray, and hold it."""
    box = page.locator(f"#t-{exam.accession} a").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 30)


def test_what_would_follow_is_said_while_an_exam_is_dragged(site: Site, desk: Desk) -> None:
    exam = stat(site)
    page = desk.page(site)
    lift(page, exam)
    said(page, "Nobody else moves.", *over(page, "XR2", clock.now() + 40 * MIN))
    said(page, "If others give way", *over(page, "XR1", clock.now() + 40 * MIN))
    assert "→" in page.inner_text("output"), "who moves, from where to where"
    said(page, "It cannot be", *over(page, "XR1", clock.now() - 30 * MIN))
    assert Rearrangement.objects.count() == 0
    assert not Booking.objects.filter(exam=exam).exists(), "nothing has changed by asking"
    hold(page, 640, 20)
    page.wait_for_selector("output", state="hidden")
    hold(page, *over(page, "XR1", clock.now() + 40 * MIN))
    page.mouse.up()
    page.wait_for_selector("h3:has-text('If others give way')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast")
    assert Booking.objects.filter(exam=exam, state="booked", room__code="XR1").exists()


def test_while_dragged_one_question_is_asked_at_a_time_and_the_last_place_is_answered(
    site: Site, desk: Desk
) -> None:
    exam = stat(site)
    page = desk.page(site)
    open_now, most, asked = 0, 0, list[str]()

    def begun(request: Any) -> None:
        nonlocal open_now, most
        if "/would?" in request.url:
            asked.append(request.url)
            open_now += 1
            most = max(most, open_now)

    def ended(request: Any) -> None:
        nonlocal open_now
        open_now -= "/would?" in request.url

    page.on("request", begun)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    lift(page, exam)
    for minute in range(0, 100, 5):
        page.mouse.move(*over(page, "XR2", clock.now() + (20 + minute) * MIN))
    last = over(page, "XR2", clock.now() + 150 * MIN)
    hold(page, *last)
    page.wait_for_selector("output:has-text('Nobody else moves.')")

    def shown() -> bool:
        at = datetime.fromisoformat(parse_qs(urlsplit(asked[-1]).query)["at"][0])
        return f"XR2 at {clock.in_zone(at, site.timezone):%H:%M}" in page.inner_text("output")

    until(shown)
    assert most == 1
    assert len(asked) < 20, "not a question for each step of the pointer"
    page.mouse.up()


def test_what_is_dragged_is_not_replaced_by_what_others_do(site: Site, desk: Desk) -> None:
    exam = stat(site)
    page = desk.page(site)
    page.wait_for_selector(".live:not([data-stale])")
    page.evaluate(f"document.getElementById('t-{exam.accession}').dataset.mine = 'held'")
    lift(page, exam)
    hold(page, *over(page, "XR2", clock.now() + 40 * MIN))
    exam.due_at = clock.now() + 90 * MIN
    exam.save()
    other = Booking.objects.filter(site=site).earliest("id").exam
    arrive(exam_id=other.pk, at=clock.now(), by="user:somebody.else")
    page.wait_for_selector(f"#e-{other.accession} .ex[data-stage=arrived]", timeout=15_000)
    assert page.get_attribute(f"#t-{exam.accession}", "data-mine") == "held"
    page.mouse.up()


def test_a_better_proposal_takes_the_place_of_the_first_unless_somebody_has_moved_on(
    desk: Desk,
    time_enough: None,  # noqa: F811
) -> None:
    site, _, exam = tight(clock.now().replace(second=0, microsecond=0) + 5 * MIN)
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    page = desk.page(site)
    page.click(f"#t-{exam.accession} a")
    page.wait_for_selector("#proposal")
    page.keyboard.press("n")
    until(lambda: "Proposal 2 of" in page.inner_text("#proposal h3"))
    page.wait_for_timeout(1500)
    assert page.locator("text=better found").count() == 0, "nobody is pulled back from what they look at"
    page.goto(f"{desk.address}/?exam={exam.accession}")
    page.wait_for_selector("#proposal h3:has-text('better found')", timeout=120_000)
    assert page.locator(f"#g-{exam.accession}").count() == 1, "and its ghosts are drawn"
    button = page.locator("button[form=rearrange]")
    until(button.is_enabled)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".line #e-{exam.accession}")
    assert exam.bookings.filter(state="booked").count() == 1


def test_of_two_coordinators_at_two_boards_the_later_one_is_told_who_was_first(
    site: Site, desk: Desk
) -> None:
    """Row 44: the second board has not heard yet of what the first one did; it is told, and shown a new proposal."""
    Booking.objects.filter(site=site).delete()
    start = clock.now().replace(second=0, microsecond=0) + 5 * MIN
    for room in ("XR1", "XR2"):
        for number in range(12):
            make_booking(make_exam(site), room=room, start=start + number * 10 * MIN)
    one, other = stat(site), stat(site)
    first, second = desk.page(site), desk.page(site)
    first.click(f"#t-{one.accession} a")
    second.click(f"#t-{other.accession} a")
    for page in (first, second):
        page.wait_for_selector(".ghost")
    # The second board's line is slow: what the first one does is not on it yet.
    second.route(
        "**/*", lambda route: route.abort() if "x-live" in route.request.headers else route.continue_()
    )
    first.keyboard.press("Enter")
    first.wait_for_selector(f".line #e-{one.accession}")
    second.keyboard.press("Enter")
    second.wait_for_selector(".toast[role=alert]")
    assert Rearrangement.objects.count() == 1
    assert not Booking.objects.filter(exam=other, state="booked").exists(), "nothing half done"
    second.unroute("**/*")
    second.wait_for_selector("#proposal")
    second.click(".toast a")
    second.wait_for_selector("#proposal")
    until(second.locator("button[form=rearrange]").is_enabled)
    second.keyboard.press("Enter")
    second.wait_for_selector(f".line #e-{other.accession}")
    assert Rearrangement.objects.count() == 2
    desk.complaints.clear()  # the browser says that it was cut off
