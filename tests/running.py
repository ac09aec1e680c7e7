"""A desk that really runs, and real partners around it: for the tests that cross everything.

Nothing here is one of the simulated parties: the MLLP client is a plain socket, DICOM is
spoken by dcmtk and pynetdicom, the PACS is Orthanc.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from xraydesk.project import postgres

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
READY_SECONDS_MAX = 180
STARTED_SECONDS_MAX = 240


def need(*programs: str) -> None:
    """Skip the test, with the reason, where a Debian package's program is not installed."""
    missing = [
        name for name in programs if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None
    ]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def hospital_file(folder: Path, *, pacs: int) -> Path:
    """The demonstration's hospital as a site file, its PACS at that port and its EHR away.

    At the usual ports another desk's simulated EHR may listen on the same machine, and refuse some on purpose.
    """
    text = (ROOT / "site" / "hospital.toml").read_text(encoding="utf-8")
    for usual, port in ((11113, pacs), (11114, free_ports(1)[0])):
        text, replaced = re.subn(rf"(?m)^port = {usual}\b.*$", f"port = {port}", text)
        assert replaced == 1, usual
    text = text.replace("127.0.0.1:11115", f"127.0.0.1:{free_ports(1)[0]}")
    file = folder / "site.toml"
    file.write_text(text, encoding="utf-8")
    return file


def until(what: Callable[[], T], seconds: float = 15, every: float = 0.1) -> T:
    """The first true answer within that time; else the last one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(every)


def framed(message: str) -> bytes:
    """An HL7 message in MLLP's frame."""
    return b"\x0b" + message.encode() + b"\x1c\r"


def collect_sockets() -> None:
    """Have the sockets gone that pynetdicom leaves open where a connection is refused or cut, before pytest counts them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@dataclass
class Desk:
    """A running desk, asked from outside: sockets, HTTP and its own command line."""

    home: Path
    http: int
    mllp: int
    dicom: int
    process: subprocess.Popen[bytes]
    log: Path
    env: dict[str, str] = field(default_factory=dict)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One run of the command line."""
        return subprocess.run(
            [sys.executable, "-m", "xraydesk", *arguments],
            capture_output=True,
            text=True,
            env=self.env | {"XRAYDESK_HOME": str(self.home)},
            cwd=ROOT,
            timeout=60,
        )

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints with `--json`, one object a line."""
        done = self.cli(*arguments, "--json")
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def batch(self, questions: list[list[str]]) -> list[dict[str, Any]]:
        """`batch`: many questions to one process, an answer each."""
        done = subprocess.run(
            [sys.executable, "-m", "xraydesk", "batch"],
            input="".join(json.dumps(question) + "\n" for question in questions),
            capture_output=True,
            text=True,
            env=self.env | {"XRAYDESK_HOME": str(self.home)},
            cwd=ROOT,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def exam(self, accession: str) -> dict[str, Any]:
        """`exam show`."""
        return self.objects("exam", "show", accession)[0]

    def demo(self) -> dict[str, Any]:
        """What `up --demo` wrote down for whoever wants to use it."""
        told: dict[str, Any] = json.loads((self.home / "demo.json").read_text(encoding="utf-8"))
        return told

    def ask(self, message: str, timeout: float = 20) -> str:
        """Send one HL7 message and return the acknowledgement as text."""
        with socket.create_connection(("127.0.0.1", self.mllp), timeout) as connection:
            connection.sendall(framed(message))
            answer = b""
            while b"\x1c" not in answer:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        return answer.strip(b"\x0b\x1c\r").decode()

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """A page or resource by GET."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def children(self) -> dict[str, int]:
        """Process ids by kind: `web`, `mllp`, `dicom`, `worker`, `postgres`."""
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                # The name of the program, in brackets, may hold spaces; the parent is second after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue  # Not a process, or one that has ended since.
            if parent != self.process.pid:
                continue
            if "xraydesk" in words:
                found |= {
                    kind: int(entry.name) for kind in ("web", "mllp", "dicom", "worker") if kind in words
                }
            if words[0].endswith("bin/postgres"):
                found["postgres"] = int(entry.name)
        return found

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def take_away_data_outside(home: Path) -> None:
    """Root keeps the database of a home that PostgreSQL's user cannot enter elsewhere: gone with the test."""
    place = postgres.recorded(home)
    if place is not None and place.data_dir.is_relative_to(postgres.OUTSIDE):
        shutil.rmtree(place.data_dir.parent, ignore_errors=True)


@contextmanager
def running_desk(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Desk]:
    """A desk started by `xraydesk up` in `folder/home`, stopped afterwards."""
    http, mllp, dicom = free_ports(3)
    home, log = folder / "home", folder / "up.log"
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("XRAYDESK_", "DATABASE_URL"))}
    surroundings |= env or {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "xraydesk", "up", "--home", str(home), "--http", f"127.0.0.1:{http}",
             "--mllp", f"127.0.0.1:{mllp}", "--dicom", f"127.0.0.1:{dicom}", *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=surroundings, cwd=ROOT,
        )  # fmt: skip
    desk = Desk(home, http, mllp, dicom, process, log, surroundings)
    try:
        ready = until(
            lambda: process.poll() is not None or "\nready\n" in f"\n{log.read_text(errors='replace')}",
            seconds=READY_SECONDS_MAX,
        )
        assert ready and process.poll() is None, log.read_text(errors="replace")[-3000:]
        yield desk
    finally:
        try:
            desk.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        take_away_data_outside(home)


@dataclass
class Orthanc:
    """A running Orthanc: a PACS that is none of ours."""

    dicom: int
    http: int

    def rest(self, path: str) -> Any:
        """Its REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def instances(self) -> list[dict[str, Any]]:
        """The simplified tags of every instance that it holds."""
        return [self.rest(f"/instances/{one}/simplified-tags") for one in self.rest("/instances")]


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc with an empty store, AE title PACS."""
    need("Orthanc")
    dicom, http = free_ports(2)
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"),
        "DicomAet": "PACS", "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False,
        "UnknownSopClassAccepted": True, "Plugins": [], "HttpServerEnabled": True,
    }  # fmt: skip
    (folder / "orthanc").mkdir()
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    program = shutil.which("Orthanc", path=os.environ["PATH"] + ":/usr/sbin")
    assert program is not None
    with (folder / "orthanc.log").open("wb") as output:
        process = subprocess.Popen([program, str(path)], stdout=output, stderr=subprocess.STDOUT)
    orthanc = Orthanc(dicom, http)

    def answers() -> bool:
        try:
            return bool(orthanc.rest("/system"))
        except OSError:
            return False

    try:
        assert until(answers, seconds=20), (folder / "orthanc.log").read_text(errors="replace")[-2000:]
        yield orthanc
    finally:
        process.terminate()
        process.wait(20)


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
        take_away_data_outside(self.home)

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
