"""The simulated porters: each takes the next job on the desk's own page, goes the way, and presses the buttons."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from random import Random

import structlog

from xraydesk.parties.department import Department
from xraydesk.parties.web import Browser, NotTaken, signed_in_as
from xraydesk.siteplan.plan import PorterPlan

log = structlog.get_logger("parties.porters")

PAGE = "/porter"
LOOK_SECONDS = 8.0
SECONDS_A_MINUTE = 12.0
"""A minute of the way takes so long: porters of the box walk five times as fast as people, so that one sees them move."""

CANNOT_SHARE = 0.03
REASONS = ("patient not ready", "needs a nurse")
_STEP = re.compile(r'action="(/porter/jobs/\d+/(accept|picked-up|delivered))"')
_CANNOT = re.compile(r'action="(/porter/jobs/\d+/cannot)"')
_MINUTES = re.compile(r"about (\d+) min")


class Porter:
    """One porter with a phone."""

    def __init__(self, plan: PorterPlan, browser: Browser, random: Random) -> None:
        self.plan, self.browser, self.random = plan, browser, random
        self.known = False

    def work(self, wait: Callable[[float], bool]) -> None:
        """Look at the phone, and do the next step of the job that it shows."""
        page = self.browser.page(PAGE)
        if not self.known:
            self.browser.press(page, f"{PAGE}/who", {"porter": self.plan.code})
            self.known = True
            page = self.browser.page(PAGE)
        step = _STEP.search(page)
        if step is None:
            return
        minutes = int(found[1]) if (found := _MINUTES.search(page)) else 5
        path, what = step[1], step[2]
        if what == "accept":
            self.browser.press(page, path, {})
        elif what == "picked-up":
            if not wait(minutes * SECONDS_A_MINUTE * self.random.uniform(0.6, 1.6)):
                return
            cannot = _CANNOT.search(page)
            if cannot and self.random.random() < CANNOT_SHARE:
                self.browser.press(page, cannot[1], {"why": self.random.choice(REASONS)})
            else:
                self.browser.press(page, path, {})
        elif wait(minutes * SECONDS_A_MINUTE * self.random.uniform(0.8, 1.4)):
            self.browser.press(page, path, {})


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the department's porters until nobody wants them any more."""

    def wait(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and still_wanted():
            time.sleep(0.2)
        return still_wanted()

    def one(plan: PorterPlan) -> None:
        browser = signed_in_as("porter", department.home, department.http)
        if browser is None:
            return
        porter = Porter(plan, browser, Random(f"{department.seed} {plan.code}"))
        while still_wanted():
            try:
                porter.work(wait)
            except (NotTaken, OSError) as wrong:
                log.info("not taken", porter=plan.code, why=str(wrong))
                porter.known = False
            wait(LOOK_SECONDS * porter.random.uniform(0.7, 1.3))

    threads = [threading.Thread(target=one, args=(plan,), name=plan.code) for plan in department.plan.porters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while still_wanted() and not threads:
        time.sleep(0.5)
