"""Rows that several tests ask: made once for all of a file, and as they were for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

M = TypeVar("M")


@contextmanager
def shared(make: Callable[[], M], blocker: DjangoDbBlocker) -> Iterator[M]:
    """What `make` writes and returns, for tests that run meanwhile; none of it is left afterwards.

    For a fixture whose scope is the module. Each test marked `django_db` goes back to just these rows after it; one with
    `transaction=True` cannot be in the same file.
    """
    around = transaction.atomic()
    # As Django's own around a test: a durable transaction may begin inside it.
    around._from_testcase = True
    with blocker.unblock():
        around.__enter__()
        try:
            made = make()
            # What is checked at the end of a transaction is checked here, and not anew after each test.
            connection.check_constraints()
        except BaseException as why:
            around.__exit__(type(why), why, why.__traceback__)
            raise
    yield made
    with blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)
