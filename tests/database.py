"""What every test shares: a PostgreSQL of its own, in a temporary folder, thrown away afterwards; and quick passwords.

Making one with all its tables takes seconds, so it is made once for each state of the
migrations, kept stopped in the temporary files, and copied for each run.

What is compiled is kept beside its source, whatever the environment says: a run is dozens of processes, workers of
pytest and those of the desks that tests start, and each would compile the same files anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from xraydesk.project import postgres

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MADE_KEPT = 12
"""Databases of states of the migrations that are kept, those used last: several branches do not make each other's anew."""

GRANTS_SETTINGS = 15
"""Since this version of PostgreSQL a single setting of its owner's can be granted to others."""

MEMORY_BYTES_MIN = 1_000_000_000


def memory_folder() -> str | None:
    """Memory, where there is enough that programs can be run from; else the usual temporary files."""
    try:
        shm = os.statvfs("/dev/shm")
    except OSError:
        return None
    roomy = shm.f_bavail * shm.f_frsize > MEMORY_BYTES_MIN and not shm.f_flag & os.ST_NOEXEC
    return "/dev/shm" if roomy else None


_HOME = Path(tempfile.mkdtemp(prefix="xraydesk-test-", dir=memory_folder()))
_HOME.chmod(0o711)
os.environ["XRAYDESK_HOME"] = str(_HOME / "home")
os.environ["XRAYDESK_SECRET_KEY"] = "a key that only tests use"
_server: subprocess.Popen[bytes] | None = None

# Loaded with `-p`, before Django's settings are: they ask where this home's database is.
PLACE = None if "DATABASE_URL" in os.environ else postgres.choose_place(Path(os.environ["XRAYDESK_HOME"]))


def _start(place: postgres.Place, log_file: Path) -> subprocess.Popen[bytes]:
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT, 0o600)
    server = postgres.start(place, log=log, durable=False)
    os.close(log)
    deadline = time.monotonic() + 30
    while subprocess.run(
        [str(place.bin_dir / "pg_isready"), "-q", "-h", str(place.socket_dir), "-p", str(place.port)]
    ).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log_file.read_text(errors="replace"))
        time.sleep(0.02)
    return server


def _state_of_migrations(place: postgres.Place) -> str:
    package = Path(postgres.__file__).parents[1]
    told = hashlib.sha256()
    for file in sorted([*package.glob("*/migrations/*.py"), Path(postgres.__file__), Path(__file__)]):
        told.update(f"{file.relative_to(package.parent)}\n".encode())
        told.update(file.read_bytes())
    told.update(f"{version('django')} {version('procrastinate')} {place.bin_dir}".encode())
    told.update(str((place.bin_dir / "postgres").stat().st_mtime_ns).encode())
    return told.hexdigest()[:16]


def _made_database(place: postgres.Place) -> Path:
    """A stopped data folder whose database `xraydesk` has every table."""
    kept = Path(tempfile.gettempdir()) / f"xraydesk-test-databases-{os.geteuid()}"
    kept.mkdir(mode=0o711, exist_ok=True)
    if kept.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{kept} belongs to somebody else")
    made = kept / _state_of_migrations(place)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(place)
            # Of a run that was cut off: what is not whole is never under a state's own name.
            shutil.rmtree(made.with_suffix(".partial"), ignore_errors=True)
            shutil.copytree(place.data_dir, made.with_suffix(".partial"))
            made.with_suffix(".partial").rename(made)
            older = sorted(kept.iterdir(), key=lambda folder: folder.stat().st_mtime)
            for folder in [f for f in older if f.is_dir()][:-MADE_KEPT]:
                gone = folder if folder.suffix else folder.rename(folder.with_suffix(".gone"))
                shutil.rmtree(gone, ignore_errors=True)
        made.touch()
    return made


@cache
def _grants_settings() -> bool:
    return PLACE is not None and postgres.major_version(PLACE.bin_dir) >= GRANTS_SETTINGS


def _make(place: postgres.Place) -> None:
    postgres.make(place, durable=False)
    server = _start(place, _HOME / "make.log")
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity", "0"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "xraydesk.project.settings"},
        cwd=Path(postgres.__file__).parents[2],
        check=True,
    )
    server.terminate()
    server.wait(20)


def _copy(made: Path, place: postgres.Place) -> None:
    """The made database at a place, if it is not the one that was made there just now."""
    postgres.own(place.socket_dir, place)
    if not place.data_dir.exists():
        shutil.copytree(made, place.data_dir)
    owner = (place.socket_dir.stat().st_uid, place.socket_dir.stat().st_gid)
    for entry in [place.data_dir, *place.data_dir.rglob("*")]:
        os.chown(entry, *owner)


def with_tables(folder: Path) -> Path:
    """The same folder, its desk's home with every table and no row: a first `up` needs ten seconds to make those.

    What it begins with is what it has made when it is first asked; that it makes it is shown where one begins from nothing.
    """
    if PLACE is not None:
        _copy(_made_database(PLACE), postgres.choose_place(folder / "home"))
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    global _server
    hands_tests_on = getattr(config.option, "numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ
    if PLACE is not None and not config.option.collectonly and not hands_tests_on:
        _copy(_made_database(PLACE), PLACE)
        _server = _start(PLACE, _HOME / "postgres.log")
        if _grants_settings():
            with psycopg.connect(
                host=str(PLACE.socket_dir), port=PLACE.port, dbname="postgres", user="postgres"
            ) as owner:
                owner.execute("GRANT SET ON PARAMETER session_replication_role TO xraydesk")


def pytest_collection() -> None:
    """Passwords made here need not be slow to guess; those that a served desk made are still understood."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["tests.database.QuickHasher", *settings.PASSWORD_HASHERS]


def emptying(tables: list[str]) -> list[str]:
    """Takes every row out of tables, and of those that point to them, inside a transaction; waits for whoever writes there.

    A test writes a few rows in a few tables: to take those out is much less work than to make the files of every table
    anew, which is what TRUNCATE does. The checks and triggers of each row are left out, as TRUNCATE leaves them out.
    """
    if not tables:
        return []
    named = ", ".join(f'"{table}"' for table in tables)
    if not _grants_settings():
        return [f"TRUNCATE {named} CASCADE"]
    every = "array[" + ", ".join(f"'{table}'" for table in tables) + "]"
    return [
        f"LOCK TABLE {named} IN SHARE ROW EXCLUSIVE MODE",
        "SET LOCAL session_replication_role = replica",
        f"""DO $$ DECLARE name text; BEGIN
          FOREACH name IN ARRAY {every} LOOP
            IF pg_relation_size(quote_ident(name)::regclass) > 0 THEN EXECUTE format('DELETE FROM %I', name); END IF;
          END LOOP;
        END $$""",
    ]


class QuickHasher(PBKDF2PasswordHasher):
    """One round, for tests alone."""

    algorithm = "quick"
    iterations = 1


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server is not None:
        _server.terminate()
        _server.wait(20)
    shutil.rmtree(_HOME, ignore_errors=True)
