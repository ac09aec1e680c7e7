"""What every test shares: a PostgreSQL of its own, made in a temporary folder and thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from xraydesk.project import postgres

_HOME = Path(tempfile.mkdtemp(prefix="xraydesk-test-"))
os.environ.setdefault("XRAYDESK_HOME", str(_HOME / "home"))
os.environ.setdefault("XRAYDESK_SECRET_KEY", "a key that only tests use")
_HOME.chmod(0o755)
_server: subprocess.Popen[bytes] | None = None

# Loaded with `-p`, before Django's settings are: they ask where this home's database is.
_PLACE = None if "DATABASE_URL" in os.environ else postgres.choose_place(Path(os.environ["XRAYDESK_HOME"]))


def _start_postgres(place: postgres.Place) -> None:
    global _server
    postgres.make(place)
    log = os.open(_HOME / "postgres.log", os.O_WRONLY | os.O_CREAT, 0o600)
    _server = postgres.start(place, log=log, durable=False)
    os.close(log)
    deadline = time.monotonic() + 30
    while subprocess.run(
        [str(place.bin_dir / "pg_isready"), "-q", "-h", str(place.socket_dir), "-p", str(place.port)]
    ).returncode:
        if _server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((_HOME / "postgres.log").read_text(errors="replace"))
        time.sleep(0.05)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if _PLACE is not None and not config.option.collectonly:
        _start_postgres(_PLACE)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server is not None:
        _server.terminate()
        _server.wait(20)
    shutil.rmtree(_HOME, ignore_errors=True)
