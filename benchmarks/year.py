"""A year of bad links in fast time: what was acknowledged is there once, and what was sent is acknowledged or queued.

Method. A department of 150 exams a day exchanges about a thousand messages a day with its
neighbours, 365,000 a year; where one in a hundred meets a fault of the wire or of the other
end, a year has 3,650 faults. So many are run, one close after the other, with all the clocks in between left out.

- In: `xraydesk.links.tests.faulty` plays a sender and a wire by seeds: new orders, changes,
  cancellations, merges and news of patients, over a wire that loses answers, cuts frames at
  any byte, puts noise between them, repeats messages at once and long after, swaps neighbours
  and lies about character sets; every other time what travels comes at one moment over as many
  connections. The desk's own receiver takes them, on an embedded PostgreSQL.
- Out: `xraydesk.links.outgoing.tests.faulty` plays a receiver that is away, does not answer,
  keeps a message and loses the answer, refuses, and chokes on some for good. The desk's own sender sends to it.

After each step (a message said and what the wire makes of all that wait; or one turn of
sending) it is checked: every message that was answered AA is stored once and as it came;
every message that went out is acknowledged, queued, or before a person; each exam's messages
came in order; no order is without its exam, no exam without its fact, no fact without its job,
none hangs on a record that was merged away. At the end of each seed the desk must agree with
what the sender believes. The first thing that does not hold ends the run with its sentence,
and the seed repeats it.

Printed are how often each fault happened, the messages kept, and the time.

    python benchmarks/year.py [faults] [minutes at most] [first seed]
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from dataclasses import replace

from _desk import database, folder

FAULTS_A_YEAR = 365 * 1000 // 100
MINUTES_MAX = 60
STEPS_A_SEED = 60
TURNS_A_SEED = 30
SEEDS_A_LINE = 5
"""So often it says how far it is."""


def main(faults: int = FAULTS_A_YEAR, minutes: int = MINUTES_MAX, seed: int = 1) -> None:
    """Run until there were so many faults, or the time is over."""
    with folder() as place, database(place):
        import structlog

        from tests.factories import AT, make_exam
        from xraydesk.links.hl7.tests.conftest import EHR
        from xraydesk.links.models import Message
        from xraydesk.links.outgoing import send
        from xraydesk.links.outgoing.tests.faulty import FaultyReceiver
        from xraydesk.links.outgoing.tests.test_tell import outlink, told_site
        from xraydesk.links.tests.faulty import FaultyFeed
        from xraydesk.siteplan.link_plan import Sends
        from xraydesk.siteplan.reading import from_json, to_json

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        site = told_site(outlink(sends=(Sends.STATUS,)))
        site.plan = to_json(replace(from_json(site.plan), links=(EHR,)))
        site.save()
        counts: Counter[str] = Counter()
        begun = time.monotonic()
        seeds = 0
        while counts.total() < faults and time.monotonic() - begun < minutes * 60:
            feed = FaultyFeed(site, seed + seeds, AT)
            for _ in range(STEPS_A_SEED):
                feed.step()
                feed.check()
            feed.settle()
            feed.agrees()
            counts.update(feed.counts)
            receiver = FaultyReceiver(seed + seeds)
            send.Wire = receiver.wire  # type: ignore[assignment,misc]
            exams = [make_exam(site) for _ in range(4)]
            for turn in range(TURNS_A_SEED):
                receiver.turn(site, exams, is_away=turn in range(5, 8))
            receiver.settle(site)
            counts.update(receiver.counts)
            seeds += 1
            if seeds % SEEDS_A_LINE == 0:
                print(f"{counts.total()} faults in {time.monotonic() - begun:.0f} s", flush=True)
        share = counts.total() / FAULTS_A_YEAR
        print(
            f"{counts.total()} faults, {share:.2f} of a year, in {seeds} seeds from {seed} on:"
            f" {Message.objects.count()} messages kept, nothing lost, nothing twice, nothing out of order,"
            f" {time.monotonic() - begun:.0f} s"
        )
        for fault, count in sorted(counts.items()):
            print(f"  {fault:<32} {count}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
