"""The hospital in the box at ordinary speed for a long while: is everything noticed, once, and does memory stay flat?

Method. `xraydesk up --demo` in a folder of its own, nobody presses anything. Each minute the proportional set
size of every process is read. At the end: what the simulated parties did wrong on purpose and whether the desk
noticed, exams by stage, open items by kind, jobs that failed, messages out by state, and whether the simulated
EHR heard any number twice but for a resend, or out of order for an exam. Memory is told as the mean of the
second quarter and of the last one, and their ratio: about 1.0 is flat.

    python benchmarks/soak.py [minutes]          # 120 unless said
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.running import Desk, running_desk
from xraydesk.parties.department import read_department

SAMPLE_SECONDS = 60


def memory_mb(home: Path) -> dict[str, float]:
    """Proportional set size of the home's processes by kind, MB."""
    found: dict[str, float] = defaultdict(float)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if str(home) not in " ".join(words):
                continue
            kind = "-".join(w for w in words[4:6] if w and not w.startswith("-")) or Path(words[0]).name
            rollup = (entry / "smaps_rollup").read_text()
        except (OSError, IndexError):
            continue
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        found[kind] += int(pss.split()[1]) / 1024
    return found


def lines(desk: Desk, *words: str) -> list[dict[str, object]]:
    """What a command prints with --json."""
    return [json.loads(line) for line in desk.cli(*words, "--json").stdout.splitlines()]


def heard(home: Path) -> tuple[int, int]:
    """How many messages the EHR heard, and how many of them twice."""
    path = home / "parties" / "ehr-received.jsonl"
    numbers = (
        [json.loads(line).get("control_id") for line in path.read_text().splitlines()]
        if path.exists()
        else []
    )
    counted = Counter(number for number in numbers if number)
    return sum(counted.values()), sum(count - 1 for count in counted.values())


def main(minutes: float) -> None:
    """Run, sample, tell."""
    with tempfile.TemporaryDirectory(prefix="xraydesk-soak-") as folder:
        Path(folder).chmod(0o711)
        with running_desk(Path(folder), "--demo") as desk:
            samples: list[dict[str, float]] = []
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end:
                time.sleep(min(SAMPLE_SECONDS, max(1.0, end - time.monotonic())))
                samples.append(memory_mb(desk.home))
            tell(desk, samples, minutes)


def tell(desk: Desk, samples: list[dict[str, float]], minutes: float) -> None:
    """Print what was seen."""
    print(f"{minutes:g} minutes")
    quarter = max(1, len(samples) // 4)
    for kind in sorted({kind for sample in samples for kind in sample}):
        values = [sample.get(kind, 0.0) for sample in samples]
        early, late = mean(values[quarter : 2 * quarter] or values), mean(values[-quarter:])
        print(f"  {kind:<24} {early:7.1f} MB  then {late:7.1f} MB  {late / early if early else 0:5.2f}")
    print("exams", dict(Counter(str(exam["stage"]) for exam in lines(desk, "exam", "list", "--all"))))
    print("items", dict(Counter(str(item["kind"]) for item in lines(desk, "item", "list"))))
    out = lines(desk, "message", "list", "--direction", "out", "--limit", "100000")
    print("messages out", dict(Counter(str(message["state"]) for message in out)))
    everything, twice = heard(desk.home)
    print(f"the EHR heard {everything} messages, {twice} of them again")
    counts = read_department(desk.home).chances.counts()
    print(f"of {counts['exams']} exams {counts['taken']} went wrong on purpose, in this order")
    for row in lines(desk, "parties", "log"):
        print(
            f"  {row['fault']}: {'noticed by ' + str(row['how']) if row['noticed'] else 'NOT NOTICED'} {row['about']}"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120)
