"""A run in a process of its own, which ends with it: it takes seconds of a core that no page and no link should wait for.

    python -m xraydesk.simulation.aside < question > answers

What goes in is a pickled Question, by a pipe that only the process holds which started this one. What comes out is one JSON
object a line: `{"done": 3}` after each day, and at the end the `report`, its `charts` and its `workbook` (base64).
A process to which nobody listens any more ends at its next line.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

from xraydesk.simulation.page import charts
from xraydesk.simulation.policy import Policy
from xraydesk.simulation.report import as_json, simulate
from xraydesk.simulation.scenario import Scenario
from xraydesk.simulation.workbook import workbook
from xraydesk.siteplan.plan import SitePlan

NICENESS = 5
"""What else the machine has to do goes before, without starving this."""


@dataclass(frozen=True)
class Question:
    """What is to be run."""

    site: SitePlan
    scenario: Scenario
    policies: tuple[Policy, ...]
    days: int
    seed: int

    def as_bytes(self) -> bytes:
        """As `answer` reads it."""
        return pickle.dumps(self)


def answer(asked: BinaryIO, put: TextIO) -> None:
    """Run what is asked for, and write how far it is and what was found."""
    question: Question = pickle.load(asked)  # noqa: S301 - the pipe is held by nobody but who started us

    def told(**what: Any) -> None:
        put.write(json.dumps(what) + "\n")
        put.flush()

    report = simulate(
        question.site,
        question.scenario,
        question.policies,
        days=question.days,
        seed=question.seed,
        progress=lambda done, of: told(done=done),
    )
    told(
        report=as_json(report),
        charts=charts(report),
        workbook=base64.b64encode(workbook(report)).decode(),
    )


if __name__ == "__main__":  # pragma: no cover - what it does is tested through the process that it is
    os.nice(NICENESS)
    answer(sys.stdin.buffer, sys.stdout)
