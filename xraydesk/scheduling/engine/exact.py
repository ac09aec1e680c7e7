"""The best places for a few exams, all others staying where they are: an exact search by CP-SAT.

A whole small day is a few exams too, and then the answer comes with a proven lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ortools.sat.python import cp_model

from xraydesk.scheduling.engine.line import NEVER, NOBODY, Line
from xraydesk.scheduling.engine.placing import porter_groups
from xraydesk.scheduling.engine.problem import FETCH_EARLY_MINUTES, RETURN_LATE_MINUTES
from xraydesk.scheduling.engine.state import Day, Jobs, Spot

SCALE = 1000
"""Costs are counted in thousandths: weights are decimals, and CP-SAT counts in whole numbers."""

PEOPLE_MAX = 10
"""So many technologists are looked at for one exam of a neighbourhood; of those who are idle all along a few will do."""

IDLE_MAX = 3

REACH_MINUTES = 120
"""Where only a part of the day is looked at, exams stay so near to where they are or should be: five times faster for most of the gain."""


FAR_MINUTES = 2_000_000
"""Farther from a day's start than any of its minutes."""


@dataclass(frozen=True)
class Found:
    """What an exact search found: where each exam goes (None: nowhere), and what they cost together.

    `bound` is a proven lower bound of that cost, all others staying where they are.
    """

    spots: dict[int, Spot | None]
    cost: float
    bound: float
    proven: bool


@dataclass
class _Vars:
    """One exam's variables."""

    start: cp_model.IntVar
    planned: cp_model.IntVar
    first: int = 0
    last: int = 0
    length: cp_model.IntVar | None = None
    end: cp_model.IntVar | None = None
    rooms: dict[int, cp_model.IntVar] = field(default_factory=dict)
    people: dict[int, cp_model.IntVar] = field(default_factory=dict)
    fetch: cp_model.IntVar | None = None
    back: cp_model.IntVar | None = None
    fetchers: dict[int, cp_model.IntVar] = field(default_factory=dict)
    returners: dict[int, cp_model.IntVar] = field(default_factory=dict)
    """By group of porters."""


class Neighbourhood:
    """A model of some exams of a day. The day must have them in their places when this is made; it is not changed.

    `whole` looks at all the day and everybody; else exams stay near where they are. `must` is an
    exam without a place that is to have one, or nothing is found.
    """

    def __init__(
        self, day: Day, exams: Sequence[int], *, whole: bool = False, must: int | None = None
    ) -> None:
        self.day, self.exams, self.whole, self.must = day, list(exams), whole, must
        self.inside = set(exams)
        self.model = cp_model.CpModel()
        self.now_cost = sum(day.cost_of(i) for i in exams)
        self.vars: dict[int, _Vars] = {}
        self.costs: list[tuple[int, cp_model.IntVar]] = []
        self.constant = 0
        self.room_uses: dict[int, list[cp_model.IntervalVar]] = {}
        self.person_uses: dict[int, list[cp_model.IntervalVar]] = {}
        self.jobs: dict[int, list[cp_model.IntervalVar]] = {}
        self.groups = porter_groups(day)
        self.patient_uses: dict[int, list[cp_model.IntervalVar]] = {}
        self.possible = True
        self._free_lines()
        for i in exams:
            self._exam(i)
        if self.possible:
            self._together()
            self._objective()

    # -- what is free for them ---------------------------------------------------------------------

    def _free_lines(self) -> None:
        """The lines that matter, without the exams looked at."""
        day = self.day
        self.rooms: dict[int, Line] = {}
        self.people: dict[int, Line] = {}
        for i in self.exams:
            for room in day.minutes[i]:
                self.rooms.setdefault(room, self._without(day.room_lines[room]))
        self.porters = [self._without(line) for line in day.porter_lines]

    def _without(self, line: Line) -> Line:
        made = Line()
        for first, last, who in zip(line.starts, line.ends, line.who, strict=True):
            if who not in self.inside:
                made.starts.append(first)
                made.ends.append(last)
                made.who.append(who)
        return made

    def _person(self, t: int) -> Line:
        if t not in self.people:
            self.people[t] = self._without(self.day.person_lines[t])
        return self.people[t]

    # -- one exam ------------------------------------------------------------------------------------

    def _window(self, i: int) -> tuple[int, int]:
        """Starts that could be part of a better answer: outside, this exam alone costs more than all do now."""
        day = self.day
        first, last = day.ready[i], NEVER
        for other in day.after[i]:
            if other in self.inside:
                continue
            if day.room[other] < 0:
                return NEVER, -NEVER
            first = max(first, day.start[other] + day.minutes[other][day.room[other]])
        for other in day.followers[i]:
            if other not in self.inside and day.room[other] >= 0:
                last = min(last, day.start[other] - min(day.minutes[i].values(), default=0))
        if day.due[i] < NEVER and day.weight[i] > 0:
            last = min(last, int(day.due[i] + self.now_cost / day.weight[i]) + 1)
        if day.per_minute[i] > 0:
            reach = int(self.now_cost / day.per_minute[i]) + 1
            first, last = max(first, day.booked_start[i] - reach), min(last, day.booked_start[i] + reach)
        if self.whole or first >= NEVER:
            return first, last
        ideal = day.ideal(i, first)
        at = day.start[i] if day.room[i] >= 0 else ideal
        return max(first, min(at, ideal) - REACH_MINUTES), min(last, max(at, ideal) + REACH_MINUTES)

    def _exam(self, i: int) -> None:
        day, model = self.day, self.model
        first, last = self._window(i)
        domains = {}
        for room, minutes in day.minutes[i].items():
            spans = _gaps(self.rooms[room], minutes + day.cleaning[i], first, last)
            if spans:
                domains[room] = spans
        planned = model.new_bool_var(f"p{i}")
        if day.fixed[i]:
            raise ValueError("fixed exams are never looked at")
        every = [span for spans in domains.values() for span in spans]
        if not every:
            # It has no place whatever the others do: it stays left out.
            model.add(planned == 0)
            start = model.new_constant(0)
            self.vars[i] = _Vars(start, planned)
            self._price(i, self.vars[i])
            return
        start = model.new_int_var_from_domain(
            cp_model.Domain.from_intervals([list(s) for s in every]), f"s{i}"
        )
        one = self.vars[i] = _Vars(
            start, planned, first=min(s[0] for s in every), last=max(s[1] for s in every)
        )
        for room, spans in domains.items():
            chosen = model.new_bool_var(f"r{i}_{room}")
            one.rooms[room] = chosen
            model.add_linear_expression_in_domain(
                start, cp_model.Domain.from_intervals([list(s) for s in spans])
            ).only_enforce_if(chosen)
            hold = day.minutes[i][room] + day.cleaning[i]
            self.room_uses.setdefault(room, []).append(
                model.new_optional_fixed_size_interval_var(start, hold, chosen, f"h{i}_{room}")
            )
        model.add_exactly_one([*one.rooms.values(), planned.negated()])
        if i == self.must:
            model.add(planned == 1)
        self._people(i, one, first, last)
        self._patient(i, one)
        self._ways(i, one)
        self._price(i, one)

    def _use(self, i: int, one: _Vars, presence: cp_model.IntVar, name: str) -> cp_model.IntervalVar:
        """The exam's minutes as an interval, for its patient or one technologist."""
        day, model = self.day, self.model
        lengths = sorted({day.minutes[i][room] for room in one.rooms})
        if len(lengths) == 1:
            return model.new_optional_fixed_size_interval_var(one.start, lengths[0], presence, name)
        return model.new_optional_interval_var(
            one.start, self._length(i, one), self._end(i, one), presence, name
        )

    def _length(self, i: int, one: _Vars) -> cp_model.IntVar:
        """How long the exam takes in the room it is in."""
        if one.length is None:
            day, model = self.day, self.model
            lengths = sorted({day.minutes[i][room] for room in one.rooms})
            one.length = model.new_int_var_from_domain(cp_model.Domain.from_values(lengths), f"m{i}")
            for room, chosen in one.rooms.items():
                model.add(one.length == day.minutes[i][room]).only_enforce_if(chosen)
        return one.length

    def _end(self, i: int, one: _Vars) -> cp_model.IntVar:
        if one.end is None:
            model = self.model
            one.end = model.new_int_var(one.first, one.last + max(self.day.minutes[i].values()), f"e{i}")
            model.add(one.end == one.start + self._length(i, one))
        return one.end

    def _people(self, i: int, one: _Vars, first: int, last: int) -> None:
        day, model = self.day, self.model
        if not day.limited:
            return
        shortest = min(day.minutes[i][room] for room in one.rooms)
        longest = max(day.minutes[i][room] for room in one.rooms)
        for t in self._candidates(i, first, last):
            spans = _gaps(self._person(t), shortest, first, last)
            if not spans:
                continue
            chosen = model.new_bool_var(f"t{i}_{t}")
            one.people[t] = chosen
            model.add_linear_expression_in_domain(
                one.start, cp_model.Domain.from_intervals([list(s) for s in spans])
            ).only_enforce_if(chosen)
            if longest > shortest:
                for room, in_room in one.rooms.items():
                    if day.minutes[i][room] > shortest:
                        fit = _gaps(self._person(t), day.minutes[i][room], first, last)
                        model.add_linear_expression_in_domain(
                            one.start, cp_model.Domain.from_intervals([list(s) for s in fit])
                        ).only_enforce_if(chosen, in_room)
            self.person_uses.setdefault(t, []).append(self._use(i, one, chosen, f"u{i}_{t}"))
        model.add_exactly_one([*one.people.values(), one.planned.negated()])

    def _candidates(self, i: int, first: int, last: int) -> list[int]:
        """Whom to look at: all where the whole day is looked at; else those at work here, and a few who are idle."""
        day = self.day
        if self.whole or len(day.people_for[i]) <= PEOPLE_MAX:
            return list(day.people_for[i])
        here = {day.person[j] for j in self.exams if day.room[j] >= 0} | {day.booked_person[i]}
        inside = [t for t in day.people_for[i] if t in here]
        others = [t for t in day.people_for[i] if t not in here]
        lo, hi = max(first, 0), min(last, day.start[i] + 240 if day.room[i] >= 0 else first + 480)
        idle = sorted(others, key=lambda t: -_free_minutes(self._person(t), lo, hi))
        return inside[:PEOPLE_MAX] + idle[: max(IDLE_MAX, PEOPLE_MAX - len(inside))]

    def _patient(self, i: int, one: _Vars) -> None:
        day, model = self.day, self.model
        line = day.patient_lines[day.patient[i]]
        alone = self._without(line)
        others = [j for j in self.exams if j != i and day.patient[j] == day.patient[i]]
        if alone.starts:
            for room, chosen in one.rooms.items():
                spans = _gaps(alone, day.minutes[i][room], -NEVER // 2, NEVER // 2)
                model.add_linear_expression_in_domain(
                    one.start, cp_model.Domain.from_intervals([list(s) for s in spans])
                ).only_enforce_if(chosen)
        if others:
            made = self._use(i, one, one.planned, f"c{i}")
            self.patient_uses.setdefault(day.patient[i], []).append(made)

    def _ways(self, i: int, one: _Vars) -> None:
        """The porter's two jobs."""
        day, model = self.day, self.model
        way = day.way[i]
        if way < 0:
            return
        model.add(one.start >= day.now + way).only_enforce_if(one.planned)
        if not day.porters_limited:
            return
        latest = one.last + max(day.minutes[i].values()) + RETURN_LATE_MINUTES
        one.fetch = model.new_int_var(day.now, max(day.now, one.last), f"f{i}")
        one.back = model.new_int_var(day.now, max(day.now, latest), f"b{i}")
        model.add(one.fetch + way <= one.start).only_enforce_if(one.planned)
        model.add(one.fetch + way + FETCH_EARLY_MINUTES >= one.start).only_enforce_if(one.planned)
        end = self._end(i, one)
        model.add(one.back >= end).only_enforce_if(one.planned)
        model.add(one.back <= end + RETURN_LATE_MINUTES).only_enforce_if(one.planned)
        for at, chosen_by, name in ((one.fetch, one.fetchers, "f"), (one.back, one.returners, "b")):
            for g in range(len(self.groups)):
                chosen = one.planned if len(self.groups) == 1 else model.new_bool_var(f"{name}{i}_{g}")
                chosen_by[g] = chosen
                # Each job lies in one shift: those that touch are not joined.
                on = [[a, b - way] for q in self.groups[g] for a, b in (day.problem.porters or ())[q].on]
                model.add_linear_expression_in_domain(
                    at, cp_model.Domain.from_intervals([span for span in on if span[0] <= span[1]])
                ).only_enforce_if(chosen)
                if way:
                    self.jobs.setdefault(g, []).append(
                        model.new_optional_fixed_size_interval_var(at, way, chosen, f"{name}w{i}_{g}")
                    )
            if len(self.groups) != 1:
                model.add_exactly_one([*chosen_by.values(), one.planned.negated()])

    def _price(self, i: int, one: _Vars) -> None:
        day, model = self.day, self.model
        missing = _thousandths(day.missing_cost[i])
        self.constant += missing
        self.costs.append((-missing, one.planned))
        if not one.rooms:
            return
        if day.booked_room[i] >= 0 and day.per_room[i] > 0:
            for room, chosen in one.rooms.items():
                if room != day.booked_room[i]:
                    self.costs.append((_thousandths(day.per_room[i]), chosen))
        if day.due[i] < NEVER and day.weight[i] > 0:
            late = model.new_int_var(0, max(0, one.last - day.due[i]), f"l{i}")
            model.add(late >= one.start - day.due[i]).only_enforce_if(one.planned)
            self.costs.append((_thousandths(day.weight[i]), late))
        if day.per_minute[i] > 0:
            far = max(abs(one.last - day.booked_start[i]), abs(day.booked_start[i] - one.first))
            away = model.new_int_var(0, far, f"d{i}")
            model.add(away >= one.start - day.booked_start[i]).only_enforce_if(one.planned)
            model.add(away >= day.booked_start[i] - one.start).only_enforce_if(one.planned)
            self.costs.append((_thousandths(day.per_minute[i]), away))

    # -- all of them ---------------------------------------------------------------------------------

    def _together(self) -> None:
        day, model = self.day, self.model
        for uses in (self.room_uses, self.person_uses, self.patient_uses):
            for intervals in uses.values():
                if len(intervals) > 1:
                    model.add_no_overlap(intervals)
        if self.jobs:
            self._porters_suffice()
        for i in self.exams:
            one = self.vars[i]
            for other in day.after[i]:
                if other in self.inside:
                    before = self.vars[other]
                    model.add_implication(one.planned, before.planned)
                    if one.rooms and before.rooms:
                        model.add(one.start >= self._end(other, before)).only_enforce_if(one.planned)
            for other in day.followers[i]:
                if other not in self.inside and day.room[other] >= 0:
                    model.add(one.planned == 1)
                    if one.rooms:
                        model.add(self._end(i, one) <= day.start[other])

    def _porters_suffice(self) -> None:
        """In no group of porters more jobs at once than there are porters on who have no other.

        Who does which is told afterwards: within a group it always can be.
        """
        model = self.model
        for g, jobs in self.jobs.items():
            busy = list(jobs)
            for q in self.groups[g]:
                line = self.porters[q]
                for k, (first, last) in enumerate(zip(line.starts, line.ends, strict=True)):
                    low, high = max(first, -FAR_MINUTES), min(last, FAR_MINUTES)
                    if low < high:
                        busy.append(model.new_fixed_size_interval_var(low, high - low, f"o{q}_{k}"))
            model.add_cumulative(busy, [1] * len(busy), len(self.groups[g]))

    def _objective(self) -> None:
        self.model.minimize(sum(c * v for c, v in self.costs) + self.constant)
        for i in self.exams:
            self._hint(i)

    def _hint(self, i: int) -> None:
        day, model, one = self.day, self.model, self.vars[i]
        placed = day.room[i] >= 0
        model.add_hint(one.planned, placed)
        if not placed or not one.rooms:
            return
        model.add_hint(one.start, day.start[i])
        for room, chosen in one.rooms.items():
            model.add_hint(chosen, room == day.room[i])
        for t, chosen in one.people.items():
            model.add_hint(chosen, t == day.person[i])
        _, fetch, _, back = day.jobs[i]
        if one.fetch is not None and one.back is not None:
            model.add_hint(one.fetch, fetch)
            model.add_hint(one.back, back)

    # -- solving -------------------------------------------------------------------------------------

    def solve(
        self, *, seconds: float | None = None, effort: float | None = None, workers: int = 1, seed: int = 0
    ) -> Found | None:
        """Search so many seconds, or with so much effort (the same answer every time); None where nothing was found."""
        solver = cp_model.CpSolver()
        parameters = solver.parameters
        parameters.num_workers = workers
        parameters.random_seed = seed
        # Small models: what presolving them thoroughly saves is less than what it takes.
        parameters.symmetry_level = 0
        parameters.cp_model_probing_level = 0
        parameters.max_presolve_iterations = 1
        if seconds is not None:
            parameters.max_time_in_seconds = seconds
        if effort is not None:
            parameters.max_deterministic_time = effort
        status = solver.solve(self.model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        spots = {i: self._spot(i, solver) for i in self.exams}
        cost = sum(s.cost if s else self.day.missing_cost[i] for i, s in spots.items())
        return Found(spots, cost, solver.best_objective_bound / SCALE, status == cp_model.OPTIMAL)

    def _spot(self, i: int, solver: cp_model.CpSolver) -> Spot | None:
        day, one = self.day, self.vars[i]
        if not solver.value(one.planned):
            return None
        room = _chosen(one.rooms, solver)
        start = solver.value(one.start)
        person = _chosen(one.people, solver)
        jobs: Jobs = (NOBODY, start - day.way[i], NOBODY, start + day.minutes[i][room])
        if one.fetch is not None and one.back is not None:
            # The group in place of the porter: who of them it is, is told once all are known.
            jobs = (
                _chosen(one.fetchers, solver), solver.value(one.fetch),
                _chosen(one.returners, solver), solver.value(one.back),
            )  # fmt: skip
        return Spot(day.own_cost(i, room, start), room, start, person, jobs)


def _thousandths(cost: float) -> int:
    """A cost in whole thousandths, never more than it is: what is proven of these holds for the costs themselves."""
    return int(cost * SCALE + 1e-6)


def _chosen(options: dict[int, cp_model.IntVar], solver: cp_model.CpSolver) -> int:
    return next((k for k, chosen in options.items() if solver.value(chosen)), NOBODY)


def _gaps(line: Line, length: int, first: int, last: int) -> list[tuple[int, int]]:
    """Stretches of starts from `first` to `last` at which so long is free."""
    found = []
    before = -NEVER
    for begin, end in zip([*line.starts, NEVER], [*line.ends, NEVER], strict=True):
        low, high = max(before, first), min(begin - length, last)
        if low <= high:
            found.append((low, high))
        before = max(before, end)
        if before > last:
            break
    return found


def _free_minutes(line: Line, first: int, last: int) -> int:
    busy = sum(
        max(0, min(last, end) - max(first, begin)) for begin, end in zip(line.starts, line.ends, strict=True)
    )
    return max(0, last - first - busy)
