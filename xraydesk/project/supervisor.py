"""`xraydesk up`: everything on one machine, kept running, stopped in order.

This process stays small: it starts programs, watches them and starts them again. It imports
neither Django nor a database driver.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import IO

from xraydesk.project import addresses, postgres
from xraydesk.project.children import Child
from xraydesk.project.config import Config, config, put_flags
from xraydesk.project.lifeline import Lifeline
from xraydesk.project.postgres_server import Server
from xraydesk.project.processes import KINDS
from xraydesk.project.readiness import INSTANCE_VARIABLE, answers_ready, takes_connections, wait_for
from xraydesk.project.trouble import Trouble

TICK_SECONDS = 0.1
READY_SECONDS_MAX = 120
POSTGRES_STARTS_AFTER_SECONDS = (0.1, 0.5, 1.0, 2.0)
STATE_FILE = "prepared"
"""In the home: for which state of the tables' descriptions the last start went well."""

STOP_SECONDS = {"first": 5.0, "worker": 4.0, "postgres": 3.5}
"""How long each may take to end in good order; with the harder ways after them less than 15 s together."""


@dataclass(frozen=True)
class Wanted:
    """What `up` was asked for beside the settings."""

    demo: bool = False
    quiet: bool = False
    """Leave the simulated parties out."""
    site_file: Path | None = None


class StopAsked(Exception):
    """Somebody pressed Ctrl-C, or the system asks the desk to end."""


def supervise(wanted: Wanted) -> int:
    """Run the desk until it is told to stop; the exit status.

    Raises Trouble where it cannot start.
    """
    put_flags({"home": config().home.absolute()})
    settings = config()
    check_addresses(settings)
    with _locked(settings.home):
        desk = Supervisor(settings, wanted)
        try:
            desk.start()
            desk.keep_running()
        except StopAsked:
            say("stopping")
        finally:
            desk.stop()
        say("stopped")
    return 0


def check_addresses(settings: Config) -> None:
    """Raises Trouble for an address that is wrong, taken, or open to others in clear."""
    tls = settings.tls_cert is not None
    if tls != (settings.tls_key is not None):
        raise Trouble("--tls-cert and --tls-key belong together: give both")
    for file, flag in ((settings.tls_cert, "--tls-cert"), (settings.tls_key, "--tls-key")):
        if file is not None and not os.access(file, os.R_OK):
            raise Trouble(f"{flag} {file} cannot be read: name a PEM file that this user may read")
    web = addresses.read_address(settings.http, "--http")
    addresses.refuse_exposed_web(web, tls=tls, behind_proxy=settings.behind_proxy)
    links = [
        (addresses.read_address(settings.mllp, "--mllp"), "--mllp"),
        (addresses.read_address(settings.dicom, "--dicom"), "--dicom"),
    ]
    if len({str(address) for address, _ in [(web, "--http"), *links]}) < 3:
        raise Trouble("--http, --mllp and --dicom need a port each: give them different ones")


def state_of_tables() -> str:
    """A mark that changes with the descriptions of the tables: where it is the one of the last start, the
    processes need not wait until the tables were looked at.
    """
    told = hashlib.sha256()
    for package, descriptions in (
        ("xraydesk", "*/migrations/*.py"),
        ("procrastinate", "contrib/django/migrations/*.py"),
        ("django", "__init__.py"),
    ):
        spec = find_spec(package)
        for file in sorted(Path(spec.origin).parent.glob(descriptions)) if spec and spec.origin else []:
            seen = file.stat()
            told.update(f"{file} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return told.hexdigest()


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[IO[str]]:
    """Hold a home, so that one supervisor runs in it. Raises Trouble where that cannot be."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "logs").mkdir(exist_ok=True, mode=0o700)
        lock = (home / "up.lock").open("a+", encoding="ascii")
    except OSError as wrong:
        raise Trouble(
            f"{home} cannot be written ({wrong.strerror}): choose another folder with --home DIR"
        ) from wrong
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            lock.seek(0)
            raise Trouble(
                f"A desk runs in {home} already (process {lock.read().strip() or 'unknown'}): "
                "stop it, or choose another folder with --home DIR"
            ) from wrong
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def say(text: str) -> None:
    """One line for the person at the terminal."""
    print(text, flush=True)


class Supervisor:
    """One running desk. `start`, then `keep_running`, and `stop` whatever happened."""

    def __init__(self, settings: Config, wanted: Wanted) -> None:
        self.settings = settings
        self.wanted = wanted
        self.lifeline = Lifeline()
        os.environ[INSTANCE_VARIABLE] = os.urandom(8).hex()
        self.server: Server | None = None
        self.children: list[Child] = []
        self.passing: list[Child] = []
        self._stop_asked = 0
        self._postgres_deaths = 0
        self._postgres_again_at: float | None = None
        self._trimmed_at = time.monotonic()

    # ---- start ----------------------------------------------------------------------

    def start(self) -> None:
        """Database, tables, department, processes; returns when the desk answers.

        Raises Trouble where something does not come up, StopAsked where somebody ended it before.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)
        for text, flag in (
            (self.settings.http, "--http"),
            (self.settings.mllp, "--mllp"),
            (self.settings.dicom, "--dicom"),
        ):
            addresses.check_free(addresses.read_address(text, flag), flag)
        say(f"xraydesk in {self.settings.home}")
        if not self.settings.database_url:
            self._start_postgres()
        state = state_of_tables()
        as_last_time = state == self._state_at_last_start()
        prepare = self._start_preparing()
        if not as_last_time:
            self._wait_for(prepare)
        for kind in self._kinds():
            child = Child(kind, self._line(kind), self.lifeline)
            self.children.append(child)
            child.start()
        self._wait_for(prepare)
        (self.settings.home / STATE_FILE).write_text(state, encoding="ascii")
        self._wait_until_ready()
        self._tell_where()

    def _start_postgres(self) -> None:
        place = postgres.choose_place(self.settings.home, self.settings.pg_bindir)
        if not (place.data_dir / "PG_VERSION").exists():
            say("making the database")
        self.server = Server(place, self.settings.home / "logs" / "postgres.log")
        if self.server.bring_up():
            say("took over the PostgreSQL that was left running")

    def _state_at_last_start(self) -> str:
        try:
            return (self.settings.home / STATE_FILE).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def _start_preparing(self) -> Child:
        """Bring tables and department up to date, in a process that ends and gives its memory back."""
        line = [sys.executable, "-P", "-m", "xraydesk.project.prepare"]
        if self.wanted.demo:
            line += ["--demo", "--quiet"] if self.wanted.quiet else ["--demo"]
        if self.wanted.site_file is not None:
            line += ["--site", str(self.wanted.site_file)]
        prepare = Child("prepare", line, self.lifeline)
        self.passing.append(prepare)
        prepare.start()
        return prepare

    def _wait_for(self, prepare: Child) -> None:
        """Wait until it has ended well; raises Trouble where it did not."""
        died_at = None
        while (status := prepare.status()) is None:
            self._pause()
            if self.server is not None and not self.server.alive():
                # Parts of a server that was killed a moment ago may still hold its memory.
                died_at = died_at or time.monotonic()
                if time.monotonic() - died_at > 10:
                    self.server.wait()
                time.sleep(0.3)
                self.server.bring_up()
        if status != 0:
            raise Trouble("it was not started, for the reason above")

    def _kinds(self) -> list[str]:
        return [*KINDS, "parties"] if self.wanted.demo and not self.wanted.quiet else list(KINDS)

    def _line(self, kind: str) -> list[str]:
        return [sys.executable, "-P", "-m", "xraydesk", kind, "--home", str(self.settings.home)]

    def _wait_until_ready(self) -> None:
        web = addresses.read_address(self.settings.http, "--http")
        tls, instance = self.settings.tls_cert is not None, os.environ[INSTANCE_VARIABLE]
        waits: list[Callable[[], bool]] = [lambda: answers_ready(web, tls=tls, instance=instance)]
        for text, flag in ((self.settings.mllp, "--mllp"), (self.settings.dicom, "--dicom")):
            link = addresses.read_address(text, flag)
            waits.append(lambda link=link: takes_connections(link))  # type: ignore[misc]

        def watch() -> None:
            self._pause()
            self._look_after()
            hopeless = [child for child in self.children if child.deaths >= 4]
            if hopeless:
                raise Trouble(
                    f"{hopeless[0].kind} does not stay up: see {self.settings.home}/logs/{hopeless[0].kind}.log"
                )

        def all_settled() -> bool:
            return all(child.settled() for child in self.children)

        if not (
            wait_for(waits, READY_SECONDS_MAX, watch) and wait_for([all_settled], READY_SECONDS_MAX, watch)
        ):
            raise Trouble(
                f"the desk did not get ready in {READY_SECONDS_MAX} s: see {self.settings.home}/logs"
            )

    def _tell_where(self) -> None:
        web = addresses.read_address(self.settings.http, "--http")
        host, port = web.from_here
        scheme = "https" if self.settings.tls_cert else "http"
        say(f"  pages   {scheme}://{addresses.Address(host, port)}/")
        say(f"  HL7 v2  {self.settings.mllp} (MLLP)")
        say(f"  DICOM   {self.settings.dicom}, AE title {self.settings.ae_title}")
        if self.wanted.demo:
            from xraydesk.project.demo_file import first_user

            name, password = first_user(self.settings.home)
            say(f"  sign in as {name} with the password {password}")
            say(f"  (the other users and a token: {self.settings.home}/demo.json)")
        else:
            say("  people  xraydesk user create NAME --role ROLE")
        say("  Ctrl-C stops all of it")
        say("ready")

    # ---- while it runs --------------------------------------------------------------

    def keep_running(self) -> None:
        """Start again whatever ends, until somebody asks to stop (raises StopAsked)."""
        while True:
            self._pause()
            self._look_after()

    def _look_after(self) -> None:
        now = time.monotonic()
        for child in self.children:
            said = child.look_after(now)
            if said:
                say(said)
        if self.server is not None:
            self._look_after_postgres(self.server, now)

    def _look_after_postgres(self, server: Server, now: float) -> None:
        if now - self._trimmed_at > 60:
            server.trim_log()
            self._trimmed_at = now
        if server.alive():
            if self._postgres_deaths and server.answers():
                self._postgres_deaths = 0
            return
        if self._postgres_again_at is None:
            step = min(self._postgres_deaths, len(POSTGRES_STARTS_AFTER_SECONDS) - 1)
            self._postgres_again_at = now + POSTGRES_STARTS_AFTER_SECONDS[step]
            self._postgres_deaths += 1
            say("PostgreSQL ended; starting it again")
        if now >= self._postgres_again_at:
            self._postgres_again_at = None
            try:
                server.bring_up()
            except (Trouble, OSError) as wrong:
                say(f"PostgreSQL does not start: {wrong}")

    def _pause(self) -> None:
        time.sleep(TICK_SECONDS)
        if self._stop_asked:
            raise StopAsked

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked += 1

    # ---- stop -----------------------------------------------------------------------

    def stop(self) -> None:
        """End what takes work in, then what does it, then the database. A second Ctrl-C makes it short."""
        first = [child for child in [*self.passing, *self.children] if child.kind != "worker"]
        last = [child for child in self.children if child.kind == "worker"]
        for group, patience in ((first, STOP_SECONDS["first"]), (last, STOP_SECONDS["worker"])):
            for child in group:
                child.ask_to_end()
            deadline = time.monotonic() + patience
            while any(child.alive() for child in group):
                if time.monotonic() > deadline or self._stop_asked > 1:
                    for child in group:
                        child.kill()
                time.sleep(0.02)
        if self.server is not None:
            self.server.stop(STOP_SECONDS["postgres"])
