"""The whole desk under one command: it starts, mends itself, and stops."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.database import memory_folder, with_tables
from tests.running import RunningDesk, until
from xraydesk.project import postgres
from xraydesk.project.addresses import Address
from xraydesk.project.readiness import answers_ready

pytestmark = pytest.mark.link

KINDS = ("web", "mllp", "dicom", "worker")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="xraydesk-up-", dir=memory_folder()) as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[RunningDesk]:
    running = RunningDesk(folder / "home").start()
    yield running
    running.end()


@pytest.fixture(autouse=True)
def steady(desk: RunningDesk) -> None:
    """Each test begins with a desk that answers."""
    assert until(lambda: desk.get("/readyz") == 200, 20)


def database_of(desk: RunningDesk) -> psycopg.Connection:
    place = postgres.recorded(desk.home)
    assert place is not None
    return psycopg.connect(host=str(place.socket_dir), dbname="xraydesk", user="xraydesk", autocommit=True)


def test_ready_stands_on_a_line_of_its_own_below_where_to_look(desk: RunningDesk) -> None:
    lines = desk.said().splitlines()
    assert lines[-1] == "ready" or "ready" in lines
    assert any(f"http://127.0.0.1:{desk.ports[0]}/" in line for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_is_back_within_five_seconds(desk: RunningDesk, kind: str) -> None:
    before = desk.pid_of(kind)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert until(lambda: desk.pid_of(kind) not in (None, before), 5)


def test_a_killed_database_is_back_within_five_seconds_with_its_rows(desk: RunningDesk) -> None:
    """Rows 48 and 52: nothing needs a hand, nothing committed is lost."""
    with database_of(desk) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (52)")
    before = desk.pid_of("postgres")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert until(lambda: desk.pid_of("postgres") not in (None, before), 5)
    assert until(lambda: desk.get("/readyz") == 200, 10)
    with database_of(desk) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(52,)]
        connection.execute("DROP TABLE kept")
    assert {kind: desk.pid_of(kind) for kind in KINDS if desk.pid_of(kind) is None} == {}


def test_a_second_desk_in_one_home_is_refused_in_a_sentence(desk: RunningDesk) -> None:
    status, said = RunningDesk(desk.home).run_and_fail()
    assert status == 2
    assert said.count("\n") == 1
    assert "runs in" in said
    assert str(desk.process.pid) in said
    assert "--home" in said


def test_a_port_in_use_is_named_with_its_flag(desk: RunningDesk, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = RunningDesk(folder / "other")
        other.ports[2] = port
        status, said = other.run_and_fail()
    assert (status, said) == (2, f"xraydesk: Port {port} is in use: choose another with --dicom HOST:PORT\n")


def test_a_supervisor_takes_no_other_desks_answer_for_its_own(desk: RunningDesk) -> None:
    web = Address("127.0.0.1", desk.ports[0])
    environment = Path(f"/proc/{desk.pid_of('web')}/environ").read_bytes().split(b"\0")
    (own,) = [e.partition(b"=")[2].decode() for e in environment if e.startswith(b"XRAYDESK_INSTANCE=")]
    assert answers_ready(web, tls=False, instance=own)
    assert not answers_ready(web, tls=False, instance="another")


def test_a_home_that_cannot_be_written_is_refused_in_a_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    status, said = RunningDesk(folder / "file" / "home").run_and_fail()
    assert status == 2
    assert said.count("\n") == 1
    assert "cannot be written" in said
    assert "--home" in said


@pytest.mark.parametrize(
    ("flag", "word"), [("--http", "--tls-cert"), ("--mllp", "127.0.0.1"), ("--dicom", "127.0.0.1")]
)
def test_an_address_beyond_this_machine_in_clear_is_refused(folder: Path, flag: str, word: str) -> None:
    """Row 59: with what to do instead."""
    (folder / "open").mkdir(exist_ok=True)
    home = with_tables(folder / "open") / "home"
    status, said = RunningDesk(home, flags=(flag, "0.0.0.0:18099")).run_and_fail()
    assert status == 2
    assert flag in said
    assert word in said


def test_children_of_a_killed_supervisor_end_and_the_next_takes_the_database_over(desk: RunningDesk) -> None:
    database = desk.pid_of("postgres")
    children = [desk.pid_of(kind) for kind in KINDS]
    assert desk.process is not None
    desk.process.kill()
    desk.process.wait(5)
    assert until(lambda: not set(children) & set(desk.left_running()), 5)
    assert desk.pid_of("postgres") == database
    desk.start()
    assert "took over the PostgreSQL" in desk.said()
    assert desk.pid_of("postgres") == database


def test_a_desk_that_took_its_database_over_mends_it_too(desk: RunningDesk) -> None:
    database = desk.pid_of("postgres")
    assert database is not None
    os.kill(database, signal.SIGKILL)
    assert until(lambda: desk.pid_of("postgres") not in (None, database), 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_everything_stops_within_fifteen_seconds_and_starts_again(desk: RunningDesk, number: int) -> None:
    assert desk.stop(number) < 15
    assert desk.left_running() == []
    assert desk.process is not None
    assert desk.process.returncode == 0
    assert "database system is shut down" in (desk.home / "logs" / "postgres.log").read_text()
    desk.start()


def test_two_desks_run_side_by_side(desk: RunningDesk, folder: Path) -> None:
    (folder / "second").mkdir()
    other = RunningDesk(with_tables(folder / "second") / "home", flags=("--demo-quiet",)).start()
    try:
        assert (desk.get("/readyz"), other.get("/readyz")) == (200, 200)
        assert desk.pid_of("postgres") != other.pid_of("postgres")
        assert (other.home / "demo.json").stat().st_mode & 0o777 == 0o600
    finally:
        other.end()
