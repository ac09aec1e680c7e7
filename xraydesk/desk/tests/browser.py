"""A real server and a real browser, for tests that look at pages."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.db import connection, connections

from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.scenes import PASSWORD, make_user
from xraydesk.project.static import StaticFiles
from xraydesk.project.web import Server

CHROMIUM = "/usr/bin/chromium"
WIDTHS = {1280: 720, 390: 844}


@contextmanager
def serving() -> Iterator[str]:
    """The desk's address while it is served over a real socket."""
    # Each request of an ASGI server runs in a thread that ends with it: a connection must not outlive it.
    kept, connection.settings_dict["CONN_MAX_AGE"] = connection.settings_dict["CONN_MAX_AGE"], 0
    listener = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(
        StaticFiles(get_asgi_application()),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    server = Server(settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive(), "the server did not end"
        listener.close()
        connection.settings_dict["CONN_MAX_AGE"] = kept


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's chromium under playwright; skips with the reason where it is absent."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("chromium is not installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield chromium
        finally:
            # Playwright runs this thread inside a loop of its own, where Django keeps another connection.
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
                connections.close_all()
            chromium.close()


def sign_in(page: Any, address: str, name: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto(address + "/sign-in")
    page.fill("#username", name)
    page.fill("#password", password)
    page.click("button.go")
    page.wait_for_selector("header.top")
    page.wait_for_load_state()  # its scripts have run: what a test then changes is not taken for what was served


def until(reached: Callable[[], object]) -> None:
    """Waits for what the page does by itself; its policy forbids the evaluation that playwright waits with."""
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.1)


class Desk:
    """A served desk, a browser, and what its pages complained of."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.chromium = chromium
        self.address = address
        self.complaints: list[str] = []

    def page(
        self,
        site: Site,
        *,
        width: int = 1280,
        theme: str = "light",
        scripts: bool = True,
        role: Role = Role.COORDINATOR,
    ) -> Any:
        name = f"{role}.{site.code.lower()}"
        if not site.memberships.filter(user__name=name).exists():
            make_user(site, role, name)
        context = self.chromium.new_context(
            viewport={"width": width, "height": WIDTHS[width]},
            color_scheme=theme,
            java_script_enabled=scripts,
        )
        page = context.new_page()
        page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        sign_in(page, self.address, name, PASSWORD)
        return page
