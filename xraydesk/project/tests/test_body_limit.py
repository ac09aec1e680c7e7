"""A body that is longer than its sender may send is not kept."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.factories import make_site
from xraydesk.desk.tests.people import signed_in
from xraydesk.project import body_limit, uploads
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


def send_body(
    kept: Kept, *parts: bytes, by: bytes, told: int | None = None, path: str = "/form"
) -> tuple[int, bytes, int]:
    """The status and body that come back, and how many parts nobody read; `told` is what is said of the length before."""
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
    asyncio.run(limit({"type": "http", "headers": headers, "path": path}, receive, send))
    return int(answers[0]["status"]), answers[1]["body"], len(coming)


@pytest.mark.parametrize(("by", "most"), [(STRANGER, FEW), (KNOWN, MANY)])
def test_a_body_that_says_it_is_too_long_is_refused_before_anything_is_kept(by: bytes, most: int) -> None:
    kept = Kept()
    answer = send_body(kept, b"x" * most, b"x", by=by, told=most + 1)
    assert answer == (413, b"The request is longer than is taken here.\n", 0)
    assert not kept.called
    assert send_body(kept, b"x" * most, by=by, told=most)[0] == 200
    assert kept.body == b"x" * most


@pytest.mark.parametrize("more", [1, 3])
@pytest.mark.parametrize(("by", "most"), [(STRANGER, FEW), (KNOWN, MANY)])
def test_a_body_that_does_not_say_is_cut_off(by: bytes, most: int, more: int) -> None:
    kept = Kept()
    status, _, unread = send_body(kept, *[b"x"] * (most + more), by=by)
    assert (status, unread) == (413, 0)
    assert kept.hung_up
    assert kept.body == b"x" * most
    assert send_body(Kept(), *[b"x"] * most, by=by)[0] == 200


def test_programs_are_told_so_as_fhir_tells_it() -> None:
    status, told, _ = send_body(Kept(), b"x" * MANY, by=STRANGER, told=MANY, path="/fhir/R4/Patient")
    assert status == 413
    assert json.loads(told)["issue"][0]["code"] == "too-long"


def test_what_says_that_it_is_very_long_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "UNREAD_BYTES_MAX", MANY)
    status, _, unread = send_body(Kept(), b"x", by=STRANGER, told=MANY + 1)
    assert (status, unread) == (413, 1)


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
