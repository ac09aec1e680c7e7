"""A listener over real loopback sockets, and raw peers that speak as badly as a test wants."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import AE
from pynetdicom import pdu as pdus
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from xraydesk.links.dicom.server import Listener
from xraydesk.links.dicom.service import Service

PATIENT_SECONDS = 300
"""Neither side hangs up for want of news sooner: on a busy machine a sender may pause for long, and what a test waits
for is the answer or the end of the association. Tests of idleness name a time of their own."""


@dataclass
class Settings:
    """The settings of a test's listener."""

    home: Path
    dicom: str = "127.0.0.1:0"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    dicom_client_ca: Path | None = None
    dicom_idle_seconds: float = PATIENT_SECONDS
    dicom_associations_max: int = 20
    dicom_object_bytes_max: int = 50_000_000
    dicom_threads: int = 3


@dataclass
class Running:
    """A listener in a thread of this process."""

    port: int
    listener: Listener
    spool: Path
    loop: asyncio.AbstractEventLoop

    def settle(self) -> None:
        """Return once what no peer waits for is done as well."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(PATIENT_SECONDS)
        together = threading.Barrier(Settings.dicom_threads)
        done = [self.listener.units.submit(together.wait, PATIENT_SECONDS) for _ in range(together.parties)]
        for one in done:
            one.result(PATIENT_SECONDS)

    def associate(
        self, abstract_syntaxes: Iterable[str], *, calling: str = "XR1", called: str = "XRAYDESK", **kw: Any
    ):
        """pynetdicom's association with it."""
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = PATIENT_SECONDS
        for abstract_syntax in abstract_syntaxes:
            ae.add_requested_context(abstract_syntax)
        return ae.associate("127.0.0.1", self.port, ae_title=called, **kw)

    def refusal(
        self, abstract_syntaxes: Iterable[str], *, calling: str = "XR1", called: str = "XRAYDESK"
    ) -> tuple[int, int, int] | None:
        """Result, source and reason of the desk's A-ASSOCIATE-RJ (PS3.8 table 9-21); None where it sent none.

        Over a bare connection: pynetdicom's `is_rejected` is false where the rejection came before its caller's
        thread had looked (it takes that for a failure to connect).
        """
        with self.raw() as peer:
            peer.sendall(association_request(abstract_syntaxes, calling=calling, called=called))
            kind, body = read_pdu(peer)
        return (body[1], body[2], body[3]) if kind == 3 else None

    def raw(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENT_SECONDS)


@contextmanager
def listening(home: Path, services: Iterable[Service], **settings: Any) -> Iterator[Running]:
    """Run a listener on a free port until the block ends."""
    box: dict[str, Any] = {}
    ready, ended = threading.Event(), threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        box["loop"] = loop
        box["stop"] = lambda: loop.call_soon_threadsafe(stop.set)
        box["listener"] = Listener(Settings(home, **settings), services)
        _, box["port"] = await box["listener"].start()
        ready.set()
        await stop.wait()
        await box["listener"].stop()

    def thread() -> None:
        try:
            asyncio.run(main())
        finally:
            ready.set()
            ended.set()

    worker = threading.Thread(target=thread)
    worker.start()
    assert ready.wait(20)
    try:
        yield Running(box["port"], box["listener"], home.resolve() / "spool", box["loop"])
    finally:
        box["stop"]()
        worker.join(30)


def association_request(
    abstract_syntaxes: Iterable[str] = ("1.2.840.10008.1.1",),
    *,
    calling: str = "XR1",
    called: str = "XRAYDESK",
    syntax: str = "1.2.840.10008.1.2",
) -> bytes:
    """An A-ASSOCIATE-RQ as bytes."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = []
    for number, abstract_syntax in enumerate(abstract_syntaxes):
        context = build_context(abstract_syntax, syntax)
        context.context_id = 2 * number + 1
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3"
    primitive.user_information = [length, implementation]
    pdu = pdus.A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def read_pdu(peer: socket.socket) -> tuple[int, bytes]:
    """The next PDU's type and body; (0, b"") where the connection was closed."""
    head = _read(peer, 6)
    if len(head) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxL", head)
    return kind, _read(peer, length)


def _read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part = peer.recv(size - len(data))
        except ConnectionResetError:
            return b""
        if not part:
            return data
        data += part
    return data


def status_of(peer: socket.socket) -> int:
    """The status in the next PDU, which holds a response's command set."""
    kind, body = read_pdu(peer)
    assert kind == 4, kind
    return int(struct.unpack("<H", body[body.index(b"\x00\x00\x00\x09\x02\x00\x00\x00") + 8 :][:2])[0])
