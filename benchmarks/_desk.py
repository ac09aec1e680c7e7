"""A desk's DICOM listener, or a peer's, for the benchmarks: started, filled, stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Return when the port is open; raise where the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args} does not listen") from None
            time.sleep(0.05)


@contextlib.contextmanager
def running(line: list[str], port: int, **kwargs: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(*roots: int) -> float:
    """Processor time that these processes and all below them have had, those included that have ended."""
    ticks: dict[int, tuple[int, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    wanted, found = set(roots), 0
    while new := {pid for pid, (parent, _) in ticks.items() if parent in wanted} - wanted:
        wanted |= new
    for pid in wanted & ticks.keys():
        found += ticks[pid][1]
    return found / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk, deleted afterwards."""
    path = Path(tempfile.mkdtemp(prefix="xraydesk-bench-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def database(home: Path) -> Iterator[int]:
    """An embedded PostgreSQL of this home, durable as in use, with the desk's tables; Django is set up on it.

    Gives the number of its process.
    """
    os.environ["XRAYDESK_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "xraydesk.project.settings"
    sys.path.insert(0, str(ROOT))
    from xraydesk.project import postgres

    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    place = postgres.choose_place(home)
    postgres.make(place)
    log = os.open(home / "postgres.log", os.O_WRONLY | os.O_CREAT, 0o600)
    server = postgres.start(place, log=log)
    try:
        ready = [str(place.bin_dir / "pg_isready"), "-q", "-h", str(place.socket_dir), "-p", str(place.port)]
        while subprocess.run(ready).returncode:
            time.sleep(0.05)
        import django
        from django.core.management import call_command

        django.setup()
        with contextlib.suppress(Exception):
            _create_database()
        call_command("migrate", verbosity=0)
        yield server.pid
    finally:
        from django.db import connections

        connections.close_all()
        server.terminate()
        server.wait(30)


def _create_database() -> None:
    from django.db import connection

    with connection._nodb_cursor() as cursor:
        cursor.execute("CREATE DATABASE xraydesk")


@contextlib.contextmanager
def dicom_listener(home: Path) -> Iterator[tuple[int, int]]:
    """`xraydesk dicom` on a free port: the port, and the number of its process."""
    port = free_port()
    line = [sys.executable, "-m", "xraydesk", "dicom", "--home", str(home), "--dicom", f"127.0.0.1:{port}"]
    with running(line, port, cwd=ROOT) as process:
        yield port, process.pid


def fill(exams: int, rooms: int) -> list[Any]:
    """A site with rooms XR1… and so many booked exams, spread over them and over one long day; the bookings."""
    from django.db import connection, transaction

    from tests.factories import AT, make_booking, make_exam, make_patient, make_site

    with transaction.atomic():
        site = make_site(rooms=rooms)
        made = []
        for number in range(exams):
            patient = make_patient(site, number=f"MRN{number:05d}", family=f"Müller{number}", given="Ada")
            exam = make_exam(
                site, patient=patient, reason="Cough", clinical_information="Fever for three days"
            )
            start = AT + timedelta(minutes=number // rooms * 5)
            made.append(make_booking(exam, room=f"XR{number % rooms + 1}", start=start, minutes=5))
    with connection.cursor() as cursor:
        # As PostgreSQL does by itself within a minute: a fresh table is planned badly.
        cursor.execute("ANALYZE")
    return made
