"""A whole desk under `xraydesk up`, started and stopped by a test, asked only from outside."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STARTED_SECONDS_MAX = 90


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def until(question: Callable[[], object], seconds: float) -> bool:
    """Ask until the answer is true; False where it is not so within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.05)
    return False


@dataclass
class RunningDesk:
    """One desk: `start`, ask, `stop`. Whatever it started is gone after `end`."""

    home: Path
    flags: tuple[str, ...] = ()
    extra_environment: dict[str, str] = field(default_factory=dict)
    ports: list[int] = field(default_factory=lambda: free_ports(3))

    def __post_init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.output = self.home.with_name(self.home.name[:40] + ".out")
        self.seconds_to_ready = 0.0

    @property
    def line(self) -> list[str]:
        """The command line."""
        http_port, mllp_port, dicom_port = self.ports
        return [
            sys.executable, "-m", "xraydesk", "up", "--home", str(self.home),
            "--http", f"127.0.0.1:{http_port}",
            "--mllp", f"127.0.0.1:{mllp_port}",
            "--dicom", f"127.0.0.1:{dicom_port}",
            *self.flags,
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without what tests set for themselves."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("XRAYDESK_") and name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
        }
        return kept | self.extra_environment

    def start(self) -> RunningDesk:
        """Start it and wait for the line `ready`."""
        began = time.monotonic()
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                self.line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        if (
            not until(
                lambda: "ready" in self.said().splitlines() or self.process.poll() is not None,
                STARTED_SECONDS_MAX,
            )
            or self.process.poll() is not None
        ):
            said = self.said()
            self.end()
            raise AssertionError(f"the desk did not start: {said}")
        self.seconds_to_ready = time.monotonic() - began
        return self

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    def run_and_fail(self) -> tuple[int, str]:
        """Start it where it cannot start: its status and what it said."""
        done = subprocess.run(
            self.line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            timeout=30,
        )
        return done.returncode, done.stdout

    def stop(self, number: int = signal.SIGINT) -> float:
        """Ask it to stop and wait; how many seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - began

    def end(self) -> None:
        """Leave nothing running, however the test went."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in self.left_running():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def left_running(self) -> list[int]:
        """Processes whose command line names this home."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if any(os.fsencode(self.home) in word for word in words):
                    found.append(int(entry.name))
        return found

    def pid_of(self, kind: str) -> int | None:
        """The process of one kind; the main one of PostgreSQL for `postgres`."""
        for pid in self.left_running():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if (kind == "postgres" and words[0].endswith("bin/postgres")) or words[3:5] == ["xraydesk", kind]:
                return pid
        return None

    def get(self, path: str) -> int:
        """Status of a page; 0 where nothing answers."""
        line = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=5)
        try:
            line.request("GET", path)
            return line.getresponse().status
        except OSError:
            return 0
        finally:
            line.close()
