"""Fifty browsers after one place: how long the winner and the others wait for their answer.

Method. A desk that really runs (`xraydesk up`, one web process, PostgreSQL with its usual
durability) with four rooms, and fifty exams without a place. Fifty connections, opened before, send
their forms at the same moment, from one other process. Measured is each answer's time from the
moment its request is sent, redirects not followed. Four things are pressed, each for so many rounds:
all fifty book one place for fifty exams (one wins, 49 are offered other places); each books a place
of its own over the four rooms; all fifty accept the same proposal for one STAT (one wins); all fifty
undo it. Printed are the median, the 99th percentile and the longest in milliseconds, and beside
them, in the same run, fifty requests at once for the page that needs no database (`/healthz`): what
fifty at once cost by themselves. Whatever is answered but 303 and 409 ends the run.

    python benchmarks/booking.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _desk import folder

from tests.clients import CLIENTS, ROOMS, People, Told, place, proposal_of, site_file
from tests.running import running_desk


def show(what: str, told: list[Told]) -> None:
    """One line of figures."""
    times = sorted(t.seconds * 1000 for t in told)
    p99 = statistics.quantiles(times, n=100)[98]
    print(f"{what:44} {statistics.median(times):8.0f} {p99:8.0f} {times[-1]:8.0f}   {len(times)} answers")


def cancel_all(people: People) -> None:
    """Nobody has a place any more."""
    presses = [("POST", f"/exams/{e}/cancel-booking", {"why": ""}) for e in people.places()]
    for first in range(0, len(presses), CLIENTS):
        people.at_once(presses[first : first + CLIENTS])


def main(rounds: int) -> None:
    """Press, and print."""
    with folder() as work:
        file = work / "site.toml"
        file.write_text(site_file(), encoding="utf-8")
        with running_desk(work, "--site", str(file)) as desk:
            people = People(desk)
            exams = people.exams(CLIENTS)
            told: dict[str, list[Told]] = {}
            for number in range(rounds):
                told.setdefault("fifty pages without the database", []).extend(
                    people.at_once([("GET", "/healthz", {})] * CLIENTS)
                )
                wanted = place(10 * number)
                one = people.at_once([("POST", f"/exams/{e}/book", {"place": wanted}) for e in exams])
                assert Counter(t.status for t in one) == {303: 1, 409: CLIENTS - 1}
                told.setdefault("fifty book one place", []).extend(one)
                cancel_all(people)
                own = people.at_once(
                    [
                        (
                            "POST",
                            f"/exams/{e}/book",
                            {"place": place(10 * (n // ROOMS), f"XR{n % ROOMS + 1}")},
                        )
                        for n, e in enumerate(exams)
                    ]
                )
                assert {t.status for t in own} == {303}
                told.setdefault("fifty book a place each, in four rooms", []).extend(own)
                (stat,) = people.exams(1, priority="S")
                form = {"proposal": proposal_of(people.get(f"/?exam={stat}&option=1"))}
                accepted = people.at_once([("POST", "/rearrangements", form)] * CLIENTS)
                assert {t.status for t in accepted} == {303}
                told.setdefault("fifty accept one proposal", []).extend(accepted)
                key = people.get("/rearrangements").partition("/rearrangements/")[2].partition("/")[0]
                undone = people.at_once([("POST", f"/rearrangements/{key}/undo", {})] * CLIENTS)
                assert {t.status for t in undone} == {303}
                told.setdefault("fifty undo it", []).extend(undone)
                cancel_all(people)
            print(f"{'':44} {'median':>8} {'p99':>8} {'longest':>8}   ms")
            for what, answers in told.items():
                show(what, answers)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
