"""Imaging in one run: images in at 1, 4 and 8 associations, the worklist at two sizes and polled, a study to three destinations.

Each part is a script of its own, whose first lines say how it measures; here they run one after another with
counts that keep the whole under four minutes on a quiet machine. A part that fails is told of, and the others
run all the same. The aims: images in at least as fast as storescp and three times as fast as Orthanc at four
associations; a list of 25 in under 10 ms at the median and 25 ms at the 99th percentile, association included,
at 1,000 and at 10,000 exams.

    python benchmarks/imaging.py [images [rounds]]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SECONDS_MAX = 900


def main(images: int, rounds: int) -> int:
    """Run the parts; how many failed."""
    parts = {
        "Images in": ["storage.py", str(images)],
        "Worklist": ["worklist.py", str(rounds)],
        "A study to three destinations": ["routing.py"],
    }
    failed = 0
    for title, (script, *given) in parts.items():
        print(f"\n== {title} (load {os.getloadavg()[0]:.1f})", flush=True)
        begun = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, str(HERE / script), *given], timeout=SECONDS_MAX
            ).returncode
        except subprocess.TimeoutExpired:
            done = -1
        if done:
            failed += 1
            print(f"This part failed ({done}).")
        print(f"({time.monotonic() - begun:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:3]]
    sys.exit(main(*(numbers + [40, 40][len(numbers) :])))
