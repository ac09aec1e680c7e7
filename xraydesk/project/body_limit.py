"""A request's body is cut off at a stated size before anything of it is kept: what comes is written to the disk as it comes.

Django reads a body to its end before any view sees who asks. So a stranger may send no more than a form or a
resource needs; files of a medium are for whoever is signed in.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from importlib import import_module

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY

from xraydesk.project.body_deadline import refuse
from xraydesk.project.static import Application, Message, Receive, Scope, Send
from xraydesk.project.uploads import UPLOAD_BYTES_MAX

BODY_BYTES_MAX = 4_194_304
"""Of a form or a FHIR resource; a view may take less."""

FILES_BYTES_MAX = 2 * UPLOAD_BYTES_MAX
"""Of a form with files from somebody who is signed in. What is more than a page takes and less than this is answered by the page."""

UNREAD_BYTES_MAX = 67_108_864
"""So much of a body that is refused is read and thrown away first: many senders look for an answer only when they are done."""

_WORDS = "The request is longer than is taken here."


class BodyLimit:
    """An ASGI application in front of another: a body that is longer than its sender may send is answered 413.

    RFC 9110, 15.5.14. Where the length is told first, nothing is kept; else the application behind sees a
    client that went away. `knows` says whether a request is of somebody who is signed in; it is asked of long ones alone.
    """

    def __init__(
        self,
        application: Application,
        *,
        knows: Callable[[Scope], Awaitable[bool]],
        bytes_max: int = BODY_BYTES_MAX,
        files_bytes_max: int = FILES_BYTES_MAX,
    ) -> None:
        self.application, self.knows = application, knows
        self.bytes_max, self.files_bytes_max = bytes_max, files_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if not await self._may_send(scope, told_length(scope)):
            await _read_over(receive, told_length(scope))
            await _refuse(scope, send)
            return
        taken = 0
        over = begun = whole = False

        async def receive_no_more() -> Message:
            nonlocal taken, over, whole
            if over:
                return {"type": "http.disconnect"}
            message = await receive()
            whole = not message.get("more_body", False)
            before = taken
            taken += len(message.get("body", b""))
            # Asked where a limit is passed, not with each piece.
            passes = before <= self.bytes_max < taken or taken > self.files_bytes_max
            if passes and not await self._may_send(scope, taken):
                over = True
                return {"type": "http.disconnect"}
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        await self.application(scope, receive_no_more, send_and_note)
        if over and not begun:
            if not whole:
                await _read_over(receive, 0)
            await _refuse(scope, send)

    async def _may_send(self, scope: Scope, length: int) -> bool:
        if length <= self.bytes_max:
            return True
        return length <= self.files_bytes_max and await self.knows(scope)


async def _refuse(scope: Scope, send: Send) -> None:
    if not scope["path"].startswith("/fhir/"):
        await refuse(send, 413, f"{_WORDS}\n".encode())
        return
    issue = {"severity": "error", "code": "too-long", "diagnostics": _WORDS}
    told = {"resourceType": "OperationOutcome", "issue": [issue]}
    await refuse(send, 413, json.dumps(told).encode(), b"application/fhir+json; charset=utf-8")


async def _read_over(receive: Receive, length: int) -> None:
    """Read the rest of a body and keep nothing, up to a limit; one that says that it is longer, not at all."""
    unread = 0 if length <= UNREAD_BYTES_MAX else UNREAD_BYTES_MAX
    while unread < UNREAD_BYTES_MAX:
        message = await receive()
        unread += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def told_length(scope: Scope) -> int:
    """How long a body is said to be; 0 where it comes in pieces. Uvicorn has refused what is no number."""
    return int(_header(scope, b"content-length") or 0)


async def is_signed_in(scope: Scope) -> bool:
    """Whether a request carries the cookie of a session in which somebody is signed in."""
    try:
        cookie = SimpleCookie(_header(scope, b"cookie").decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return False
    return cookie is not None and await sync_to_async(_is_of_somebody)(cookie.value)


def _is_of_somebody(key: str) -> bool:
    engine = import_module(settings.SESSION_ENGINE)
    return SESSION_KEY in engine.SessionStore(key)


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for known, value in scope["headers"] if known == name), b"")
