"""Looking for a better answer in a process of its own, which ends with it: OR-Tools takes memory that no process keeps at rest.

    python -m xraydesk.scheduling.refining < question > answer

What goes in is one JSON object: `problem` (`xraydesk.plan/1`), `plan` and `than` (`xraydesk.plan-answer/1`), `wanted`
and `seconds`; what comes out is the better plan, or nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import BoundedSemaphore

from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.scheduling.engine.reading import BadFile, plan_as_json, read_plan, read_problem
from xraydesk.scheduling.engine.stop import after_seconds
from xraydesk.scheduling.engine.writing import problem_as_json

SECONDS = 1.2
"""So long is looked; with its start the process takes about two seconds."""

PROCESS_SECONDS_MAX = 10.0
"""On a machine that has no time left for it the process is ended."""

AT_ONCE_MAX = 1
"""So many of them run for one process of the desk; who asks meanwhile keeps the first answer."""

_turn = BoundedSemaphore(AT_ONCE_MAX)


class NoTurn(Exception):
    """Others are being looked for just now; ask again."""


def better_plan(problem: Problem, plan: Plan, *, wanted: Sequence[str], than: Plan) -> Plan | None:
    """A plan clearly better than `than`, the first answer for `wanted`, judged by the checker; None where none was found.

    `plan` is the one in force. Raises NoTurn.
    """
    if not _turn.acquire(blocking=False):
        raise NoTurn
    try:
        question = {
            "problem": problem_as_json(problem),
            "plan": plan_as_json(plan),
            "than": plan_as_json(than),
            "wanted": list(wanted),
            "seconds": SECONDS,
        }
        done = subprocess.run(
            [sys.executable, "-m", "xraydesk.scheduling.refining"],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROCESS_SECONDS_MAX,
        )
        if done.returncode or not done.stdout:
            return None
        found = read_plan(done.stdout)
    except (subprocess.TimeoutExpired, BadFile):
        return None
    finally:
        _turn.release()
    return None if broken_rule(problem, found) else found


def main() -> None:
    """Answer the one question on standard input."""
    from xraydesk.scheduling.engine.refine import refined

    question = json.load(sys.stdin)
    found = refined(
        read_problem(json.dumps(question["problem"]).encode()),
        read_plan(json.dumps(question["plan"]).encode()),
        wanted=question["wanted"],
        than=read_plan(json.dumps(question["than"]).encode()),
        stop=after_seconds(question["seconds"], time.monotonic),
    )
    if found is not None:
        json.dump(plan_as_json(found), sys.stdout)


if __name__ == "__main__":
    main()
