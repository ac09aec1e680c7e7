"""A served desk and a browser, for every test beside this file that asks for one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from xraydesk.desk.tests.browser import Desk, browser, serving


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    # Playwright's synchronous interface keeps a loop running in this thread, in which Django refuses queries.
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with serving() as address, browser() as chromium:
        shown = Desk(chromium, address)
        yield shown
        assert shown.complaints == []
