"""Without a pointer: where the focus is, is always seen; it goes through every page and out again; an hour's work by keys."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Error

from tests.factories import make_exam
from xraydesk.attention.models import Item
from xraydesk.desk.tests.browser import Desk, until
from xraydesk.desk.tests.test_axe import furnished, pages
from xraydesk.desk.tests.test_results import found
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.results.models import Finding
from xraydesk.results.states import FindingState

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

TABS_MAX = 400
GO_TRIES = 10

FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return { at: "", seen: true };
  const all = [...document.querySelectorAll("*")], r = e.getBoundingClientRect();
  const ring = (one) => { const s = getComputedStyle(one); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1; };
  const label = e.closest("label"), own = ["date", "time", "datetime-local"].includes(e.type);  // the browser draws its parts
  const inside = r.width > 0 && r.height > 0 && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth;
  return { at: `${all.indexOf(e)} ${e.outerHTML.slice(0, 120)}`, seen: inside && (own || ring(e) || (label && ring(label))) };
}"""
"""Which element has the focus, and whether a person sees that it has."""

REACHABLE = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
  .filter((e) => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({ visibilityProperty: true }) && !(e.type === "radio" && !e.checked)).length"""


def focus(page: Any) -> str:
    """What has the focus; fails where nobody would see it."""
    told = page.evaluate(FOCUS)
    assert told["seen"], f"{page.url}: the focus is on {told['at']} and not to be seen"
    return str(told["at"])


@pytest.mark.parametrize("width", [1280, 390])
def test_the_focus_goes_through_every_page_seen_all_the_way_and_out_again(desk: Desk, width: int) -> None:
    site, exam, finding = furnished()
    page = desk.page(site, width=width)
    for address in pages(exam, finding):
        page.goto(desk.address + address)
        reachable = page.evaluate(REACHABLE)
        passed: list[str] = []
        for _ in range(TABS_MAX):
            page.keyboard.press("Tab")
            now = focus(page)
            if passed and now == passed[-1]:
                continue  # a date has a day, a month and a year of its own
            if now in passed:
                break
            if now:  # else it is between the last and the first, with the browser's own buttons
                passed.append(now)
        else:
            pytest.fail(f"{address}: the focus does not come out again")
        assert len(passed) >= reachable > 5, (address, len(passed), reachable)


class Keys:
    """Somebody who has no pointer."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            with contextlib.suppress(Error):  # the key led to another page, which is not there yet
                focus(self.page)

    def go(self, key: str, path: str) -> None:
        """To another page by its two keys; pressed again where the page before was still on its way."""
        for _ in range(GO_TRIES):
            self.press("g", key)
            with contextlib.suppress(Error):
                self.page.wait_for_url(f"**{path}", timeout=3000)
                break
        assert self.page.url.endswith(path)
        self.page.wait_for_selector(".live:not([data-stale])")

    def step_to(self, key: str, wanted: str) -> None:
        """The same key until the focus is on what is wanted."""
        for _ in range(TABS_MAX):
            self.press(key)
            if wanted in focus(self.page):
                return
        pytest.fail(f"{wanted} is not reached by {key}")


def test_a_coordinator_works_through_an_hour_by_keyboard_alone(desk: Desk) -> None:
    """Board, triage, what waits, a result read back, the numbers: no pointer, and the focus seen at every step."""
    site, done, _ = furnished()
    waiting, finding = make_exam(site), found(site)
    held = Exam.objects.get(triage=TriageState.HELD)
    page = desk.page(site)
    page.wait_for_selector(".live:not([data-stale])")
    hands = Keys(page)

    hands.step_to("j", f"exam={waiting.accession}")
    hands.press("Enter")
    page.wait_for_selector("#panel >> text=Place it")
    hands.press("Enter")
    until(lambda: waiting.bookings.filter(state="booked").exists())
    page.wait_for_selector(".toast >> text=Undo")
    page.wait_for_selector(".live:not([data-stale])")
    hands.press("u")
    until(lambda: not waiting.bookings.filter(state="booked").exists())
    page.wait_for_selector("#panel >> text=Place it")
    page.wait_for_selector(".live:not([data-stale])")
    hands.press("o")
    page.wait_for_url(f"**/exams/{waiting.accession}")

    hands.go("t", reverse("triage"))
    page.wait_for_selector("text=What the rules found")
    hands.press("p")
    until(lambda: Exam.objects.get(pk=held.pk).triage == TriageState.ACCEPTED)

    hands.go("a", reverse("attention"))
    item = Item.objects.get(key="x")
    for _ in range(page.locator("tbody tr").count()):
        hands.press("j")
        if page.locator("tr.on", has_text=item.text).count():
            break
    assert page.get_attribute("tr.on", "aria-current") == "true"
    hands.press("x")
    until(lambda: not Item.objects.filter(key="x", closed_at=None).exists())

    hands.go("e", reverse("results"))
    path = reverse("finding", args=[finding.pk])
    hands.step_to("j", f'href="{path}"')
    hands.press("Enter")
    page.wait_for_url(f"**{path}")
    page.wait_for_selector("text=Now: ordering provider")
    hands.press("n")
    page.wait_for_selector("text=Now: covering provider")
    hands.step_to("Tab", 'id="read_back"')
    page.keyboard.type("right pneumothorax, patient by name and birth date")
    hands.step_to("Tab", 'value="read back"')
    hands.press("Enter")
    until(lambda: Finding.objects.get(pk=finding.pk).state == FindingState.READ_BACK)

    hands.go("n", reverse("measures"))
    hands.step_to("Tab", f'href="{reverse("measure", args=["exams"])}')
    hands.press("Enter")
    page.wait_for_url(f"**{reverse('measure', args=['exams'])}*")
    assert done.accession in page.inner_text("main")
    assert clock.now() > done.created_at


def test_the_same_hour_without_scripts(desk: Desk) -> None:
    site, done, _ = furnished()
    waiting, finding = make_exam(site), found(site)
    held = Exam.objects.get(triage=TriageState.HELD)
    page = desk.page(site, scripts=False)
    page.click(f"#t-{waiting.accession} a")
    page.click("#panel >> text=Place it")
    assert waiting.bookings.filter(state="booked").exists()
    page.click(".toast >> text=Undo")
    assert not waiting.bookings.filter(state="booked").exists()
    page.goto(desk.address + reverse("triage"))
    page.click("button[formaction$='/accept']")
    assert Exam.objects.get(pk=held.pk).triage == TriageState.ACCEPTED
    page.goto(desk.address + reverse("attention"))
    page.locator("tr", has_text=Item.objects.get(key="x").text).locator("text=Done").click()
    assert not Item.objects.filter(key="x", closed_at=None).exists()
    page.goto(desk.address + reverse("results"))
    page.click(f"a[href='{reverse('finding', args=[finding.pk])}']")
    page.click("button:has-text('No answer')")
    assert page.input_value("#recipient") == "Dr Folasade Adeyemi"
    page.fill("#read_back", "right pneumothorax, patient by name and birth date")
    page.click("text=Read back, end it")
    assert Finding.objects.get(pk=finding.pk).state == FindingState.READ_BACK
    page.goto(desk.address + reverse("measures"))
    page.click(f"main a[href^='{reverse('measure', args=['exams'])}']")
    assert done.accession in page.inner_text("main")
