"""The simulated EHR's ear: it takes what the desk tells it over MLLP, acknowledges it, and keeps a list of what came.

Mostly it answers at once. Now and then, by seed, it answers late, twice, AE or AR, hangs up before it has answered, or
is away for a while; each is written down with what the desk should make of it (`parties.faults`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import structlog

from xraydesk.lib import clock
from xraydesk.parties.department import Department
from xraydesk.parties.faults import ANSWERS_ONE_IN, TO_ANSWERS, Done, Fault, fault_of, note

log = structlog.get_logger("parties.inbox")

FRAME_BYTES_MAX = 1_048_576
RECEIVED_BYTES_MAX = 2_000_000
"""The list of what came begins anew when it is longer; the one before is kept beside it."""

CALM_SECONDS = 300.0
"""So long after the start nothing goes wrong."""

LATE_SECONDS = (2.0, 8.0)
AWAY_EVERY_SECONDS = (1800.0, 5400.0)
AWAY_SECONDS = (20.0, 90.0)
IDLE_SECONDS = 120.0
LINES_MAX = 16
"""So many open lines are hung up when it goes away."""

RECEIVED = "ehr-received.jsonl"
BEGUN = "ehr-begun.txt"
BEGUN_MAX = 500
"""So many placer numbers of begun exams are remembered."""


@dataclass(frozen=True)
class Answer:
    """What goes back on a connection, and whether it stays open."""

    frames: bytes
    hang_up: bool = False


class Inbox:
    """One listener, and the list of what it took. `name` is the desk's own word for it, the link's."""

    def __init__(self, department: Department, random: Random, name: str = "") -> None:
        self.department, self.random, self.name = department, random, name
        self.path: Path = department.folder / RECEIVED
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.writing = threading.Lock()
        self.started = time.monotonic()
        self.messages = 0
        self.away_every_seconds, self.away_seconds = AWAY_EVERY_SECONDS, AWAY_SECONDS

    def serve(self, listener: socket.socket, still_wanted: Callable[[], bool]) -> None:
        """Take connections until nobody wants it any more, with its times of absence."""
        away_at = time.monotonic() + self.random.uniform(*self.away_every_seconds)
        where = listener.getsockname()
        open_lines: list[socket.socket] = []
        while still_wanted():
            if self.department.one_in and time.monotonic() > away_at:
                listener.close()
                for line in open_lines:
                    with contextlib.suppress(OSError):
                        line.shutdown(socket.SHUT_RDWR)
                seconds = self.random.uniform(*self.away_seconds)
                self.went_wrong(Fault.AWAY, f"took no connection for {seconds:.0f} s", link=self.name)
                self._pause(seconds, still_wanted)
                away_at = time.monotonic() + self.random.uniform(*self.away_every_seconds)
                listener, open_lines = listening(where[0], where[1]), []
            listener.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                open_lines = [*open_lines[-LINES_MAX:], connection]
                threading.Thread(target=self.hear, args=(connection, still_wanted), daemon=True).start()
        listener.close()

    def _pause(self, seconds: float, still_wanted: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and still_wanted():
            time.sleep(0.2)

    def hear(self, connection: socket.socket, still_wanted: Callable[[], bool]) -> None:
        """Take the messages of one connection, one after the other."""
        with connection:
            connection.settimeout(IDLE_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            kept = b""
            with contextlib.suppress(OSError):
                while still_wanted():
                    part = connection.recv(65536)
                    if not part or len(kept) > FRAME_BYTES_MAX:
                        return
                    kept += part
                    while b"\x1c" in kept:
                        frame, _, kept = kept.partition(b"\x1c")
                        answer = self.answer(frame.lstrip(b"\r\n\x0b"))
                        connection.sendall(answer.frames)
                        if answer.hang_up:
                            return

    def next_fault(self) -> Fault | None:
        """What goes wrong with the answer to the next message; None for most."""
        with self.writing:
            number, self.messages = self.messages, self.messages + 1
        if not self.department.one_in or time.monotonic() - self.started < CALM_SECONDS:
            return None
        return fault_of(f"{self.department.seed} {self.name}", number, TO_ANSWERS, ANSWERS_ONE_IN)

    def answer(self, message: bytes) -> Answer:
        """The acknowledgement of one message; what came is on the list before it is given."""
        header = message.split(b"\r", 1)[0].split(b"|")
        number = header[9].decode("utf-8", "replace") if len(header) > 9 else ""
        kind = header[8].decode("utf-8", "replace") if len(header) > 8 else ""
        fault = self.next_fault()
        if fault is Fault.ANSWER_LATE:
            time.sleep(self.random.uniform(*LATE_SECONDS))
        code = {Fault.ANSWER_AE: "AE", Fault.ANSWER_AR: "AR"}.get(fault, "AA") if fault else "AA"
        self.note({"control_id": number, "type": kind, "code": code})
        if kind.startswith("ORM") and code == "AA":
            self.remember_begun(message.decode("utf-8", "replace"))
        if fault is not None:
            self.went_wrong(fault, f"{fault} to {kind}", link=self.name, control_id=number)
        if fault is Fault.ANSWER_LOST:
            return Answer(b"", hang_up=True)
        now = self.department.wall().strftime("%Y%m%d%H%M%S")
        words = "" if code == "AA" else "the EHR could not file it"
        answer = (
            f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{now}||ACK|A{number}|P|2.5.1\rMSA|{code}|{number}|{words}\r"
        )
        frame = b"\x0b" + answer.encode() + b"\x1c\r"
        return Answer(frame * 2 if fault is Fault.ANSWER_TWICE else frame)

    def went_wrong(self, fault: Fault, done: str, **about: str) -> None:
        """Write down what was done wrong on purpose."""
        log.info("on purpose", fault=str(fault))
        with self.writing:
            note(self.department.folder, Done(f"{clock.now():%Y-%m-%dT%H:%M:%S%z}", fault, about, done))

    def remember_begun(self, message: str) -> None:
        """The placer number of an exam that has begun (ORC-5 IP), for the EHR's other half."""
        for line in message.split("\r"):
            fields = line.split("|")
            if fields[0] == "ORC" and len(fields) > 5 and fields[5] == "IP":
                with self.writing:
                    path = self.path.with_name(BEGUN)
                    kept = path.read_text(encoding="utf-8").split() if path.exists() else []
                    path.write_text(" ".join([*kept[-BEGUN_MAX:], fields[2].split("^")[0]]), encoding="utf-8")

    def note(self, what: dict[str, object]) -> None:
        """One line on the list of what came."""
        with self.writing:
            if self.path.exists() and self.path.stat().st_size > RECEIVED_BYTES_MAX:
                self.path.replace(self.path.with_suffix(".old.jsonl"))
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": f"{self.department.wall():%Y-%m-%dT%H:%M:%S}"} | what) + "\n")


def begun(department: Department) -> set[str]:
    """Placer numbers of exams that the desk has said to have begun."""
    path = department.folder / BEGUN
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on this machine."""
    return socket.create_server((host, port), backlog=16)


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Listen where the site file says that the EHR does, until nobody wants it any more."""
    outlinks = department.plan.outlinks
    if not outlinks:
        while still_wanted():
            time.sleep(0.5)
        return
    random = Random(f"{department.seed} inbox")
    threads = [
        threading.Thread(
            target=Inbox(department, random, one.name).serve,
            args=(listening("127.0.0.1", one.port), still_wanted),
            name=one.name,
        )
        for one in outlinks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
