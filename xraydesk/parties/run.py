"""The simulated parties as processes: an EHR that tells and listens, modalities, a PACS, reports, readers, porters.

They are ordinary clients and servers over loopback: whatever speaks the same protocols
can take the place of any of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from xraydesk.parties.department import read_department
from xraydesk.parties.earlier import archive_of

KINDS = ("pacs", "archive", "inbox", "fhir", "reports", "readers", "porters", "modalities", "ehr")
RESTART_SECONDS = 3.0

log = structlog.get_logger("parties")


def _wanted() -> Callable[[], bool]:
    """False once a signal asked to stop, or whoever started this process has gone."""
    stopped = threading.Event()
    parent = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return lambda: not stopped.is_set() and os.getppid() == parent


def run_one(kind: str, home: Path) -> None:
    """Be one kind of party until asked to stop."""
    still_wanted = _wanted()
    department = read_department(home)
    if kind == "pacs":
        from xraydesk.parties import pacs

        pacs.run(department, still_wanted)
    elif kind == "archive":
        from xraydesk.parties import archive

        archive.run(department, still_wanted)
    elif kind == "ehr":
        from xraydesk.parties import ehr

        ehr.run(department, still_wanted)
    elif kind == "inbox":
        from xraydesk.parties import inbox

        inbox.run(department, still_wanted)
    elif kind == "fhir":
        from xraydesk.parties import fhir_server

        fhir_server.run(department, still_wanted)
    elif kind == "porters":
        from xraydesk.parties import porters

        porters.run(department, still_wanted)
    elif kind == "readers":
        from xraydesk.parties import readers

        readers.run(department, still_wanted)
    elif kind == "reports":
        from xraydesk.parties import reports

        reports.run(department, still_wanted)
    elif kind == "modalities":
        from xraydesk.parties import modality

        threads = [
            threading.Thread(target=modality.run, args=(department, plan, still_wanted), name=plan.ae_title)
            for plan in department.plan.modalities
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        raise ValueError(f"there is no simulated party {kind}: one of {', '.join(KINDS)}")


def main(home: Path) -> None:
    """Start every party as a process of its own, start again whichever ends, and stop all of them when asked."""
    still_wanted = _wanted()
    kinds = [kind for kind in KINDS if kind != "archive" or archive_of(read_department(home)) is not None]
    running: dict[str, subprocess.Popen[bytes]] = {}
    ended_at: dict[str, float] = {}
    while still_wanted():
        for kind in kinds:
            process = running.get(kind)
            if process is not None and process.poll() is None:
                continue
            if process is not None and kind not in ended_at:
                log.warning("party ended", kind=kind, status=process.returncode)
                ended_at[kind] = time.monotonic()
            if time.monotonic() - ended_at.get(kind, -RESTART_SECONDS) >= RESTART_SECONDS:
                ended_at.pop(kind, None)
                command = [sys.executable, "-m", "xraydesk", "parties", kind, "--home", str(home)]
                running[kind] = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        time.sleep(0.3)
    for process in running.values():
        process.terminate()
    deadline = time.monotonic() + 8
    for process in running.values():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
