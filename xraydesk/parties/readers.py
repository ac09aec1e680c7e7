"""The simulated readers: they call whoever must be told of a result, until it is read back, on the desk's own pages.

Sometimes the first person does not answer, or somebody else picks up and is asked to pass it on; then the next one is
called. They take their time, so that whoever looks at the demonstration can be faster.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import structlog

from xraydesk.parties.department import Department
from xraydesk.parties.web import Browser, NotTaken, signed_in_as

log = structlog.get_logger("parties.readers")

PAGE = "/results"
LOOK_SECONDS = 10.0
FIRST_SECONDS = (60.0, 240.0)
"""From when a finding is seen to the first call."""

AGAIN_SECONDS = (20.0, 90.0)
"""From one call to the next."""

FINDINGS_MAX = 50
NO_ANSWER_SHARE = 0.4
"""So often the person who is called first does not answer."""

LEFT_WORD_SHARE = 0.1
_FINDING = re.compile(r'href="/results/(\d+)"')
_VALUE = re.compile(r'<input[^>]*\bname="(role|reached_at|recipient)"[^>]*\bvalue="([^"]*)"')


@dataclass
class Reader:
    """One reader at a desk with a telephone. `due` says when each finding is next worked on, in monotonic seconds."""

    browser: Browser
    random: Random
    due: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def work(self, now: float) -> None:
        """Look at the list, and do what is due: say that somebody must be told, or call them."""
        waiting = list(dict.fromkeys(_FINDING.findall(self.browser.page(PAGE))))[:FINDINGS_MAX]
        self.due = {
            number: self.due.get(number) or now + self.random.uniform(*FIRST_SECONDS) for number in waiting
        }
        self.calls = {number: self.calls.get(number, 0) for number in waiting}
        for number in waiting:
            if self.due[number] <= now:
                self.due[number] = now + self.random.uniform(*AGAIN_SECONDS)
                self.press(number)

    def press(self, number: str) -> None:
        """One step with one finding; raises NotTaken or OSError where the desk does not take it."""
        path = f"{PAGE}/{number}"
        page = self.browser.page(path)
        if f'action="{path}/call"' in page:
            told = {name: html.unescape(value) for name, value in _VALUE.findall(page)}
            outcome = self.outcome(number)
            answer = {
                "recipient": told.get("recipient") or "the ward, whoever is there",
                "role": told.get("role", ""),
                "reached_at": told.get("reached_at", ""),
                "way": "phone",
                "outcome": outcome,
                "read_back": "Patient, finding and side as told." if outcome == "read back" else "",
                "note": "",
            }
            self.browser.press(page, f"{path}/call", answer)
            self.calls[number] += 1
        elif f'action="{path}/confirm"' in page:
            self.browser.press(page, f"{path}/confirm", {})

    def outcome(self, number: str) -> str:
        """What comes of a call; after the second one they are reached."""
        share = self.random.random()
        if self.calls[number] == 0 and share < NO_ANSWER_SHARE:
            return "no answer"
        if self.calls[number] == 1 and share < LEFT_WORD_SHARE:
            return "left word"
        return "read back"


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the department's readers until nobody wants them any more."""
    browser = signed_in_as("radiologist", department.home, department.http)
    reader = Reader(browser, Random(f"{department.seed} readers")) if browser else None
    look_at = 0.0
    while still_wanted():
        if reader is not None and time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_SECONDS * reader.random.uniform(0.7, 1.3)
            try:
                reader.work(time.monotonic())
            except (NotTaken, OSError) as wrong:
                log.info("not taken", why=str(wrong))
        time.sleep(0.5)
