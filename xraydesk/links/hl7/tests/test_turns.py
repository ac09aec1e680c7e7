"""Whose turn it is: what waits is taken together, in order, and one that is slow keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from xraydesk.links.hl7 import turns
from xraydesk.links.hl7.framing import Broken, Fault, Frame
from xraydesk.links.hl7.receive import NotKept, Peer, Receiver, Taken

pytestmark = pytest.mark.link
HERE = Peer()
GIVE_UP_SECONDS = 10


class Desk(Receiver):
    """Takes one message at a time when it is let; what is named `alone` it does not take with others."""

    def __init__(self) -> None:
        self.taken: list[list[bytes]] = []
        self.let = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def receive(self, payload: bytes, **_: Any) -> tuple[bytes, ...]:
        self._take([payload])
        if payload == b"lost":
            raise NotKept
        if payload == b"fault":
            raise ZeroDivisionError
        return (b"one " + payload,)

    def receive_broken(self, broken: Broken, **_: Any) -> tuple[bytes, ...]:
        return (broken.fault.name.encode(),)

    def receive_together(self, frames: Sequence[Taken]) -> list[tuple[bytes, ...] | None]:
        self._take([frame.payload for frame in frames])
        return [None if f.payload in (b"alone", b"lost", b"fault") else (f.payload,) for f in frames]

    def _take(self, payloads: list[bytes]) -> None:
        self.taken.append(payloads)
        self.begun.release()
        assert self.let.acquire(timeout=GIVE_UP_SECONDS)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, GIVE_UP_SECONDS))


async def begun(desk: Desk) -> None:
    assert await asyncio.to_thread(desk.begun.acquire, timeout=GIVE_UP_SECONDS)


def test_what_waits_while_others_are_taken_is_taken_together_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "SLOW_SECONDS", GIVE_UP_SECONDS)
    desk = Desk()

    async def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            mine = turns.Turns(desk, threads)
            sent = [b"%d" % n for n in range(turns.TURNS_MAX + turns.TOGETHER_MAX + 1)]
            answers = [asyncio.ensure_future(mine.take(Frame(payload), HERE)) for payload in sent]
            for _ in range(turns.TURNS_MAX):
                await begun(desk)
            desk.let.release(len(sent))
            found = [(await answer)[0].removeprefix(b"one ") for answer in answers]
            assert found == sent
            first = sorted(desk.taken[: turns.TURNS_MAX])
            assert first == [[payload] for payload in sent[: turns.TURNS_MAX]]
            assert sent[turns.TURNS_MAX : -1] in desk.taken
            assert sent[-1:] in desk.taken

    run(work())


def test_what_cannot_be_taken_together_is_taken_by_itself_and_a_failure_is_one_senders_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "TURNS_MAX", 1)
    monkeypatch.setattr(turns, "SLOW_SECONDS", GIVE_UP_SECONDS)
    desk = Desk()

    async def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            mine = turns.Turns(desk, threads)
            sent = [b"a", b"b", b"alone", b"lost", b"fault", b"c"]
            events = [*map(Frame, sent), Broken(Fault.CUT_OFF, b"x")]
            answers = [asyncio.ensure_future(mine.take(event, HERE)) for event in events]
            desk.let.release(GIVE_UP_SECONDS)
            found = await asyncio.gather(*answers, return_exceptions=True)
            assert found[:3] == [(b"one a",), (b"b",), (b"one alone",)]
            assert [type(one) for one in found[3:5]] == [NotKept, NotKept]
            assert found[5:] == [(b"c",), (b"CUT_OFF",)]
            assert desk.taken[1] == sent[1:]

    run(work())


def test_a_turn_that_waits_for_something_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURNS_MAX", 1)
    monkeypatch.setattr(turns, "SLOW_SECONDS", 0.01)
    desk = Desk()

    async def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            mine = turns.Turns(desk, threads)
            slow = asyncio.ensure_future(mine.take(Frame(b"slow"), HERE))
            await begun(desk)
            quick = asyncio.ensure_future(mine.take(Frame(b"quick"), HERE))
            await begun(desk)  # though the first one was not let yet
            desk.let.release(2)
            assert [await slow, await quick] == [(b"one slow",), (b"one quick",)]
            assert await mine.take(Frame(b"later"), HERE) if desk.let.release() is None else None

    run(work())


def test_a_sender_who_is_gone_is_answered_nothing_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURNS_MAX", 1)
    desk = Desk()

    async def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            mine = turns.Turns(desk, threads)
            gone = [asyncio.ensure_future(mine.take(Frame(name), HERE)) for name in (b"a", b"b", b"lost")]
            stays = asyncio.ensure_future(mine.take(Frame(b"c"), HERE))
            await begun(desk)
            for one in gone:
                one.cancel()
            desk.let.release(GIVE_UP_SECONDS)
            assert (await stays)[0].endswith(b"c")
            assert all(one.cancelled() for one in gone)

    run(work())
