"""A simulated technologist: answers the safety check on the desk's own page, as people do."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from xraydesk.parties.department import Address
from xraydesk.parties.web import Browser, signed_in_as


class Technologist:
    """Somebody who asks the patient before the exposure. One instance belongs to one machine's thread."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def check(self, accession: str, *, side: str, may_be_pregnant: bool) -> None:
        """Ask the patient and write down the answers for one exam.

        Raises NotTaken or OSError where the desk does not take them.
        """
        path = f"/exams/{quote(accession, safe='')}/check"
        page = self.browser.page(path)
        answers = {"identity": "confirmed"}
        if side:
            answers["side"] = side
        if may_be_pregnant:
            answers["pregnancy"] = "no"
        self.browser.press(page, path, answers)

    def room_down(self, room: str, *, minutes: int, reason: str) -> None:
        """Say that a room is down for a while. Raises NotTaken or OSError."""
        page = self.browser.page(f"/rooms/{quote(room, safe='')}")
        self.browser.press(
            page, f"/rooms/{quote(room, safe='')}/state", {"minutes": str(minutes), "reason": reason}
        )

    def room_ready(self, room: str) -> None:
        """Say that a room is ready again. Raises NotTaken or OSError."""
        page = self.browser.page(f"/rooms/{quote(room, safe='')}")
        self.browser.press(page, f"/rooms/{quote(room, safe='')}/state", {"ready": "1"})


def hired(home: Path, desk: Address) -> Technologist | None:
    """A technologist with the demonstration's own sign-in; None where it has none."""
    browser = signed_in_as("technologist", home, desk)
    return Technologist(browser) if browser else None
