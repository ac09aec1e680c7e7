"""The board page at 300 exams: server time, beside the page's own parts.

Method. An embedded PostgreSQL with its usual durability and a department of six rooms with
fifty exams each, in every stage. The page is asked for through Django's own request cycle
(middleware, session, access checks, templates) in one process, without a network; the first
ten answers are thrown away. Printed are the median and the 99th percentile in milliseconds of
wall time and of this process's CPU time, and beside them, measured in turn with it in the same
run: the sign-in page (what a page costs that reads nothing) and the same 300 exams read by one
bare SELECT over a psycopg connection (what the rows alone cost). Ratios are of medians.

    python benchmarks/board.py [requests]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from _desk import database, folder

EXAMS_A_ROOM = 50
ROOMS = 6
WARM_UP = 10


def measured(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def main(requests: int) -> None:
    """Fill the department, ask, print."""
    with folder() as work, database(work / "home"):
        from django.db import connection

        from xraydesk.desk.tests.people import signed_in
        from xraydesk.desk.tests.scenes import full_day
        from xraydesk.lib import clock
        from xraydesk.orders.models import Exam

        site = full_day(clock.now(), rooms=ROOMS, exams_a_room=EXAMS_A_ROOM)
        browser = signed_in(site)
        exams = Exam.objects.filter(site=site).count()
        sql = str(
            Exam.objects.filter(site=site)
            .select_related("patient", "order", "procedure")
            .query.sql_with_params()[0]
        )

        def board() -> None:
            answer = browser.get("/")
            assert answer.status_code == 200, answer.status_code

        def rows() -> None:
            with connection.cursor() as cursor:
                cursor.execute(sql, [site.pk])
                assert len(cursor.fetchall()) == exams

        subjects = {
            "board page": board,
            "sign-in page": lambda: browser.get("/sign-in"),
            "the rows alone": rows,
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
        for turn in range(requests + WARM_UP):
            for name, what in subjects.items():
                took = measured(what)
                if turn >= WARM_UP:
                    times[name].append(took)
        print(f"{exams} exams, {requests} requests each, in turn")
        base = statistics.median(wall for wall, _ in times["board page"])
        for name, found in times.items():
            walls, cpus = sorted(wall for wall, _ in found), sorted(cpu for _, cpu in found)
            last = walls[min(len(walls) - 1, round(0.99 * (len(walls) - 1)))]
            median = statistics.median(walls)
            print(
                f"  {name:16} median {median:7.1f} ms  p99 {last:7.1f} ms  "
                f"CPU median {statistics.median(cpus):7.1f} ms  {median / base:5.2f} of the board"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
