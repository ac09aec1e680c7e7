"""What every test shares beside `tests.database`: the copy of a database that it made, and how often a property is tried."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

from tests import database
from tests.properties import load_profile

load_profile()


# What goes wrong on purpose is told in plain words. structlog, left alone, draws each traceback with colours and every
# variable on it, which takes longer than the test that has it made.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is loaded for the tests is there for good: it is not looked through for garbage meanwhile, nor while they run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


UNWATCHED = (
    "tests/",
    "xraydesk/links/dicom/tests/test_picture.py",
    "xraydesk/links/hl7/tests/test_variants.py",
    "xraydesk/project/tests/",
    "xraydesk/scheduling/tests/test_inner.py",
    "xraydesk/scheduling/tests/test_together.py",
    "xraydesk/simulation/tests/test_properties.py",
)
"""Tests of whole days and of programs, and of examples by the hundred: what is to be covered is so without them, and watched
they take more than twice as long."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` chooses by this mark which tests count for what must be covered."""
    for item in items:
        if item.path.relative_to(config.rootpath).as_posix().startswith(UNWATCHED):
            item.add_marker("unwatched")


LINKS = {
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "socket.bind": "opens a socket",
    "socket.connect": "opens a socket",
}
"""What Python itself tells of (PEP 578), and what it means; PostgreSQL's own client is no socket of Python's."""

_touched: set[str] = set()


def _listen(event: str, _: tuple[object, ...]) -> None:
    # Another thread may be a server that an earlier test left to end by itself.
    if event in LINKS and threading.current_thread() is threading.main_thread():
        _touched.add(LINKS[event])


sys.addaudithook(_listen)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    _touched.clear()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """`-m "not link"` leaves out whatever takes long by its nature: a test that touches a link says so."""
    if _touched and item.get_closest_marker("link") is None:
        pytest.fail(f"it {' and '.join(sorted(_touched))}: mark it with pytest.mark.link", pytrace=False)


JOBS_OF = [f"procrastinate_{table}" for table in ("jobs", "events", "periodic_defers", "workers")]


@pytest.fixture(autouse=True)
def no_job_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test commits is gone after it: Django empties its own tables, and the jobs' are emptied here."""
    marked = request.node.get_closest_marker("django_db")
    if marked is None or not marked.kwargs.get("transaction"):
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        for statement in database.emptying(JOBS_OF):
            cursor.execute(statement)


if database.PLACE is not None:

    @pytest.fixture(scope="session")
    def django_db_setup() -> Iterator[None]:
        """Nothing to make: pytest-django's own would run every migration anew, in each worker."""
        from django.db import connections
        from django.db.backends.postgresql.operations import DatabaseOperations

        kept = DatabaseOperations.sql_flush

        def sql_flush(of: DatabaseOperations, style: Any, tables: list[str], **how: Any) -> list[str]:
            return kept(of, style, tables, **how) if any(how.values()) else database.emptying(tables)

        DatabaseOperations.sql_flush = sql_flush  # type: ignore[method-assign,assignment]
        yield
        DatabaseOperations.sql_flush = kept  # type: ignore[method-assign]
        connections.close_all()
