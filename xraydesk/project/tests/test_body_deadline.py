"""A request that is begun and not ended, over a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from xraydesk.project.body_deadline import BodyDeadline
from xraydesk.project.static import Receive, Scope, Send

pytestmark = pytest.mark.link
SECONDS = 0.3
ended: list[str] = []


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was sent; `/slow` answers only after twice the deadline."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            ended.append(scope["path"])
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(SECONDS * 2)
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(
        uvicorn.Config(
            BodyDeadline(echo, seconds=SECONDS),  # type: ignore[arg-type]
            loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None,
        )
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def answer(address: tuple[str, int], *parts: bytes) -> bytes:
    """What comes back until the server hangs up."""
    with socket.create_connection(address, 10) as line:
        for part in parts:
            line.sendall(part)
        found = b""
        while more := line.recv(65536):
            found += more
        return found


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_body_that_does_not_come_is_answered_408_and_hung_up_on(address: tuple[str, int]) -> None:
    ended.clear()
    found = answer(address, head("/form", 100), b"begun and ")
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"Please send it again" in found
    assert ended == ["/form"], "what stands behind it was told that the client went away"


def test_a_body_that_comes_is_taken(address: tuple[str, int]) -> None:
    assert answer(address, head("/form", 5), b"who", b"le").endswith(b"\r\n\r\nwhole")


def test_only_the_reading_is_timed(address: tuple[str, int]) -> None:
    assert answer(address, head("/slow", 4), b"late").endswith(b"\r\n\r\nlate")
