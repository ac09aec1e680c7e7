"""Listening for HL7 v2 over MLLP: sockets on one event loop, work in a fixed pool of threads.

Each connection is read only while none of its messages is being worked on, so that order is
kept and no more of a sender's messages is held than one frame and a socket buffer. Limits:
connections, bytes of a frame, seconds from a frame's first byte to its last.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import connection as own_database
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from xraydesk.lib.networks import is_loopback
from xraydesk.links.hl7.framing import Broken, Deframer, Event, Fault, framed
from xraydesk.links.hl7.partners import may_send
from xraydesk.links.hl7.receive import NotKept, Peer, Receiver
from xraydesk.links.hl7.turns import Turns

log = structlog.get_logger(__name__)

READ_BYTES = 65_536
BROKEN_MAX = 20
"""A sender who breaks the framing so often is hung up on."""
CLOSE_SECONDS = 10.0
"""So long a stopping server waits for messages under way."""
WRITE_SECONDS = 30.0
"""A peer that takes its answers no faster than this is hung up on."""


class NotSafe(RuntimeError):
    """The address is beyond this machine, and neither TLS nor a link in clear allows that (row 59 of the faults)."""


@dataclass(frozen=True)
class Limits:
    """What one listener grants its peers."""

    frame_bytes_max: int = 16_777_216
    frame_seconds: float = 30
    connections_max: int = 200
    threads: int = 8


class Connection:
    """One sender's connection: bytes to frames, frames to answers, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self._reader, self._writer, self._server = reader, writer, server
        self._deframer = Deframer(server.limits.frame_bytes_max)
        self._deadline: float | None = None
        self.peer = _peer(writer)
        self.heard_at = asyncio.get_running_loop().time()
        self.is_working = False
        self._is_over = False
        self._broken = 0

    async def serve(self) -> None:
        """Until the sender hangs up, breaks the framing for good, or the server stops."""
        try:
            while await self._work(self._events(await self._read())):
                self._set_deadline()
        except NotKept:
            log.warning("connection closed without an answer", address=self.peer.address)
        except OSError:
            pass  # the sender is gone: what it sent and saw no answer for, it sends again
        finally:
            await _close(self._writer)

    def hang_up(self) -> None:
        """End the connection, at once if it is idle, else when the message under way is answered."""
        if not self.is_working:
            self._writer.close()

    async def _read(self) -> bytes | Fault:
        """The next bytes, or why there are none."""
        try:
            async with asyncio.timeout_at(self._deadline):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            return Fault.NOT_ENDED
        self.heard_at = asyncio.get_running_loop().time()
        return data or Fault.CUT_OFF

    def _events(self, read: bytes | Fault) -> list[Event]:
        if isinstance(read, bytes):
            return [] if self._server.is_stopping else self._deframer.feed(read)
        self._is_over = True
        return [] if self._server.is_stopping else self._deframer.give_up(read)

    def _set_deadline(self) -> None:
        """The clock of a frame runs from its first byte on, however slowly the others dribble in."""
        if not self._deframer.begun:
            self._deadline = None
        elif self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._server.limits.frame_seconds

    async def _work(self, events: list[Event]) -> bool:
        """Answer what was received, in order; False where the connection is to be closed."""
        self.is_working = True
        try:
            for event in events:
                await self._answer(await self._server.take(event, self.peer))
                self._deadline = None
                if isinstance(event, Broken):
                    self._broken += 1
                    if event.fault is Fault.TOO_LONG or self._broken >= BROKEN_MAX:
                        self._is_over = True
                        break
        finally:
            self.is_working = False
        return not self._is_over and not self._server.is_stopping

    async def _answer(self, answers: tuple[bytes, ...]) -> None:
        if answers:
            self._writer.write(b"".join(framed(a) for a in answers))
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._writer.drain()
            except TimeoutError as error:
                raise ConnectionAbortedError("the sender does not take its answers") from error


class Server:
    """The listener, its connections and its threads."""

    def __init__(self, receiver: Receiver, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self.limits = limits
        self.is_stopping = False
        self._receiver = receiver
        self._tls = tls
        self._databases: list[BaseDatabaseWrapper] = []
        self._threads = ThreadPoolExecutor(
            limits.threads, thread_name_prefix="mllp", initializer=self._begin_thread
        )
        self._turns = Turns(receiver, self._threads)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to listen; the port, which is a free one where 0 was asked for. Raises OSError."""
        self._listener = await asyncio.start_server(
            self._accept, host, port, limit=READ_BYTES, ssl=self._tls, reuse_address=True
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more; let messages under way be answered; end."""
        self.is_stopping = True
        if self._listener:
            self._listener.close()
        for connection in self._connections:
            connection.hang_up()
        if self._connections:
            _, late = await asyncio.wait(self._connections.values(), timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.to_thread(self._end_threads)

    def _end_threads(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for database in self._databases:
            database.close()

    def _begin_thread(self) -> None:
        """Each thread has one connection to the database; whoever stops the server closes them all."""
        database = connections["default"]
        database.inc_thread_sharing()
        self._databases.append(database)

    async def take(self, event: Event, peer: Peer) -> tuple[bytes, ...]:
        """Have a frame taken when its turn comes, or what is none; its answers. Raises NotKept."""
        return await self._turns.take(event, peer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._has_place() or not await self._is_welcome(_peer(writer)):
            await _close(writer)
            return
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(reader, writer, self)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            del self._connections[connection]

    def _has_place(self) -> bool:
        """True where there is a place, or the one who was silent longest can give up his."""
        if self.is_stopping:
            return False
        if len(self._connections) < self.limits.connections_max:
            return True
        quietest = min(
            (c for c in self._connections if not c.is_working), key=lambda c: c.heard_at, default=None
        )
        now = asyncio.get_running_loop().time()
        if quietest is None or now - quietest.heard_at < self.limits.frame_seconds:
            log.warning("no place for another connection", connections=len(self._connections))
            return False
        quietest.hang_up()
        return True

    async def _is_welcome(self, peer: Peer) -> bool:
        """True over loopback and TLS; in clear only where some link names the address."""
        if peer.encrypted or is_loopback(peer.address):
            return True
        partners = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._receiver.directory.all
        )
        welcome = any(may_send(p.link, peer.address, encrypted=False) for p in partners)
        if not welcome:
            log.warning("connection in clear refused", address=peer.address)
        return welcome


def _peer(writer: asyncio.StreamWriter) -> Peer:
    name = writer.get_extra_info("peername") or ("", 0)
    return Peer(str(name[0]), encrypted=writer.get_extra_info("ssl_object") is not None)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass  # it is gone either way


async def serve_until_told(server: Server, host: str, port: int) -> None:
    """Listen until SIGTERM or SIGINT, then stop in good order."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    port = await server.start(host, port)
    log.info("listening for HL7 v2", host=host, port=port)
    await told.wait()
    await server.stop()
    log.info("stopped listening for HL7 v2")


def run(config: Any) -> None:
    """Serve HL7 v2 on `config.mllp` until told to stop; blocks. `config` is a `project.config.Config`.

    Raises OSError where the address is taken, and NotSafe where it lies beyond this machine
    and neither TLS is set up nor any link may be used in clear.
    """
    host, _, port = config.mllp.rpartition(":")
    host = host.strip("[]")
    receiver = Receiver()
    tls = _tls(config)
    if tls is None and not is_loopback(host):
        if not any(p.link.insecure and p.link.peers for p in receiver.directory.all()):
            raise NotSafe(
                f"{config.mllp} can be reached from other machines: give --tls-cert and --tls-key, or name the"
                " sender's address under `peers` of its link in the site file, with `insecure = true`"
            )
        own_database.close()
    limits = Limits(
        frame_bytes_max=config.mllp_max_bytes,
        frame_seconds=config.mllp_frame_seconds,
        connections_max=config.mllp_connections_max,
        threads=config.mllp_threads,
    )
    asyncio.run(serve_until_told(Server(receiver, limits, tls), host, int(port)))


def _tls(config: Any) -> ssl.SSLContext | None:
    """TLS beyond loopback where a certificate is given; partners on the same machine speak in clear."""
    host = config.mllp.rpartition(":")[0].strip("[]")
    if config.tls_cert is None or is_loopback(host):
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.tls_cert, config.tls_key)
    if config.mllp_client_ca is not None:
        context.load_verify_locations(config.mllp_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
