"""A year of a bad feed in fast time: what was acknowledged is there once, and the desk agrees with the sender at the end.

Method. `xraydesk.links.tests.faulty` plays a sender and a wire by a seed: new orders, changes,
cancellations, merges and news of patients, over a wire that loses answers, cuts frames at any
byte, puts noise between them, repeats messages at once and long after, swaps neighbours and
lies about character sets. The desk's own receiver takes them on an embedded PostgreSQL. What
must hold is checked after every 50 steps and at the end; the first thing that does not ends
the run with its sentence, and the seed repeats it.

Printed are the steps, how often each fault happened, the messages kept, and the time.

    python benchmarks/faults.py [steps a seed] [seeds]
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from _desk import database, folder

CHECK_EVERY = 50


def main(steps: int, seeds: int) -> None:
    with folder() as place, database(place):
        from tests.factories import AT, make_site, plan_with
        from xraydesk.links.hl7.tests.conftest import EHR
        from xraydesk.links.models import Message
        from xraydesk.links.tests.faulty import FaultyFeed

        counts: Counter[str] = Counter()
        begun = time.perf_counter()
        for seed in range(1, seeds + 1):
            if seed == 1:
                site = make_site()
                site.plan = plan_with(EHR)
                site.save()
            feed = FaultyFeed(site, seed, AT)
            for number in range(steps):
                feed.step()
                if number % CHECK_EVERY == 0:
                    feed.check()
            feed.settle()
            feed.agrees()
            counts.update(feed.counts)
        seconds = time.perf_counter() - begun
        kept = Message.objects.count()
        print(
            f"{seeds} seeds of {steps} steps: {kept} messages kept, nothing lost, nothing twice, {seconds:.0f} s"
        )
        for fault, count in sorted(counts.items()):
            print(f"  {fault:<32} {count}")


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["300", "3"][len(sys.argv) - 1 :])[:2]))
