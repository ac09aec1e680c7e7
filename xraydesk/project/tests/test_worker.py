"""Jobs are done once, whatever happens to who does them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from django.db import connection, transaction
from procrastinate.contrib.django import app as registered
from procrastinate.psycopg_connector import PsycopgConnector

from tests.factories import AT, make_exam, make_site
from tests.running import until
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.project.worker import REACTIONS, other_queues, reap
from xraydesk.scheduling.models import Booking

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


def address_of_the_test_database() -> str:
    told = connection.settings_dict
    return f"postgresql://{told['USER']}@/{told['NAME']}?{urlencode({'host': told['HOST']})}"


@contextlib.contextmanager
def worker(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "xraydesk", "worker", "--home", str(home)],
        env=os.environ | {"DATABASE_URL": address_of_the_test_database()},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


def jobs() -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT status::text, attempts FROM procrastinate_jobs WHERE task_name = 'react'")
        return cursor.fetchall()


def somebody_waits_for_the_bookings() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'scheduling_booking'::regclass"
        )
        return cursor.fetchone() is not None


def an_accepted_exam(site: str = "T") -> int:
    exam = make_exam(make_site(site))
    with transaction.atomic():
        record(site_id=exam.site_id, kind=FactKind.EXAM_ACCEPTED, at=AT, by="rule", accession=exam.accession)
    return exam.pk


def test_a_job_whose_worker_is_killed_half_way_is_given_back_and_done_once(tmp_path: Path) -> None:
    """Row 47."""
    exam = an_accepted_exam()
    with psycopg.connect(address_of_the_test_database()) as somebody:
        somebody.execute("LOCK TABLE scheduling_booking IN ACCESS EXCLUSIVE MODE")
        with worker(tmp_path) as first:
            assert until(somebody_waits_for_the_bookings, 30)
            first.send_signal(signal.SIGKILL)
            first.wait(5)
        assert jobs() == [("doing", 0)]
    with worker(tmp_path):
        assert until(lambda: jobs() == [], 45)
    assert Booking.objects.filter(exam=exam).count() == 1
    assert Fact.objects.filter(kind=FactKind.EXAM_BOOKED).count() == 1


def test_a_worker_that_is_asked_to_end_leaves_what_waits_to_the_next(tmp_path: Path) -> None:
    with worker(tmp_path) as first:
        exam = an_accepted_exam()
        assert until(lambda: Booking.objects.filter(exam=exam).exists(), 30)
        first.terminate()
        assert first.wait(10) == 0
    another = an_accepted_exam("U")
    # What followed from the first exam's booking may wait as well: it ended before or after.
    assert set(jobs()) == {("todo", 0)}
    with worker(tmp_path):
        assert until(lambda: Booking.objects.filter(exam=another).exists(), 30)


def test_a_worker_whose_database_connections_are_cut_goes_on_by_itself(tmp_path: Path) -> None:
    """Row 48: nothing needs a hand."""
    with worker(tmp_path) as running:
        exam = an_accepted_exam()
        assert until(lambda: Booking.objects.filter(exam=exam).exists(), 30)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        another = an_accepted_exam("U")
        assert until(lambda: Booking.objects.filter(exam=another).exists(), 30)
        assert running.poll() is None


def test_every_queue_that_a_task_names_is_looked_after() -> None:
    from procrastinate.contrib.django import app

    assert {task.queue for task in app.tasks.values()} == {REACTIONS, *other_queues()}


def test_a_job_given_back_whose_twin_waits_already_leaves_the_work_to_it() -> None:
    """Row 47: two that ask for the same are one; the worker that gives back does not fall over it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
        )
        (gone,) = cursor.fetchone()
        job = "INSERT INTO procrastinate_jobs (queue_name, task_name, args, queueing_lock, status, worker_id) VALUES "
        cursor.execute(job + "('images', 'deliver', '{}', 'twin', 'doing', %s) RETURNING id", [gone])
        (given_back,) = cursor.fetchone()
        cursor.execute(job + "('images', 'deliver', '{}', 'twin', 'todo', NULL) RETURNING id")
        (twin,) = cursor.fetchone()
        cursor.execute(job + "('images', 'deliver', '{}', 'alone', 'doing', %s) RETURNING id", [gone])
        (alone,) = cursor.fetchone()

    async def give_back() -> int:
        connector = PsycopgConnector(conninfo=address_of_the_test_database())
        async with registered.with_connector(connector).open_async() as app:
            return await reap(app)

    assert asyncio.run(give_back()) == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, status::text FROM procrastinate_jobs ORDER BY id")
        assert cursor.fetchall() == [(twin, "todo"), (alone, "todo")]
    assert given_back < twin


LOADING = """
import sys

import django

django.setup()
from xraydesk.project import worker
from xraydesk.project.config import Config

assert "pydicom" not in sys.modules


async def begin(_: worker.Work) -> None:
    print(sys.modules["pydicom"].valuerep.__name__, "pynetdicom" in sys.modules)


worker.Work.until_told_to_end = begin
worker.run(Config.model_construct(worker_jobs_at_once=1))
"""


def test_what_two_jobs_would_load_at_one_moment_is_loaded_before_any_begins(tmp_path: Path) -> None:
    """pydicom that two threads load at once stays half loaded: no image would leave until the next start."""
    told = {"DJANGO_SETTINGS_MODULE": "xraydesk.project.settings", "XRAYDESK_SECRET_KEY": "k"}
    done = subprocess.run(
        [sys.executable, "-c", LOADING],
        env=os.environ | told | {"XRAYDESK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["pydicom.valuerep", "True"], done.stderr
