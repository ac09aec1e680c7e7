"""A simulated coordinator at the front desk: says on the desk's own page who did not come, as people do."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from xraydesk.parties.department import Address
from xraydesk.parties.web import Browser, signed_in_as


class FrontDesk:
    """Somebody who looks into the waiting room. One instance belongs to one machine's thread."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def did_not_come(self, accession: str) -> None:
        """Say that an exam's patient did not come. Raises NotTaken or OSError."""
        path = f"/exams/{quote(accession, safe='')}"
        self.browser.press(self.browser.page(path), f"{path}/no-show", {})


def staffed(home: Path, desk: Address) -> FrontDesk | None:
    """A front desk with the demonstration's own sign-in; None where it has none."""
    browser = signed_in_as("coordinator", home, desk)
    return FrontDesk(browser) if browser else None
