"""Locks by name, held until the transaction ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, transaction

from xraydesk.lib import locks


@pytest.mark.django_db(transaction=True)
def test_writers_that_name_the_same_things_in_any_order_never_wait_in_a_circle() -> None:
    rounds, writers = 25, 4
    together = Barrier(writers)
    names = [f"thing {number}" for number in range(8)]

    def write(number: int) -> int:
        try:
            for turn in range(rounds):
                together.wait(10)
                with transaction.atomic():
                    locks.take(names if (number + turn) % 2 else reversed(names))
            return rounds
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as threads:
        assert list(threads.map(write, range(writers))) == [rounds] * writers


@pytest.mark.django_db
def test_nothing_asked_for_locks_nothing() -> None:
    locks.take([])
    assert _held() == 0


@pytest.mark.django_db
def test_a_name_given_twice_is_one_lock() -> None:
    locks.take(["a", "b", "a"])
    assert _held() == 2


@pytest.mark.django_db
def test_too_many_names_at_once_are_refused() -> None:
    with pytest.raises(locks.TooManyLocks):
        locks.take(str(number) for number in range(locks.LOCKS_AT_ONCE_MAX + 1))


def _held() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        return int(cursor.fetchone()[0])
