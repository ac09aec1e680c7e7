"""A body that is longer than its sender may send is not kept."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.factories import make_site
from xraydesk.desk.tests.people import signed_in
from xraydesk.project import uploads
from xraydesk.project.body_limit import BodyLimit, is_signed_in
from xraydesk.project.static import Message, Receive, Scope, Send

STRANGER, KNOWN = b"stranger", b"known"
FEW, MANY = 10, 100


class Kept:
    """An application that keeps what it is sent."""

    def __init__(self) -> None:
        self.body = b""
        self.called = self.hung_up = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called, more = True, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.hung_up = True
                return
            self.body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def knows(scope: Scope) -> bool:
    return (b"cookie", KNOWN) in scope["headers"]


def send_body(kept: Kept, *parts: bytes, by: bytes, told: int | None = None) -> int:
    """The status that comes back; `told` is what is said of the length before."""
    coming = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    coming[-1]["more_body"] = False
    answers: list[Message] = []

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        answers.append(message)

    headers = [(b"cookie", by)]
    if told is not None:
        headers.append((b"content-length", str(told).encode()))
    limit = BodyLimit(kept, knows=knows, bytes_max=FEW, files_bytes_max=MANY)
    asyncio.run(limit({"type": "http", "headers": headers}, receive, send))
    return int(answers[0]["status"])


@pytest.mark.parametrize(("by", "most"), [(STRANGER, FEW), (KNOWN, MANY)])
def test_a_body_that_says_it_is_too_long_is_refused_before_anything_is_read(by: bytes, most: int) -> None:
    kept = Kept()
    assert send_body(kept, b"x", by=by, told=most + 1) == 413
    assert not kept.called
    assert send_body(kept, b"x" * most, by=by, told=most) == 200
    assert kept.body == b"x" * most


@pytest.mark.parametrize(("by", "most"), [(STRANGER, FEW), (KNOWN, MANY)])
def test_a_body_that_does_not_say_is_cut_off(by: bytes, most: int) -> None:
    kept = Kept()
    assert send_body(kept, *[b"x"] * (most + 1), by=by) == 413
    assert kept.hung_up
    assert kept.body == b"x" * most
    assert send_body(Kept(), *[b"x"] * most, by=by) == 200


@pytest.mark.django_db
def test_whoever_is_signed_in_is_known_by_the_cookie_and_a_stranger_by_none() -> None:
    client = signed_in(make_site())
    key = client.cookies["xraydesk_session"].value

    def known(cookie: str) -> bool:
        scope: dict[str, Any] = {"type": "http", "headers": [(b"cookie", cookie.encode())]}
        return async_to_sync(is_signed_in)(scope)

    assert known(f"csrftoken=a; xraydesk_session={key}")
    assert not known("xraydesk_session=made-up")
    assert not known(f"other={key}")
    assert not known("")
    client.post("/sign-out")
    assert not known(f"xraydesk_session={key}")


def test_what_a_killed_process_left_of_uploads_goes(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "uploads")
    uploads.make_room()
    old, new = tmp_path / "uploads" / "old", tmp_path / "uploads" / "new"
    old.touch()
    new.touch()
    os.utime(old, (0, time.time() - uploads.LEFT_SECONDS - 60))
    uploads.make_room()
    assert [old.exists(), new.exists()] == [False, True]
    assert (tmp_path / "uploads").stat().st_mode & 0o777 == 0o700
