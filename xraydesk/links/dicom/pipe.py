"""Brings an object's bytes from the socket's buffers to the spool, in order, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from xraydesk.links.dicom.spool import ObjectWriter, SpooledFile, SpoolRefused

BUFFERS_WAITING_MAX = 4
"""So many buffers of one association may wait for the disk; then its socket is read no more for a while."""


class ObjectPipe:
    """Hands full buffers to a writer in a thread, one job at a time, and gives the buffers back."""

    def __init__(
        self, writer: ObjectWriter, threads: Executor, *, give_back: Callable[[bytearray], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._threads = threads
        self._give_back = give_back
        self._jobs: list[tuple[Sequence[memoryview], bytearray]] = []
        self._running: list[tuple[Sequence[memoryview], bytearray]] = []
        self._is_running = False
        self._is_over = False
        self._is_abandoned = False
        self._finished: asyncio.Future[SpooledFile | None] | None = None

    @property
    def is_full(self) -> bool:
        """True where the disk is behind."""
        return len(self._jobs) + len(self._running) >= BUFFERS_WAITING_MAX

    def add(self, views: Sequence[memoryview], buffer: bytearray) -> None:
        """Have `views` written; `buffer`, which they look into, is given back afterwards."""
        self._jobs.append((views, buffer))
        self._start()

    async def finish(self) -> SpooledFile:
        """Wait until all is written; raises `SpoolRefused`."""
        self._finished = self._loop.create_future()
        self._start()
        file = await self._finished
        if file is None:
            raise SpoolRefused("the object was given up")
        return file

    def abandon(self) -> None:
        """Delete what was written, once nothing is being written."""
        self._is_abandoned = True
        self._start()

    def _start(self) -> None:
        is_last = self._finished is not None or self._is_abandoned
        if self._is_running or self._is_over or not (self._jobs or is_last):
            return
        self._is_running, self._is_over = True, is_last
        self._running, self._jobs = self._jobs, []
        job = self._loop.run_in_executor(self._threads, self._write, is_last)
        job.add_done_callback(self._written)

    def _write(self, is_last: bool) -> SpooledFile | None:
        """In a thread."""
        if is_last and self._is_abandoned:
            self._writer.abandon()
            return None
        for views, _ in self._running:
            self._writer.write(views)
        return self._writer.finish() if is_last else None

    def _written(self, job: asyncio.Future[SpooledFile | None]) -> None:
        done, self._running, self._is_running = self._running, [], False
        for views, buffer in done:
            for view in views:
                view.release()
            self._give_back(buffer)
        error = job.exception()
        finished = self._finished
        if self._is_over and finished is not None and not finished.done():
            if error is not None:
                finished.set_exception(error)
            else:
                finished.set_result(job.result())
        self._start()
