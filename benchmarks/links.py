"""HL7 orders: how many a second are received, applied and acknowledged, beside python-hl7's asyncio server and bare INSERTs.

Method. All write to one embedded PostgreSQL on this machine with its usual durability (fsync on,
synchronous_commit on); each server runs in a process of its own. A plain client sends ORM^O01 messages of about 700 bytes over loopback with TCP_NODELAY, over 1 and over 8
connections, one message in flight on each; every message is a new order of a new patient.

- The desk keeps the message, finds or makes the patient, makes order and exam with their
  facts and the jobs that follow, in one transaction, and answers after its commit. Triage
  and booking are jobs; no worker runs while it is measured.
- The peer is python-hl7's MLLP server (`hl7.mllp.start_hl7_server`): it parses the message,
  does one INSERT of its bytes with a commit of its own (an asynchronous psycopg connection for
  each client), and answers with python-hl7's ACK. It applies nothing.
- Bare INSERTs are the same bytes in the same table, a commit each, from as many threads of this process as there
  are connections elsewhere: what the database and its disk give at most.

They are measured in turn, so that what else the machine does falls on all of them; its load is printed beside.

Printed are messages a second, the median and the 99th percentile of the time from the last
byte sent to the answer in milliseconds, the processor time that a message took of its server and of
PostgreSQL (which other work on the machine hardly changes), and the desk's rate over the others'. python-hl7 is
installed in a virtual environment that is thrown away; where that fails it is left out, with a sentence.

    python benchmarks/links.py [messages a run]
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
from _desk import ROOT, database, folder, free_port, running

PEER = """
import asyncio, sys, hl7, psycopg
from hl7.mllp import start_hl7_server

async def serve(reader, writer):
    database = await psycopg.AsyncConnection.connect(sys.argv[2])
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            async with database.cursor() as cursor:
                await cursor.execute("INSERT INTO bench_message (raw) VALUES (%s)", [str(message).encode()])
            await database.commit()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()
    finally:
        await database.close()

async def main():
    async with await start_hl7_server(serve, port=int(sys.argv[1]), encoding="utf-8") as server:
        await server.serve_forever()

asyncio.run(main())
"""


def order(number: str) -> bytes:
    """One new order of a new patient."""
    lines = [
        f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302100000||ORM^O01^ORM_O01|C{number}|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||N{number}^^^HOSP^MR||Prüfer{number}^Ada^M||19690512|F|||12 Bar St^^Town^MO^63110^US||(555)555-0100",
        f"PV1|1|O|RAD^^^HOSP|||||1234^Order^Otto^^^Dr|||||||||||V{number}",
        f"ORC|NW|P{number}^EHR|||||1^^^20260303100000^^R||20260302100000|||1234^Order^Otto^^^Dr",
        "TQ1|1||||||20260303100000||R",
        f"OBR|1|P{number}^EHR||XRCHEST2^Chest 2 views^L||||||||||||1234^Order^Otto^^^Dr|||||||||||||||"
        "cough for three weeks|||||20260303100000",
    ]
    return b"\x0b" + "\r".join(lines).encode() + b"\r\x1c\r"


class Sender(threading.Thread):
    """One connection that sends its messages one after the other."""

    def __init__(self, port: int, name: str, count: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._messages = [order(f"{name}{n}") for n in range(count)]
        self._port = port

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 30) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for message in self._messages:
                peer.sendall(message)
                begun, held = time.perf_counter(), b""
                while not held.endswith(b"\x1c\r"):
                    held += peer.recv(65536) or sys.exit("the server hung up")
                self.seconds.append(time.perf_counter() - begun)
                if b"MSA|AA" not in held:
                    sys.exit(held.decode())


class Inserter(threading.Thread):
    """One connection to the database that writes its messages one after the other."""

    def __init__(self, dsn: str, name: str, count: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._messages = [order(f"{name}{n}") for n in range(count)]
        self._dsn = dsn

    def run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as database:
            for message in self._messages:
                begun = time.perf_counter()
                database.execute("INSERT INTO bench_message (raw) VALUES (%s)", [message])
                self.seconds.append(time.perf_counter() - begun)


def processor_seconds(process: int | None) -> float:
    """What a process and those below it have used so far, user and system; of Linux's own account."""
    if process is None:
        return 0.0
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            told = stat.read_text().rsplit(")", 1)[1].split()
            if str(process) in (stat.parent.name, told[1]):
                used += int(told[11]) + int(told[12])
            if str(process) == stat.parent.name:
                used += int(told[13]) + int(told[14])  # of those below it that have ended
    return used / os.sysconf("SC_CLK_TCK")


def measure(
    name: str,
    connections: int,
    count: int,
    made: Callable[[str, int], Inserter | Sender],
    processes: tuple[int | None, int | None],
) -> float:
    """Send and print; messages a second. `processes` are those of the server and of PostgreSQL."""
    senders = [made(f"{name}{connections}x{i}x", count // connections) for i in range(connections)]
    before = [processor_seconds(process) for process in processes]
    begun = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    seconds = sorted(s for sender in senders for s in sender.seconds)
    rate = len(seconds) / (time.perf_counter() - begun)
    used = [
        (processor_seconds(process) - was) / len(seconds) * 1000
        for process, was in zip(processes, before, strict=True)
    ]
    median, worst = statistics.median(seconds) * 1000, seconds[int(len(seconds) * 0.99)] * 1000
    print(
        f"{name:<12} {connections} connection(s): {rate:7.0f}/s   p50 {median:6.2f} ms   p99 {worst:6.2f} ms"
        f"   processor {used[0]:.2f} + {used[1]:.2f} ms   load {os.getloadavg()[0]:.1f}"
    )
    return rate


@contextlib.contextmanager
def desk(home: Path) -> Iterator[tuple[int, int]]:
    """`xraydesk mllp` on a free port, with a small department; the port and the process."""
    from tests.factories import make_site
    from xraydesk.siteplan.link_plan import LinkPlan
    from xraydesk.siteplan.plan import SitePlan
    from xraydesk.siteplan.reading import to_json

    site = make_site()
    link = LinkPlan(name="EHR", kind="orders", sending_application="EHR", sending_facility="HOSP")
    plan = SitePlan("T", "T", "America/New_York", "HOSP", "XRAYDESK", (), (), (), (), links=(link,))
    site.plan = to_json(plan)
    site.save()
    port = free_port()
    line = [sys.executable, "-m", "xraydesk", "mllp", "--home", str(home), "--mllp", f"127.0.0.1:{port}"]
    with running(line, port, cwd=ROOT) as process:
        yield port, process.pid


def bench_table() -> str:
    """A table for messages and nothing else; how its database is reached."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_message (id bigserial PRIMARY KEY, raw bytea NOT NULL)")
    where = connection.settings_dict
    return f"host={where['HOST']} port={where['PORT']} user={where['USER']} dbname={where['NAME']}"


def postmaster(dsn: str) -> int:
    """The process above all of PostgreSQL's."""
    with psycopg.connect(dsn) as database:
        stat = Path(f"/proc/{database.info.backend_pid}/stat").read_text()
    return int(stat.rsplit(")", 1)[1].split()[1])


@contextlib.contextmanager
def peer(place: Path, dsn: str) -> Iterator[tuple[int, int] | None]:
    """python-hl7's server, from a virtual environment below `place`; None where it cannot be installed."""
    python = place / "venv" / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "hl7", "psycopg[binary]"], check=True)
    except subprocess.CalledProcessError:
        print("python-hl7 could not be installed from the package index: it is not measured.")
        yield None
        return
    port = free_port()
    line = [str(python), "-c", PEER, str(port), dsn]
    with running(line, port, env=os.environ | {"PYTHONPATH": ""}) as process:
        yield port, process.pid


def main() -> None:
    """Measure both, in turn, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with folder() as place, database(place / "home"):
        dsn = bench_table()
        with desk(place / "home") as (ours, process), peer(place, dsn) as theirs:
            server = postmaster(dsn)
            measure("warm-up", 8, min(count, 400), partial(Sender, ours), (process, server))
            for connections in (1, 8):
                rate = measure("xraydesk", connections, count, partial(Sender, ours), (process, server))
                if theirs is not None:
                    sender = partial(Sender, theirs[0])
                    other = measure("python-hl7", connections, count, sender, (theirs[1], server))
                    print(f"{'':<12} xraydesk/python-hl7 = {rate / other:.2f}")
                other = measure("bare INSERT", connections, count, partial(Inserter, dsn), (None, server))
                print(f"{'':<12} xraydesk/bare INSERT = {rate / other:.2f}")


if __name__ == "__main__":
    main()
