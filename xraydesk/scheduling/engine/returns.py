"""Who brings the patients of exams that have begun back: searched to the end, since without it there is no plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xraydesk.scheduling.engine.line import NEVER, Line
from xraydesk.scheduling.engine.problem import Interval

EFFORT = 20.0
"""How long an exact search goes on, in the solver's own seconds, the same on every machine."""


@dataclass(frozen=True)
class Return:
    """A way back, `way` minutes long, to be begun from `first` to `last`, both counted. `exam` is a number."""

    exam: int
    first: int
    last: int
    way: int


def returns(ways: Sequence[Return], on: Sequence[Sequence[Interval]]) -> dict[int, tuple[int, int]] | Return:
    """A porter and a start for each way; `on` are the porters' shifts. Where there is none, a way among those too many.

    The quick try takes the most urgent first; only where that fails is everything tried.
    """
    found: dict[int, tuple[int, int]] = {}
    stuck: list[Return] = []
    lines = [Line(shifts) for shifts in on]
    for one in sorted(ways, key=lambda w: (w.last, w.way, w.exam)):
        start, q = _soonest(one, lines, on)
        if start > one.last:
            stuck.append(one)
            break
        if one.way:
            lines[q].add(start, start + one.way, one.exam)
        found[one.exam] = (q, start)
    if not stuck:
        return found
    return _exactly(ways, on) or stuck[0]


def _soonest(one: Return, lines: Sequence[Line], on: Sequence[Sequence[Interval]]) -> tuple[int, int]:
    if one.way:
        return min(
            ((line.next_free(one.first, one.way), q) for q, line in enumerate(lines)), default=(NEVER, 0)
        )
    # A way of no length holds nobody up, but needs somebody who is on.
    starts = (
        (max(a, one.first), q) for q, shifts in enumerate(on) for a, b in shifts if max(a, one.first) <= b
    )
    return min(starts, default=(NEVER, 0))


def _exactly(ways: Sequence[Return], on: Sequence[Sequence[Interval]]) -> dict[int, tuple[int, int]]:
    """The same by an exact search; empty where there is none, or none was found with the stated effort."""
    # Imported only where it is needed: it takes a third of a second.
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    starts = {w.exam: model.new_int_var(w.first, w.last, "") for w in ways}
    choices: dict[tuple[int, int], cp_model.IntVar] = {}
    busy: dict[int, list[cp_model.IntervalVar]] = {q: [] for q in range(len(on))}
    for one in ways:
        start = starts[one.exam]
        for q, shifts in enumerate(on):
            spans = [(max(a, one.first), min(b - one.way, one.last)) for a, b in shifts]
            spans = [(a, b) for a, b in spans if a <= b]
            if not spans:
                continue
            chosen = choices[one.exam, q] = model.new_bool_var("")
            model.add_linear_expression_in_domain(
                start, cp_model.Domain.from_intervals([list(span) for span in spans])
            ).only_enforce_if(chosen)
            if one.way:
                busy[q].append(model.new_optional_fixed_size_interval_var(start, one.way, chosen, ""))
        model.add_exactly_one([chosen for (exam, _), chosen in choices.items() if exam == one.exam])
    for intervals in busy.values():
        model.add_no_overlap(intervals)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = EFFORT
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return {}
    return {
        exam: (q, solver.value(starts[exam])) for (exam, q), chosen in choices.items() if solver.value(chosen)
    }
