"""Turns at the database: few pieces of work are begun at once, and what waits meanwhile is taken together.

New orders that came over several connections then share one transaction and one flush to the disk,
and each is answered after that. A message that is alone is never kept waiting for company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog

from xraydesk.lib import clock
from xraydesk.links.hl7.framing import Event, Frame
from xraydesk.links.hl7.receive import NotKept, Peer, Receiver, Taken

log = structlog.get_logger(__name__)

T = TypeVar("T")

TURNS_MAX = 2
"""So many turns go on at once: one reads its messages while the other waits for the database."""

TOGETHER_MAX = 16
"""No more messages than these are taken in one turn."""

SLOW_SECONDS = 0.05
"""A turn that lasts longer waits for something else than the processor: the next one begins beside it."""


@dataclass(frozen=True)
class _Waiting:
    """What came over one connection, and where its answers are waited for."""

    event: Event
    peer: Peer
    at: datetime
    answers: asyncio.Future[tuple[bytes, ...]]


class Turns:
    """Has messages taken in a fixed pool of threads; each connection waits for its answers before it brings more."""

    def __init__(self, receiver: Receiver, threads: ThreadPoolExecutor) -> None:
        self._receiver = receiver
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, event: Event, peer: Peer) -> tuple[bytes, ...]:
        """Have a frame taken, or what is none; its answers. Raises NotKept where nothing may be acknowledged."""
        loop = asyncio.get_running_loop()
        one = _Waiting(event, peer, clock.now(), loop.create_future())
        self._waiting.append(one)
        self._begin()
        return await one.answers

    def _begin(self) -> None:
        while self._waiting and self._under_way < TURNS_MAX:
            count = min(len(self._waiting), TOGETHER_MAX)
            together = [self._waiting.popleft() for _ in range(count)]
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._turn(together))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _turn(self, together: list[_Waiting]) -> None:
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._under_way -= 1
                self._begin()

        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, end)
        try:
            alone = await self._together(together) if len(together) > 1 else together
            if len(alone) == 1:
                await self._alone(alone[0])
            else:
                await asyncio.gather(*map(self._alone, alone))
        finally:
            timer.cancel()
            end()

    async def _together(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Take what can be taken together; the rest."""
        frames = [w for w in waiting if isinstance(w.event, Frame)]
        taken = [Taken(w.event.payload, w.peer, w.at) for w in frames]
        found = await self._in_thread(partial(self._receiver.receive_together, taken))
        for one, answers in zip(frames, found, strict=True):
            if answers is not None and not one.answers.done():
                one.answers.set_result(answers)
        return [w for w in waiting if not w.answers.done()]

    async def _alone(self, one: _Waiting) -> None:
        work: Callable[[], tuple[bytes, ...]]
        if isinstance(one.event, Frame):
            work = partial(self._receiver.receive, one.event.payload, peer=one.peer, at=one.at)
        else:
            work = partial(self._receiver.receive_broken, one.event, peer=one.peer, at=one.at)
        try:
            answers = await self._in_thread(work)
        except Exception as error:  # the edge of the protocol: what was not kept gets no answer, others go on
            if not isinstance(error, NotKept):
                log.exception("message not kept, no answer", address=one.peer.address)
            if not one.answers.done():
                one.answers.set_exception(error if isinstance(error, NotKept) else NotKept())
        else:
            if not one.answers.done():
                one.answers.set_result(answers)

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)
