"""The embedded PostgreSQL while it runs: started or taken over, watched, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from xraydesk.project import postgres
from xraydesk.project.postgres import Place, PostgresTrouble

START_SECONDS_MAX = 60
"""How long a start may take; recovery after a crash is part of it."""

LOG_BYTES_MAX = 10_000_000


class Server:
    """One running PostgreSQL of one home. The caller holds the home's lock."""

    def __init__(self, place: Place, log: Path) -> None:
        self.place = place
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._taken_over: int | None = None
        self._was_up = False

    def bring_up(self) -> bool:
        """Start it, or take over one left running by a supervisor that was killed. True where taken over.

        Does not wait until it answers: see `wait`. Raises PostgresTrouble where the data of a server that ran
        are gone: an empty database is never put in their place.
        """
        if self._was_up and not (self.place.data_dir / "PG_VERSION").exists():
            raise PostgresTrouble(
                f"the data that were in {self.place.data_dir} are gone: stop the desk and bring them back"
            )
        postgres.make(self.place)
        self._was_up = True
        self._child, self._taken_over = None, _running_pid(self.place)
        if self._taken_over is None:
            _clear_stale_files(self.place)
            self.trim_log()
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._child = postgres.start(self.place, log=handle)
            finally:
                os.close(handle)
        return self._taken_over is not None

    def answers(self) -> bool:
        """Whether it takes connections."""
        return (
            subprocess.run(
                [
                    str(self.place.bin_dir / "pg_isready"),
                    "-q", "-h", str(self.place.socket_dir), "-p", str(self.place.port), "-t", "2",
                ],
                cwd="/",
            ).returncode
            == 0
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers. Raises PostgresTrouble, with the end of its log, where it does not."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.answers():
            if not self.alive() or time.monotonic() > deadline:
                raise PostgresTrouble(f"PostgreSQL did not start: {self._last_words()} (see {self.log})")
            time.sleep(0.03)

    def alive(self) -> bool:
        """Whether its main process is there."""
        if self._child is not None:
            return self._child.poll() is None
        return self._taken_over is not None and _is_server(self._taken_over, self.place)

    def stop(self, seconds: float) -> None:
        """Stop it fast: connections are ended, everything committed is on disk.

        After `seconds` it is made to stop at once, and recovers at its next start.
        """
        for how, patience in ((signal.SIGINT, seconds), (signal.SIGQUIT, 2.0)):
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid(), how)
            deadline = time.monotonic() + patience
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.02)

    def trim_log(self) -> None:
        """Keep the server's log, which it only appends to, within bounds: one older part is kept."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES_MAX:
                older = self.log.with_name(self.log.name + ".1")
                older.write_bytes(self.log.read_bytes())
                older.chmod(0o600)
                os.truncate(self.log, 0)

    def _pid(self) -> int:
        return self._child.pid if self._child is not None else self._taken_over or 0

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return lines[-1] if lines else "it said nothing"


def _running_pid(place: Place) -> int | None:
    """The process id of the server that runs on this data folder; None where there is none."""
    try:
        pid = int((place.data_dir / "postmaster.pid").read_text(encoding="ascii").split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if _is_server(pid, place) else None


def _is_server(pid: int, place: Place) -> bool:
    """Whether a process is the server of this data folder, and not another that got its old number."""
    told = (
        subprocess.run(["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True)
        if not Path("/proc/self/cmdline").exists()
        else None
    )
    if told is not None:
        return not told.stdout.startswith("Z") and f"-D {place.data_dir} " in told.stdout
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"-D" in words and os.fsencode(place.data_dir) in words


def _clear_stale_files(place: Place) -> None:
    """Take away what a killed server or another machine's boot left, where no part of it runs.

    PostgreSQL refuses to start when the process number in its old files has meanwhile been
    given to somebody else. Parts of a killed server that still end keep their files: the
    server's own check must see them.
    """
    if any(_works_in(place.data_dir)):
        return
    for left in (
        place.data_dir / "postmaster.pid",
        place.socket_dir / f".s.PGSQL.{place.port}.lock",
        place.socket_dir / f".s.PGSQL.{place.port}",
    ):
        left.unlink(missing_ok=True)


def _works_in(folder: Path) -> list[int]:
    """Processes whose working directory is `folder`; on systems that do not tell, this process as a stand-in."""
    if not Path("/proc/self/cwd").exists():
        return [os.getpid()]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.readlink(entry / "cwd") == str(folder):
                    found.append(int(entry.name))
    return found
