"""A backlog of messages to one system that was away: nothing skipped, nothing twice, in order, memory flat (row 7).

Method. An embedded PostgreSQL with its usual durability, and so many SIU messages of about 700 bytes queued for one
system, written by COPY as if they had gathered while it was away; fifty more for another system. Then one worker
process (`xraydesk worker`) is started, and a plain listener on loopback answers AA to each message at once. Half way
it hangs up and takes no connection for ten seconds. Each second the worker's proportional set size is read.

Printed are messages a second, what was heard, what is left, and the worker's memory: the mean of the second quarter
and of the last one, and their ratio (about 1.0 is flat). It ends with status 1 where a message was skipped, heard
twice but for a resend, or out of order. Ctrl-C ends it before, and it tells of what has gone until then.

    python benchmarks/backlog.py [messages]          # 2,000 unless said; row 7 is about 100,000
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._desk import ROOT, database, folder, free_port

AWAY_SECONDS = 10.0
OTHERS = 50
SILENT_SECONDS_MAX = 180.0


class Listener:
    """A system that takes messages and answers AA; it goes away once, after so many."""

    def __init__(self, port: int, *, away_after: int = 0) -> None:
        self.port, self.away_after = port, away_after
        self.heard: list[str] = []
        self.at: list[float] = []
        self.lines: list[socket.socket] = []
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.lines.append(line)
            threading.Thread(target=self._hear, args=(line,), daemon=True).start()

    def _hear(self, line: socket.socket) -> None:
        kept = b""
        with line, contextlib.suppress(OSError):
            while part := line.recv(65536):
                kept += part
                while b"\x1c" in kept:
                    frame, _, kept = kept.partition(b"\x1c")
                    number = frame.lstrip(b"\r\n\x0b").split(b"\r", 1)[0].split(b"|")[9].decode()
                    self.heard.append(number)
                    self.at.append(time.monotonic())
                    if self.away_after and len(self.heard) == self.away_after:
                        self._go_away()
                        return
                    answer = (
                        f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302||ACK|A{number}|P|2.5.1\rMSA|AA|{number}\r"
                    )
                    line.sendall(b"\x0b" + answer.encode() + b"\x1c\r")

    def _go_away(self) -> None:
        """Hang up before the answer, and take nothing for a while."""
        # A thread that waits in accept() would keep a socket open that is only closed.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        time.sleep(AWAY_SECONDS)
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()


def queue(site: Any, outlink: str, count: int) -> list[str]:
    """So many messages for one system, as they are queued; their control numbers in order."""
    from xraydesk.lib import clock
    from xraydesk.lib.rows import copy_rows, next_keys
    from xraydesk.links.models import Message
    from xraydesk.links.outgoing.defer import defer_sending
    from xraydesk.links.states import Direction, MessageState

    at = clock.now()
    rows = []
    for number, key in enumerate(next_keys(Message, count)):
        name = f"S{outlink}{number:06d}"
        raw = (
            f"MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302100000-0500||SIU^S12^SIU_S12|{name}|P|2.5.1||||||UNICODE UTF-8\r"
            f"SCH|P{number}^EHR|A{number}||||S12^New|^Routine|||10|min|^^10^20260302100000-0500|||||7001^Okafor, Ngozi\r"
            f"PID|1||MRN{number:06d}^^^HOSP^MR||Müller{number}^Ada||19690512|F|||{'x' * 250}\r"
            "RGS|1\rAIS|1||XRCHEST2^Chest 2 views^L|20260302100000-0500|||10|min\rAIL|1||^^^XR1|||20260302100000-0500\r"
        ).encode()
        rows.append(
            Message(
                pk=key,
                site=site,
                direction=Direction.OUT,
                link=outlink,
                control_id=name,
                type="SIU^S12",
                at=at,
                state=MessageState.QUEUED,
                raw=raw,
                charset="utf-8",
                body_sha256=hashlib.sha256(raw.partition(b"\r")[2]).hexdigest(),
                simulated=True,
            )
        )
    copy_rows(Message, rows)
    defer_sending(site_id=site.pk, outlink=outlink)
    return [row.control_id for row in rows]


def memory_mb(pid: int) -> float:
    """Proportional set size of one process, MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def main(count: int) -> int:
    """Queue, send, tell; 0 where everything went once and in order."""
    with folder() as home, database(home):
        from django.db import transaction

        from tests.factories import make_site
        from xraydesk.links.models import Message
        from xraydesk.siteplan.link_plan import OutlinkPlan, Sends
        from xraydesk.siteplan.plan import SitePlan
        from xraydesk.siteplan.reading import to_json

        ports = free_port(), free_port()
        names = "EHR", "BILLING"
        site = make_site()
        outlinks = tuple(
            OutlinkPlan(name, "127.0.0.1", port, (Sends.APPOINTMENTS,), "XRAYDESK", "XRAY", name, "HOSP")
            for name, port in zip(names, ports, strict=True)
        )
        site.plan = to_json(
            SitePlan("T", "T", "America/New_York", "HOSP", "XRAYDESK", (), (), (), (), outlinks=outlinks)
        )
        site.save()
        with transaction.atomic():
            wanted = queue(site, "EHR", count)
            others = queue(site, "BILLING", OTHERS)
        listeners = Listener(ports[0], away_after=count // 2), Listener(ports[1])
        line = [sys.executable, "-m", "xraydesk", "worker", "--home", str(home)]
        worker = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples: list[float] = []
        try:
            last, since = 0, time.monotonic()
            while len(set(listeners[0].heard)) < count or len(set(listeners[1].heard)) < OTHERS:
                time.sleep(1)
                samples.append(memory_mb(worker.pid))
                heard = len(listeners[0].heard) + len(listeners[1].heard)
                if heard != last:
                    last, since = heard, time.monotonic()
                if time.monotonic() - since > SILENT_SECONDS_MAX:
                    break
            time.sleep(2)
        except KeyboardInterrupt:
            print(f"broken off: {count - len(set(listeners[0].heard))} still wait")
            wanted = wanted[: len(set(listeners[0].heard))]
        finally:
            worker.terminate()
            worker.wait(30)
        left = Message.objects.filter(control_id__in=[*wanted, *others]).exclude(state="accepted").count()
        return tell(listeners, wanted, others, samples, left)


def tell(
    listeners: tuple[Listener, Listener],
    wanted: list[str],
    others: list[str],
    samples: list[float],
    left: int,
) -> int:
    """Print what was seen; 1 where a message was skipped, out of order, or heard again without need."""
    heard, at = listeners[0].heard, listeners[0].at
    gaps = (later - before for before, later in pairwise(at))
    seconds = at[-1] - at[0] - sum(gap for gap in gaps if gap >= AWAY_SECONDS)
    again = [number for number, times in Counter(heard).items() if times > 1]
    quarter = max(1, len(samples) // 4)
    early, late = mean(samples[quarter : 2 * quarter] or samples), mean(samples[-quarter:])
    print(f"{len(wanted)} messages in {seconds:.0f} s: {len(wanted) / seconds:.0f} a second, in turns of 500")
    print(f"heard {len(set(heard))}, again {len(again)} (the one that was not answered), left {left}")
    print(f"in order: {list(dict.fromkeys(heard)) == wanted}")
    first = listeners[1].at[-1] - at[0] if listeners[1].at else float("nan")
    print(f"the other system's {len(others)} were through {first:.1f} s after the first of these")
    print(f"worker: {early:.1f} MB, then {late:.1f} MB, {late / early:.2f}")
    whole = list(dict.fromkeys(heard)) == wanted and listeners[1].heard == others
    return 0 if whole and len(again) <= 1 and left == 0 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000))
