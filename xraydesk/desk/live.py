"""What makes pages live: each process hears of new facts once, and tells its open pages.

One connection to the database a process LISTENs on the channel that a trigger on the facts
notifies; the streams themselves hold none. Where notifications do not get through (a pooler in
transaction mode passes LISTEN on and drops what comes), the same connection asks every
POLL_SECONDS instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import structlog
from django.db import connections

CHANNEL = "xraydesk_facts"
PROBE_SECONDS = 2.0
"""A notification to oneself that takes longer than this does not come at all."""
POLL_SECONDS = 2.0
ASK_ANYWAY_SECONDS = 30.0
"""Where notifications do come, the revisions are asked for now and then all the same."""
GATHER_SECONDS = 0.1
"""What comes within this time of the first notification is told together."""
HEARTBEAT_SECONDS = 5.0
"""A page that hears nothing for ten seconds says "as of": twice this."""
RECONNECT_SECONDS = 1.0
STREAMS_MAX = 1500
"""Open streams a process; one more is asked to come back later."""
STREAM_SECONDS_MAX = 1800.0
"""A stream ends after this and the page opens a new one, so that who lost the right to look is found out."""

log = structlog.get_logger(__name__)


class Revisions:
    """The newest revision of each site, as this process has heard, and who waits for the next.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self.newest: dict[int, int] = {}
        self.streams = 0
        self.over = asyncio.Event()
        self._changed: dict[int, asyncio.Event] = {}
        self._listener: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, unless this is being done already."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())

    async def end(self) -> None:
        """Let every stream end and stop listening."""
        self.over.set()
        for event in self._changed.values():
            event.set()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    def tell(self, site_id: int, revision: int) -> None:
        """Note a site's revision and wake whoever waits for it."""
        if revision > self.newest.get(site_id, 0):
            self.newest[site_id] = revision
            self._changed.pop(site_id, asyncio.Event()).set()

    async def beyond(self, site_id: int, seen: int, seconds: float) -> int:
        """The site's revision as soon as it is newer than `seen`, or what it is after `seconds`."""
        if self.newest.get(site_id, 0) <= seen and not self.over.is_set():
            event = self._changed.setdefault(site_id, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        return self.newest.get(site_id, 0)

    async def _listen(self) -> None:
        while not self.over.is_set():
            try:
                await self._listen_once()
            except psycopg.Error as failed:
                # The database restarts now and then; pages say "as of" until it is back (row 48).
                log.warning("live: the database is not there, trying again", error=type(failed).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await connection.execute(f"NOTIFY {CHANNEL}")
            heard = False
            async for _ in connection.notifies(timeout=PROBE_SECONDS, stop_after=1):
                heard = True
            await self._ask(connection)
            while True:
                wait = ASK_ANYWAY_SECONDS if heard else POLL_SECONDS
                async for _ in connection.notifies(timeout=wait, stop_after=1):
                    heard = True
                await asyncio.sleep(GATHER_SECONDS)
                await self._ask(connection)

    async def _ask(self, connection: psycopg.AsyncConnection[Any]) -> None:
        # An index on (site, …) does not help here; the key's end for each site does.
        cursor = await connection.execute(
            "SELECT s.id, (SELECT max(f.id) FROM facts_fact f WHERE f.site_id = s.id) FROM access_site s"
        )
        for site_id, revision in await cursor.fetchall():
            if revision is not None:
                self.tell(site_id, revision)


def _parameters() -> dict[str, Any]:
    """Where the database is, without Django's pool: this connection stays open by itself."""
    parameters = connections["default"].get_connection_params()
    for own in ("pool", "cursor_factory", "context", "prepare_threshold"):
        parameters.pop(own, None)
    parameters["application_name"] = f"{parameters.get('application_name', 'xraydesk')} live"
    return dict(parameters)


_of_loop: dict[asyncio.AbstractEventLoop, Revisions] = {}


def revisions() -> Revisions:
    """What this process's event loop has heard; made at the first call."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        for gone in [other for other in _of_loop if other.is_closed()]:
            del _of_loop[gone]
        _of_loop[loop] = Revisions()
    return _of_loop[loop]


async def end_streams() -> None:
    """End every stream of this process, so that stopping it takes no longer than its last page.

    Call when the process is told to stop: a server that waits for its connections would
    wait for streams for ever.
    """
    await revisions().end()


async def stream(site_id: int) -> AsyncIterator[bytes]:
    """The lines of one page's stream: `revision N` at once and whenever it grows, a comment as heartbeat between."""
    heard = revisions()
    heard.start()
    heard.streams += 1
    seen, loop = 0, asyncio.get_running_loop()
    until = loop.time() + STREAM_SECONDS_MAX
    try:
        yield b"retry: 2000\n\n"
        while not heard.over.is_set() and loop.time() < until:
            revision = await heard.beyond(site_id, seen, HEARTBEAT_SECONDS)
            if heard.over.is_set():
                return
            seen = max(seen, revision)
            yield b"event: revision\ndata: %d\n\n" % seen
    finally:
        heard.streams -= 1
