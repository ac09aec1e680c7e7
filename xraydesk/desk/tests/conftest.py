"""For every test beside this file: the minute in which it begins, and a served desk and a browser for those that ask."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from xraydesk.desk.tests.browser import Desk, browser, serving
from xraydesk.desk.tests.minute import begin


@pytest.fixture(autouse=True)
def minute() -> None:
    """Two questions of what is soon have one answer, though a minute turns between them."""
    begin()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    # Playwright's synchronous interface keeps a loop running in this thread, in which Django refuses queries.
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with serving() as address, browser() as chromium:
        shown = Desk(chromium, address)
        yield shown
        assert shown.complaints == []
