"""`xraydesk plan` and `plan check`: the planner by itself, on files, without a database."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, put_json
from xraydesk.project.trouble import Trouble
from xraydesk.scheduling.engine.problem import Problem
from xraydesk.scheduling.engine.reading import (
    FILE_BYTES_MAX,
    BadPlan,
    BadProblem,
    plan_as_json,
    read_plan,
    read_problem,
)
from xraydesk.scheduling.engine.stop import Stop, after_steps

SECONDS = 5.0
SECONDS_MAX = 86_400.0
SEARCH_SHARE = 0.15
"""However long the program took to start on a busy machine, so much of its time is there for looking."""
STEPS_MAX = 1_000_000
CHECK = "check"


@app.command()
def plan(  # noqa: PLR0917 - one parameter a flag
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="PROBLEM | check PROBLEM PLAN", show_default=False)],
    seconds: Annotated[
        float, typer.Option(min=0.0, max=SECONDS_MAX, help="Look for a better plan so long.")
    ] = SECONDS,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Where chance begins.")] = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=STEPS_MAX,
            help="End after so many searches in place of --seconds: the same answer every time.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Plan a day of exams over rooms, technologists and porters; or check a plan.

    `plan PROBLEM` prints the best plan found in the time. `plan check PROBLEM PLAN` prints what a
    plan costs, or the first rule that it breaks (exit status 1).
    """
    begun = time.monotonic() if context.obj is None else float(context.obj)
    if files[0] == CHECK:
        if len(files) != 3:
            raise Trouble("plan check takes two files: the problem, and the plan.")
        _check(Path(files[1]), Path(files[2]), as_json=as_json)
        return
    if len(files) != 1:
        raise Trouble("plan takes one file, the problem; or: plan check PROBLEM PLAN.")
    problem = _problem(Path(files[0]))
    end = max(begun + seconds, time.monotonic() + SEARCH_SHARE * seconds)
    stop = after_steps(steps) if steps is not None else Stop(time.monotonic, end)
    told = _solved(problem, stop, seed)
    if out is not None:
        try:
            out.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        except OSError as wrong:
            raise Trouble(f"{out} cannot be written: {wrong.strerror}") from None
    if as_json or out is None:
        put_json(told)
    else:
        left = len(told["unplanned"])
        bound = f", at least {told['lower_bound']:g} in any plan" if told["lower_bound"] else ""
        print(f"{len(told['exams'])} exams planned, {left} left out; cost {told['cost']:g}{bound}")


def _solved(problem: Problem, stop: Stop, seed: int) -> dict[str, Any]:
    from xraydesk.scheduling.engine.checker import Broken, check
    from xraydesk.scheduling.engine.solve import solve
    from xraydesk.scheduling.engine.state import NoPlan

    try:
        found = solve(problem, stop, seed).plan
        # Judged before anybody sees it: a plan that breaks a rule is worse than none.
        check(problem, found)
    except NoPlan as trouble:
        print(trouble, file=sys.stderr)
        raise typer.Exit(1) from None
    except Broken as trouble:
        print(f"The plan that was found breaks a rule, so it is not shown: {trouble}", file=sys.stderr)
        raise typer.Exit(1) from None
    return plan_as_json(found)


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX + 1)
    except OSError as wrong:
        raise Trouble(f"{file} cannot be read: {wrong.strerror}") from None


def _problem(file: Path) -> Problem:
    try:
        return read_problem(_bytes(file))
    except BadProblem as trouble:
        raise Trouble(f"{file}: {trouble}") from None


def _check(problem_file: Path, plan_file: Path, *, as_json: bool) -> None:
    from xraydesk.scheduling.engine.checker import Broken, check

    problem = _problem(problem_file)
    data = _bytes(plan_file)
    try:
        cost = check(problem, read_plan(data))
    except (BadPlan, Broken) as trouble:
        if as_json:
            put_json({"keeps_every_rule": False, "why": str(trouble)})
        else:
            print(trouble)
        raise typer.Exit(1) from None
    if as_json:
        put_json({"keeps_every_rule": True, "cost": cost})
    else:
        print(f"cost {cost:g}")
