"""The DICOM listener: one event loop for sockets, a fixed pool of threads for the work (`xraydesk dicom`)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import signal
import ssl
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from pydicom.uid import UID
from pynetdicom import dsutils

from xraydesk.access.models import Site
from xraydesk.lib.networks import is_loopback
from xraydesk.links.connections import Caller
from xraydesk.links.dicom import admission, negotiation, services
from xraydesk.links.dicom.admission import Listening, Place, Verdict
from xraydesk.links.dicom.association import Association
from xraydesk.links.dicom.call_log import FLUSH_SECONDS, CallLog, printable, write
from xraydesk.links.dicom.directory import Directory, Entry
from xraydesk.links.dicom.inbox import Message
from xraydesk.links.dicom.negotiation import Proposal
from xraydesk.links.dicom.service import Service
from xraydesk.links.dicom.spool import ObjectWriter, sweep
from xraydesk.links.dicom.work import Unit
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.reading import from_json

WRITERS = 4
"""Threads that hash and write objects; they hold no database connection."""
BACKLOG = 512
ENDING_SECONDS = 10.0
"""At the end, requests under way have so long to finish; then their associations are aborted."""

_log = structlog.get_logger(__name__)


class Limits(Protocol):
    """The settings that the listener needs (`xraydesk.project.config.Config`)."""

    home: Path
    dicom: str
    tls_cert: Path | None
    tls_key: Path | None
    dicom_client_ca: Path | None
    dicom_idle_seconds: float
    dicom_associations_max: int
    dicom_object_bytes_max: int
    dicom_threads: int


class Listener:
    """Holds what all associations share: limits, places, threads and the table of services."""

    def __init__(self, limits: Limits, offered: Iterable[Service]) -> None:
        self.idle_seconds = limits.dicom_idle_seconds
        self.object_bytes_max = limits.dicom_object_bytes_max
        self.services = services.by_sop_class(offered)
        self.offered = negotiation.offered_contexts(self.services)
        self.units = ThreadPoolExecutor(limits.dicom_threads, thread_name_prefix="dicom-unit")
        self.writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="dicom-write")
        self._threads = limits.dicom_threads
        self.spool = Path(limits.home).resolve() / "spool"
        self._places_max = limits.dicom_associations_max
        self._others_max = max(1, limits.dicom_associations_max // 10)
        self._directory = Directory()
        self._waiting: dict[int, Association] = {}
        self._placed: dict[int, Association] = {}
        self._all: set[Association] = set()
        self._objects = itertools.count(1)
        self._calls = CallLog()
        self._writing: asyncio.TimerHandle | None = None
        host, _, port = limits.dicom.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._tls = _tls(limits)
        self._is_open_to_all = self._tls is not None or is_loopback(self._address[0])
        self._server: asyncio.Server | None = None

    # -- what associations ask -------------------------------------------------------------

    def opened(self, association: Association) -> None:
        """A socket is open. Too many that do not associate: the one that has waited the longest gives way."""
        self._all.add(association)
        self._waiting[id(association)] = association
        if len(self._waiting) > self._places_max:
            next(iter(self._waiting.values())).end()

    def left(self, association: Association) -> None:
        """It asks for nothing more; its place is free."""
        self._waiting.pop(id(association), None)
        self._placed.pop(id(association), None)

    def closed(self, association: Association) -> None:
        """Its socket is gone."""
        self.left(association)
        self._all.discard(association)

    def at_hand(self, proposal: Proposal) -> Entry | None:
        """The site that is called, where a known modality calls it and no question to the database is needed."""
        if proposal.caller.application_context != admission.APPLICATION_CONTEXT or not self._is_open_to_all:
            return None
        return self._directory.at_hand(proposal.called_ae, proposal.caller.calling_ae)

    async def judge(self, proposal: Proposal) -> tuple[Entry | None, Verdict]:
        """Whether to take an association; asks the database in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.units, self._judge, proposal)

    def _judge(self, proposal: Proposal) -> tuple[Entry | None, Verdict]:
        try:
            close_old_connections()
            entry = self._directory.look_up(proposal.called_ae, proposal.caller.calling_ae)
        except DatabaseError as error:
            close_old_connections()
            _log.error("dicom_directory_unreadable", error=type(error).__name__)
            return None, Verdict.NOT_NOW
        listening = None
        if entry is not None:
            links = None if self._is_open_to_all else dicom_links(entry.site.plan)
            listening = Listening(entry.modalities, links, entry.may_tell)
            if not listening.welcomes(proposal.caller):
                _log.warning("dicom_in_clear_refused", address=proposal.caller.address)
        return entry, admission.judge(proposal.caller, listening)

    def heard(self, proposal: Proposal, entry: Entry | None, verdict: Verdict) -> None:
        """Count a call and what became of it, for the page of connections."""
        caller = Caller(
            calling_ae=printable(proposal.caller.calling_ae),
            called_ae=printable(proposal.called_ae),
            address=proposal.caller.address,
            outcome=verdict.name,
        )
        if self._calls.note(entry.site if entry is not None else None, caller):
            self._writing = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._write_calls)

    def _write_calls(self) -> None:
        self.units.submit(write, self._calls.take())

    def take_place(self, association: Association) -> bool:
        """Give it a place, at the cost of another where that is fair; False where it must wait."""
        places = [Place(key, held.is_known, held.idle_since, held.peer) for key, held in self._placed.items()]
        key = admission.make_room(
            places,
            is_known=association.is_known,
            places_max=self._places_max,
            places_of_others_max=self._others_max,
            peer=association.peer,
        )
        if key is None:
            return False
        if key in self._placed:
            self._placed[key].end()
        self._waiting.pop(id(association), None)
        self._placed[id(association)] = association
        return True

    def new_object(self, message: Message) -> ObjectWriter:
        """A writer for the object that a C-STORE brings: our own preamble and file meta information before it."""
        command = message.command
        meta = dsutils.create_file_meta(
            sop_class_uid=UID(message.context.abstract_syntax),
            sop_instance_uid=UID(command.AffectedSOPInstanceUID),
            transfer_syntax=UID(message.context.transfer_syntax),
            implementation_uid=UID(negotiation.IMPLEMENTATION_UID),
            implementation_version=negotiation.IMPLEMENTATION_VERSION,
        )
        head = bytes(128) + b"DICM" + dsutils.encode_file_meta(meta)
        return ObjectWriter(self.spool, f"{os.getpid()}-{next(self._objects)}.part", head)

    def go_on(self, unit: Unit) -> None:
        """Let a handler do what the peer need not wait for; whatever this peer or another asks next comes after it."""
        self.units.submit(unit.advance, None)

    # -- its own life ----------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Listen; the address that it listens on."""
        sweep(self.spool)
        loop = asyncio.get_running_loop()
        host, port = self._address
        self._server = await loop.create_server(
            lambda: Association(self), host, port, backlog=BACKLOG, ssl=self._tls, reuse_address=True
        )
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def stop(self) -> None:
        """Take nothing new, let requests under way finish for a while, end the rest."""
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ENDING_SECONDS
        for association in [*self._all]:
            if not association.is_at_work:
                association.end()
        while any(association.is_at_work for association in self._all) and loop.time() < deadline:
            await asyncio.sleep(0.05)
        for association in [*self._all]:
            association.end()
        await asyncio.sleep(0.05)
        for association in [*self._all]:
            association.end()
        if self._writing is not None:
            self._writing.cancel()
        await loop.run_in_executor(self.units, write, self._calls.take())
        await loop.run_in_executor(None, self._close_connections)
        self.units.shutdown(wait=False, cancel_futures=True)
        self.writers.shutdown(wait=False, cancel_futures=False)

    def _close_connections(self) -> None:
        """Let every unit thread close its database connection; a thread that is stuck is left."""
        together = threading.Barrier(self._threads)

        def close() -> None:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(2)
            connections.close_all()

        wait([self.units.submit(close) for _ in range(self._threads)], timeout=4)


def dicom_links(plan: dict[str, Any]) -> tuple[LinkPlan, ...]:
    """Who may speak DICOM in clear beyond loopback, as the site file says."""
    return tuple(link for link in from_json(plan).links if link.kind == "dicom") if plan else ()


def _tls(limits: Limits) -> ssl.SSLContext | None:
    """TLS beyond loopback where a certificate is given; machines in the same host speak in clear."""
    host = limits.dicom.rpartition(":")[0].strip("[]")
    if limits.tls_cert is None or is_loopback(host):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(limits.tls_cert, limits.tls_key)
    if limits.dicom_client_ca is not None:
        context.load_verify_locations(limits.dicom_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def serve(limits: Limits, offered: Iterable[Service]) -> None:
    """Listen until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listener = Listener(limits, offered)
    host, port = await listener.start()
    _log.info("dicom_listening", host=host, port=port)
    await ended.wait()
    await listener.stop()


class NotSafe(RuntimeError):
    """DICOM would be spoken in clear with other machines, and no link of a site file lets any of them."""


def refuse_exposed(limits: Limits) -> None:
    """Raises NotSafe for an address beyond this machine where neither TLS is set up nor any machine may speak in clear."""
    if limits.tls_cert is not None or is_loopback(limits.dicom.rpartition(":")[0].strip("[]")):
        return
    links = (link for site in Site.objects.all() for link in dicom_links(site.plan))
    if not any(link.insecure and link.peers for link in links):
        raise NotSafe(
            f"{limits.dicom} can be reached from other machines: give --tls-cert and --tls-key, or name the"
            " machine's address under `peers` of a link of kind dicom in the site file, with `insecure = true`"
        )


def run(limits: Limits) -> None:
    """The process `xraydesk dicom`; Django must be set up. Returns after SIGTERM or SIGINT.

    Raises NotSafe as `refuse_exposed` does.
    """
    refuse_exposed(limits)
    connections.close_all()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))
    asyncio.run(serve(limits, services.all_services()))
