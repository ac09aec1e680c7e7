"""A request whose body does not come is ended, so that slow or broken senders cannot hold the desk's places.

Only the reading of a body is timed: an open board's stream, or a page that takes long to make, is not.
"""

from __future__ import annotations

import asyncio

from xraydesk.project.static import Application, Message, Receive, Scope, Send

BODY_SECONDS_MAX = 30.0
"""From the request's first line to its last byte."""

_WORDS = b"The request did not come to its end in time. Please send it again.\n"


class BodyDeadline:
    """An ASGI application in front of another: a body that is not whole in time is answered 408.

    RFC 9110, 15.5.9. The application behind sees a client that went away, which it knows how to end.
    """

    def __init__(self, application: Application, *, seconds: float = BODY_SECONDS_MAX) -> None:
        self.application = application
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        whole = late = begun = False

        async def receive_in_time() -> Message:
            nonlocal whole, late
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                late = True
                return {"type": "http.disconnect"}
            whole = not message.get("more_body", False)
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        await self.application(scope, receive_in_time, send_and_note)
        if late and not begun:
            await refuse(send, 408, _WORDS)


async def refuse(send: Send, status: int, words: bytes, form: bytes = b"text/plain; charset=utf-8") -> None:
    """Answer in words and hang up: what else is sent of the body is read by nobody."""
    headers = [
        (b"content-type", form),
        (b"content-length", str(len(words)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words})
