"""A department with an EHR's link, the messages of that EHR, and a listener on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.factories import AT, make_site, plan_with
from xraydesk.access.models import Site
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.server import Limits, Server
from xraydesk.siteplan.link_plan import LinkPlan

EHR = LinkPlan(
    name="EHR",
    kind="orders",
    sending_application="EHR",
    sending_facility="HOSP",
    receiving_application="XRAYDESK",
    receiving_facility="XRAY",
    charset="iso8859-1",
)
HERE = Peer()
HIS = replace(EHR, name="HIS", sending_application="HIS", application_replies=True)


@pytest.fixture
def site(db: None) -> Site:
    site = make_site()
    site.plan = plan_with(EHR, HIS)
    site.save()
    return site


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def ask(site: Site, receiver: Receiver) -> Callable[..., list[str]]:
    """Give the desk one message as if it came over loopback; the answer's segments."""

    def ask(message: str | bytes, peer: Peer = HERE) -> list[str]:
        raw = message.encode() if isinstance(message, str) else message
        answers = receiver.receive(raw, peer=peer, at=AT)
        return [line for answer in answers for line in answer.decode().rstrip("\r").split("\r")]

    return ask


class Listening:
    """A server in a thread of its own, and sockets to it."""

    def __init__(self, receiver: Receiver, limits: Limits) -> None:
        self.server = Server(receiver, limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self.server.start("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        self._sockets.append(connection)
        return connection

    def stop(self) -> None:
        self._run(self.server.stop())
        for connection in self._sockets:
            connection.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def listen(receiver: Receiver | None = None, **limits: Any) -> Listening:
        started.append(Listening(receiver or Receiver(), Limits(**({"threads": 4} | limits))))
        return started[-1]

    yield listen
    for one in started:
        one.stop()
