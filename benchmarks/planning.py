"""How good plans are in the time that they are given, beside the first-come desk and CP-SAT alone.

Method. For each problem, in one process: the plan of the first-come desk; what `solve` finds in the time given (1 s for
up to 50 exams, 4 s above, the solver's import included where it is the first); what CP-SAT finds for the whole day as one model,
started from the desk's quick plan, with two workers in the same time. Each plan is judged by the checker. Where a file
`best_known.json` lies beside the problems, `share` is how much of the way from its first-come cost to its best known cost
a plan goes, in percent, and `holder` says who has the least cost now. Without arguments: days of our own from a seed, of every kind.

    python benchmarks/planning.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._days import KINDS, made
from xraydesk.scheduling.engine.checker import check
from xraydesk.scheduling.engine.dispatch import dispatch
from xraydesk.scheduling.engine.exact import Neighbourhood
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.placing import put_all
from xraydesk.scheduling.engine.problem import Problem
from xraydesk.scheduling.engine.reading import read_problem
from xraydesk.scheduling.engine.solve import solve
from xraydesk.scheduling.engine.stop import Stop

SIZES = (40, 150)
SMALL = 50
SECONDS = (1.0, 4.0)


def problems(arguments: list[str]) -> tuple[dict[str, Problem], dict[str, Any]]:
    """Problems by name, and what is known of them."""
    if not arguments:
        return {f"{kind}-{size:04}": made(kind, size, size) for kind in KINDS for size in SIZES}, {}
    folder = Path(arguments[0])
    known = folder / "best_known.json"
    return (
        {file.stem: read_problem(file.read_bytes()) for file in sorted(folder.glob("*-*.json"))},
        json.loads(known.read_text()) if known.exists() else {},
    )


def alone(problem: Problem, seconds: float) -> float:
    """The cost that CP-SAT reaches by itself: the whole day as one model."""
    begun = time.monotonic()
    quick = dispatch(problem)
    exams = [i for i in range(quick.count) if not quick.fixed[i]]
    model = Neighbourhood(quick, exams, whole=True)
    left = seconds - (time.monotonic() - begun)
    found = model.solve(seconds=left, workers=2) if left > 0 else None
    if found is not None:
        put_all(quick, found.spots)
    return check(problem, replace(quick.plan(), lower_bound=None))


def main() -> None:
    """Print the table, and the mean and the least share where they are known."""
    every, known = problems(sys.argv[1:])
    shares = []
    print("| day | exams | first come | CP-SAT alone | ours | bound | s | best known | share, % | holder |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, problem in every.items():
        seconds = SECONDS[len(problem.exams) > SMALL]
        begun = time.monotonic()
        result = solve(problem, Stop(time.monotonic, begun + seconds))
        took = time.monotonic() - begun
        ours = check(problem, result.plan)
        told = known.get(f"{name}.json", {})
        best, share, holder = "", "", ""
        if told:
            low, high = told["best_known_cost"], told["greedy_cost"]
            shares.append(100 * (high - ours) / (high - low))
            best, share = f"{low:g}", f"{shares[-1]:.1f}"
            holder = "ours" if ours < low - 1e-6 else "both" if ours <= low + 1e-6 else "given"
        print(
            f"| {name} | {len(problem.exams)} | {first_come(problem).cost:.0f} | {alone(problem, seconds):.1f} | {ours:.1f} |"
            f" {result.plan.lower_bound or 0:.1f} | {took:.1f} | {best} | {share} | {holder} |",
            flush=True,
        )
    if shares:
        print(f"\nshare: mean {mean(shares):.1f} %, least {min(shares):.1f} %")


if __name__ == "__main__":
    main()
