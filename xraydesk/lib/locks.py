"""Locks by name that last until the transaction ends, taken in one order so that nobody waits in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection

from xraydesk.lib.prepared import Question, ask

LOCKS_AT_ONCE_MAX = 200
"""No step needs more names than this at once."""

_held: ContextVar[frozenset[str]] = ContextVar("locks held", default=frozenset())


class TooManyLocks(ValueError):
    """A step asked for more names at once than any should need."""


def take(names: Iterable[str]) -> None:
    """Wait until nobody else holds one of `names`, and hold them until this transaction ends.

    One round trip. PostgreSQL sorts the keys before it locks (the function stands above a
    sorted subquery), so that two steps that need the same names never wait for each other in a circle.
    """
    held = _held.get()
    wanted = question(name for name in names if name not in held)
    if wanted.values[0]:
        ask(wanted)


@contextmanager
def held(names: Iterable[str]) -> Iterator[None]:
    """Inside, `names` are not asked for again: the caller asked for them in this transaction, which ends no earlier."""
    token = _held.set(_held.get() | frozenset(names))
    try:
        yield
    finally:
        _held.reset(token)


@contextmanager
def in_hand(name: str) -> Iterator[bool]:
    """Take a piece of work in hand over several transactions; False where somebody has it. Of who is killed the database lets go."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def question(names: Iterable[str]) -> Question:
    """What `take` asks; the answer comes when the locks are held."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) > LOCKS_AT_ONCE_MAX:
        raise TooManyLocks(len(wanted))
    return Question(
        "SELECT pg_advisory_xact_lock(sorted.key) FROM (SELECT DISTINCT hashtextextended(name, 0) AS key"
        " FROM unnest($1::text[]) AS name ORDER BY key) AS sorted",
        [wanted],
    )
