"""The process `worker`: does what follows from what happened, from the queue in the database.

Jobs are plain functions that run in threads, each with one database connection. Reactions
have slots of their own, so that a destination that keeps its connections hanging holds up
nothing but its own queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
from datetime import timedelta
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate import exceptions, jobs
from procrastinate.contrib.django import app as registered
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector

from xraydesk.lib import clock
from xraydesk.project.config import Config

log = structlog.get_logger("xraydesk.worker")

REACTIONS = "reactions"
POLL_SECONDS = 1.0
"""How soon a job is found where no notification comes through, and a retry after it is due."""

HEARTBEAT_SECONDS = 2.0
STALLED_SECONDS = 10.0
"""A worker without a heartbeat for so long is gone; its jobs are given back."""

REAP_SECONDS = 2.0
KEPT_HOURS = 30 * 24
"""How long a job that failed for good is kept for looking at; one that succeeded is deleted at once."""

CLEAN_SECONDS = 3600.0
STOP_SECONDS = 3.0
AGAIN_SECONDS = (0.2, 0.5, 1.0, 2.0)


def run(config: Config) -> None:
    """Work until told to end; a database that goes away is waited for.

    Jobs run in threads, and load what they need when they need it. The modules of pydicom load one another in a
    circle: two threads that begin with it at one moment leave it half loaded until the process ends. So one loads it.
    """
    importlib.import_module("xraydesk.links.dicom.lanes")
    asyncio.run(Work(config.worker_jobs_at_once).until_told_to_end())


def other_queues() -> list[str]:
    """Every queue that a task names, but the reactions'. A job in a queue that no task names is never done."""
    return sorted({task.queue for task in registered.tasks.values()} - {REACTIONS})


class Work:
    """The worker's slots over one small pool of connections, started again when the database was away."""

    def __init__(self, jobs_at_once: int) -> None:
        self.jobs_at_once = jobs_at_once
        self._end = asyncio.Event()

    async def until_told_to_end(self) -> None:
        """Run the slots, again and again where they end by themselves."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        failures = 0
        while not self._end.is_set():
            started = loop.time()
            try:
                await self._work()
            except (exceptions.ConnectorException, psycopg.Error, OSError) as wrong:
                log.warning("the database is away; trying again", exc_info=wrong)
            failures = 0 if loop.time() - started > 30 else failures + 1
            pause = AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)]
            await _pause(self._end, pause)

    async def _work(self) -> None:
        connector = PsycopgConnector(kwargs=connector_params(), min_size=1, max_size=4, timeout=10)
        # Another app over the same tasks: what jobs defer themselves must go on using Django's
        # connection, so that it stays part of their transaction.
        app = registered.with_connector(connector)
        async with app.open_async():
            parts = [self._reap_forever(app), self._clean_forever(app), self._slots(app, [REACTIONS])]
            if other_queues():
                parts.append(self._slots(app, other_queues()))
            await self._together([asyncio.ensure_future(part) for part in parts])

    async def _together(self, parts: list[asyncio.Future[None]]) -> None:
        """Let the parts run until one ends or all are told to; what one failed with is raised."""
        end = asyncio.ensure_future(self._end.wait())
        try:
            waited: list[asyncio.Future[Any]] = [*parts, end]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
            for part in parts:
                part.cancel()
            outcomes = await asyncio.gather(*parts, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _slots(self, app: procrastinate.App, queues: list[str]) -> None:
        await app.run_worker_async(
            queues=queues,
            name="-".join(queues),
            concurrency=self.jobs_at_once,
            install_signal_handlers=False,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=STOP_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            delete_jobs=jobs.DeleteJobCondition.SUCCESSFUL,
        )

    async def _reap_forever(self, app: procrastinate.App) -> None:
        while True:
            await reap(app)
            await asyncio.sleep(REAP_SECONDS)

    async def _clean_forever(self, app: procrastinate.App) -> None:
        while True:
            await app.job_manager.delete_old_jobs(
                nb_hours=KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
            )
            await asyncio.sleep(CLEAN_SECONDS)


async def reap(app: procrastinate.App, stalled_seconds: float = STALLED_SECONDS) -> int:
    """Give back the jobs of workers that were killed, so that each is finished once; how many.

    One that was given back often waits longer each time, an hour at most: it may be the
    job itself that kills its worker.
    """
    stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_seconds))
    for job in stalled:
        wait = timedelta(seconds=0 if job.attempts == 0 else min(2**job.attempts, 3600))
        try:
            await app.job_manager.retry_job(job, retry_at=clock.now() + wait)
        except exceptions.UniqueViolation:
            # Another for the same thing waits behind it: that one does the work.
            await app.job_manager.finish_job(job, status=jobs.Status.FAILED, delete_job=True)
        log.warning("a job of a worker that is gone was given back", job=job.id, task=job.task_name)
    return len(stalled)


async def _pause(end: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(end.wait(), seconds)
