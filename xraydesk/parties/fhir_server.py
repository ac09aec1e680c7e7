"""The simulated EHR by FHIR, on a real socket: who comes in, what goes wrong now and then by seed, and the answer.

Mostly it answers at once. Now and then it answers late, 503 or 429, a web page, half of an answer, a page whose next one
lies elsewhere or that lists things twice, or has forgotten whom it let in; each is written down with what the desk should
make of it (`parties.faults`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

import structlog

from xraydesk.lib import clock
from xraydesk.parties.department import Department, FhirDoor
from xraydesk.parties.faults import ANSWERS_ONE_IN, TO_FHIR, TO_SEARCHES, Done, Fault, fault_of, note
from xraydesk.parties.fhir_answers import Asked, FhirSide, Tokens, Told, outcome
from xraydesk.parties.fhir_store import Store

log = structlog.get_logger("parties.fhir")

CALM_SECONDS = 300.0
"""So long after the start nothing goes wrong."""

BODY_BYTES_MAX = 4_000_000
IDLE_SECONDS = 60.0
LATE_SECONDS = (2.0, 8.0)
RETRY_AFTER_SECONDS = 3
ELSEWHERE = "http://127.0.0.1:9/R4/another-system?page=2"
WEB_PAGE = b"<html><body>Down for maintenance</body></html>"


class FhirServer:
    """One EHR that is spoken to by FHIR. `name` is the desk's own word for it."""

    def __init__(self, department: Department, name: str, side: FhirSide, *, path: str = "") -> None:
        self.department, self.name, self.side, self.path = department, name, side, path
        self.random = Random(f"{department.seed} {name}")
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.requests = 0
        self.due: list[Fault] = []

    def next_fault(self, asked: Asked) -> Fault | None:
        """What goes wrong with a request; None for most."""
        with self.lock:
            number, self.requests = self.requests, self.requests + 1
            if self.department.one_in and time.monotonic() - self.started >= CALM_SECONDS:
                fault = fault_of(f"{self.department.seed} {self.name}", number, TO_FHIR, ANSWERS_ONE_IN)
                self.due += [fault] if fault else []
            return self.take_due(asked)

    def take_due(self, asked: Asked) -> Fault | None:
        """The first mishap that is due and can happen to this request."""
        can = next((one for one in self.due if one not in TO_SEARCHES or asked.is_search), None)
        if can is not None:
            self.due.remove(can)
        return can

    def answer(self, asked: Asked) -> tuple[Told, bool]:
        """The answer to a request below the base, and whether only half of it is sent."""
        fault = self.next_fault(asked)
        if fault is not None:
            self.went_wrong(fault, asked)
        match fault:
            case Fault.FHIR_LATE:
                time.sleep(self.random.uniform(*LATE_SECONDS))
            case Fault.FHIR_BUSY | Fault.FHIR_MANY:
                told = outcome(503 if fault is Fault.FHIR_BUSY else 429, "throttled", "Come again later.")
                return replace(told, headers={**told.headers, "Retry-After": f"{RETRY_AFTER_SECONDS}"}), False
            case Fault.FHIR_PAGE:
                return Told(200, WEB_PAGE, {"Content-Type": "text/html"}), False
            case Fault.FHIR_EXPIRED:
                self.side.tokens.end_all()
        told = self.side.answer(asked)
        if fault in TO_SEARCHES and told.status == 200:
            return replace(told, body=_lying(told.body, fault)), False
        return told, fault is Fault.FHIR_CUT

    def went_wrong(self, fault: Fault, asked: Asked) -> None:
        """Write down what was done wrong on purpose; of the request no more than its type."""
        log.info("on purpose", fault=str(fault))
        done = f"{fault} to {asked.method} {asked.kind}"
        about = {"link": self.name, "method": asked.method, "type": asked.kind}
        with self.lock:
            note(self.department.folder, Done(f"{clock.now():%Y-%m-%dT%H:%M:%S%z}", fault, about, done))


def _lying(body: bytes, fault: Fault) -> bytes:
    """A page whose next one lies elsewhere, or that lists each thing twice."""
    page = json.loads(body)
    if fault is Fault.FHIR_TWICE:
        page["entry"] = [entry for entry in page["entry"] for _ in range(2)]
    else:
        page["link"] = [{"relation": "next", "url": ELSEWHERE}]
    return json.dumps(page, ensure_ascii=False).encode()


@contextmanager
def served(server: FhirServer, port: int) -> Iterator[None]:
    """Let an EHR answer at a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_SECONDS
        server_version = "SimulatedEHR"

        def _take(self) -> None:
            length = self.headers.get("Content-Length", "0")
            size = int(length) if length.isdecimal() else BODY_BYTES_MAX + 1
            if size > BODY_BYTES_MAX:
                return self._send(outcome(413, "too-long", "This is too long."), half=False)
            body = self.rfile.read(size)
            parts = urlsplit(self.path)
            if not parts.path.startswith(f"{server.path}/"):
                return self._send(outcome(404, "not-found", "Nothing is here."), half=False)
            headers = {name.lower(): value for name, value in self.headers.items()}
            below = parts.path.removeprefix(f"{server.path}/")
            told, half = server.answer(Asked(self.command, below, parts.query, headers, body))
            return self._send(told, half=half)

        def _send(self, told: Told, *, half: bool) -> None:
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body[: len(told.body) // 2] if half else told.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _take

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: addresses may name somebody."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever hung up before the answer asks again."""

    with Server(("127.0.0.1", port), Handler) as listener:
        thread = threading.Thread(
            target=listener.serve_forever, kwargs={"poll_interval": 0.2}, name=server.name
        )
        thread.start()
        try:
            yield
        finally:
            listener.shutdown()
            thread.join()


def opened(department: Department, door: FhirDoor) -> FhirServer:
    """The EHR behind one of the addresses that the desk knows."""
    side = FhirSide(Store(department.folder / door.file), door.base, Tokens(door.public_key))
    return FhirServer(department, door.name, side, path=urlsplit(door.base).path)


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Answer wherever the desk asks by FHIR, until nobody wants it any more."""
    from contextlib import ExitStack

    with ExitStack() as open_doors:
        for door in department.doors:
            open_doors.enter_context(served(opened(department, door), urlsplit(door.base).port or 80))
        while still_wanted():
            time.sleep(0.5)
