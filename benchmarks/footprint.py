"""How soon the desk is ready, and how much memory it takes at rest.

Method: `up --demo-quiet` in a new home, then twice more in the same home, each time from the
start of the command to its line `ready`. Memory is the proportional set size (PSS) of every
process of the home, PostgreSQL's included, summed 20 s after the last `ready`; pages shared by
several processes count in shares, so that the sum is what the desk really takes. Linux only.

    .venv/bin/python benchmarks/footprint.py [--json]
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.running import RunningDesk

REST_SECONDS = 20


def family(root: int) -> list[int]:
    """A process and everything below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def pss_mb(pid: int) -> float:
    """Proportional set size of a process."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", told, re.MULTILINE)[1]) / 1024  # type: ignore[index]


def name_of(pid: int) -> str:
    """What a process is."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "postgres" in words[0]:
        return "postgres"
    return next((w for w in words if w in ("up", "web", "mllp", "dicom", "worker")), "other")


def main() -> None:
    """Measure and print."""
    seconds = []
    with tempfile.TemporaryDirectory(prefix="xraydesk-footprint-") as folder:
        Path(folder).chmod(0o711)
        desk = RunningDesk(Path(folder) / "home", flags=("--demo-quiet",))
        try:
            for start in range(3):
                desk.start()
                seconds.append(round(desk.seconds_to_ready, 2))
                if start < 2:
                    desk.stop()
            time.sleep(REST_SECONDS)
            assert desk.process is not None
            memory: dict[str, float] = {}
            for pid in family(desk.process.pid):
                memory[name_of(pid)] = memory.get(name_of(pid), 0) + pss_mb(pid)
        finally:
            desk.end()
    told = {
        "first_start_seconds": seconds[0],
        "later_start_seconds": seconds[1:],
        "pss_mb": {kind: round(value) for kind, value in sorted(memory.items())},
        "pss_mb_together": round(sum(memory.values())),
        "load_average": round(os.getloadavg()[0], 2),
    }
    if "--json" in sys.argv:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
