"""What each desk decides at one minute: who goes where, and when. All of them ask the planner's own layers.

None waits for a long search: first come, first served; or each newcomer let in by few moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from xraydesk.scheduling.engine.dispatch import by_urgency, dispatch, place
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.insertion import Option, Planner, applied
from xraydesk.scheduling.engine.line import NEVER
from xraydesk.scheduling.engine.moving import Mover, Trail
from xraydesk.scheduling.engine.problem import Placed, Plan, Problem
from xraydesk.scheduling.engine.state import Day, Spot, day_of_plan
from xraydesk.scheduling.engine.under_way import Costs
from xraydesk.simulation.floor import Case, Floor, State
from xraydesk.simulation.policy import Autopilot, Policy, Way
from xraydesk.simulation.telling import in_line, under_way

BETTER_MAX = 6
"""So many of those who wait longest for what they mind are given a better place at one look, where there is one."""

BETTER_DEPTH = 1
BETTER_TRIES = 8
WORTH_ASKING_MINUTES = 5
"""A STAT or urgent exam that waits no longer than so by itself is no reason to move anybody."""

WAIT_MINUTES_MAX = 10
"""An outpatient may be let wait so long for others without being told another time; no more."""

OPTIONS_MAX = 4

Watch = Callable[[Problem, Plan], None]
"""Shown each decision: the problem, and the plan decided on."""


class Desk:
    """One department's desk under one policy. `decide` looks at all of it; `ask_for` lets one exam in, others giving way."""

    def __init__(
        self, floor: Floor, policy: Policy, *, costs: Costs | None = None, watch: Watch | None = None
    ) -> None:
        self.floor, self.policy = floor, policy
        self.costs = costs or Costs()
        self.watch = watch

    # -- everybody who waits ------------------------------------------------------------------------

    def decide(self, *, overtime: bool) -> None:
        """Plan who goes where, as this desk does. With `overtime`, whoever is here and finds no place has one after hours."""
        way = {Way.XRAYDESK: self._mend, Way.FIRST_COME: self._lists}.get(self.policy.way, self._line)
        way(overtime=False)
        if overtime and any(c.place is None and c.state is State.HERE for c in self.floor.cases.values()):
            way(overtime=True)

    def _line(self, *, overtime: bool) -> None:
        """Everybody in one line, planned anew each time."""
        problem = in_line(self.floor, by_priority=self.policy.way is Way.PRIORITY, overtime=overtime)
        self._put(problem, first_come(problem))

    def _lists(self, *, overtime: bool) -> None:
        """Each room's list goes on in its order, moving up where it can; newcomers have the first place that is free then."""
        problem = in_line(self.floor, by_priority=False, overtime=overtime)
        day = Day(problem)
        listed = [(p.start, p.exam, p.room) for p in self._places(problem) if p.room not in self._down()]
        for _, name, room in sorted(listed):
            i, number = day.number[name], day.room_number[room]
            _, last = day.bounds(i)
            spot = day.first_from(i, number, day.ready[i], last - day.minutes[i][number])
            if spot:
                day.put(i, spot)
        for i in range(day.count):
            spot = _first_free(day, i) if day.room[i] < 0 else None
            if spot:
                day.put(i, spot)
        self._put(problem, day.plan())

    def _places(self, problem: Problem) -> Iterator[Placed]:
        for exam in problem.exams:
            place = self.floor.cases[exam.id].place
            if place is not None:
                yield place

    def _down(self) -> set[str]:
        return {name for name, running in self.floor.rooms.items() if running.down_until is not None}

    def _mend(self, *, overtime: bool) -> None:
        """Everybody's place as good as quick moves make it, outpatients kept waiting by a few minutes at most."""
        problem, plan = under_way(self.floor, costs=self.costs, overtime=overtime)
        kept, lost = day_of_plan(problem, plan)
        keep = self._keep_their_time(plan, {kept.exam_ids[i] for i in lost})
        decided = self._best_of(problem, kept)
        starts = {p.exam: p.start for p in decided.placed}
        if any(starts.get(name, NEVER) - told > WAIT_MINUTES_MAX for name, told in keep.items()):
            problem, plan = under_way(self.floor, costs=self.costs, unmoved=keep.keys(), overtime=overtime)
            decided = self._best_of(problem, day_of_plan(problem, plan)[0])
        self._put(problem, decided)

    def _best_of(self, problem: Problem, kept: Day) -> Plan:
        """The cheaper of two, mended by a few moves: places that still stand kept, or the day planned anew."""
        place(kept, by_urgency(kept))
        day = min((kept, dispatch(problem)), key=lambda day: day.cost_now)
        self._better(day)
        return day.plan()

    def _keep_their_time(self, plan: Plan, lost: Set[str]) -> dict[str, int]:
        """Outpatients who can still begin when they were told, and when that is."""
        found = {}
        for placed in plan.placed:
            case = self.floor.cases[placed.exam]
            if case.comes_by_appointment and case.told == placed.start and placed.exam not in lost:
                found[placed.exam] = placed.start
        return found

    def _better(self, day: Day) -> None:
        mover = Mover(day)
        costly = [i for i in range(day.count) if day.room[i] >= 0 and day.cost_of(i) > 0]
        costly = [i for i in costly if day.start[i] > day.bounds(i)[0]]
        costly.sort(key=lambda i: (-day.cost_of(i), i))
        trail: Trail = []
        # Somebody may have been left out meanwhile, for another whose waiting costs more.
        for i in (i for i in costly[:BETTER_MAX] if day.room[i] >= 0):
            mover.better(i, trail, depth=BETTER_DEPTH, tries_max=BETTER_TRIES)

    def _put(self, problem: Problem, plan: Plan) -> None:
        if self.watch is not None:
            self.watch(problem, plan)
        cases = self.floor.cases
        for placed in plan.placed:
            cases[placed.exam].place = placed
        for name in plan.unplanned:
            cases[name].place = None

    # -- one exam that presses ------------------------------------------------------------------------

    def presses(self, case: Case) -> bool:
        """Whether a STAT or urgent exam waits so long by itself that moving others is worth asking for."""
        if (
            self.policy.way is not Way.XRAYDESK
            or case.patient.priority == "routine"
            or case.state not in (State.COMING, State.HERE)
        ):
            return False
        start = case.place.start if case.place else None
        since = max(case.since, case.expected)
        return start is None or start - since > WORTH_ASKING_MINUTES

    def ask_for(self, case: Case, *, by_person: bool) -> bool:
        """Let an exam in where that is best for all, outpatients' times changing too. True where a person is still to be asked.

        A person accepts the best proposal. The autopilot accepts the best within its limits, and a person is
        asked where a better one lies beyond them. Neither leaves somebody out who was told a time.
        """
        limits = None if by_person else self.policy.autopilot
        if not by_person and limits is None:
            return True
        before, case.place = case.place, None
        problem, plan = under_way(self.floor, costs=self.costs)
        options = Planner(problem, plan).options((case.id,), options_max=OPTIONS_MAX)
        case.place = before
        for number, option in enumerate(options):
            if self._keeps(option, limits):
                self._accept(problem, plan, option)
                return number > 0
        return bool(options)

    def _keeps(self, option: Option, limits: Autopilot | None) -> bool:
        """Whether nobody who was told a time is left without one, nor moved beyond the limits."""
        return all(
            after is not None and (limits is None or self._within(limits, told, after.start))
            for _, told, after in self._told(option)
        )

    def _within(self, limits: Autopilot, told: int, start: int) -> bool:
        """Whether somebody may be told another time by nobody; another room alone is no matter."""
        far = abs(start - told)
        return far == 0 or (
            far <= limits.outpatient_moved_minutes_max and told - self.floor.now >= limits.near_minutes
        )

    def _told(self, option: Option) -> Iterator[tuple[Case, int, Placed | None]]:
        """Outpatients whom an option moves: the time they were told, and the place that they would have."""
        for move in option.moves:
            case = self.floor.cases[move.exam]
            if case.comes_by_appointment and case.told is not None:
                yield case, case.told, move.after

    def _accept(self, problem: Problem, plan: Plan, option: Option) -> None:
        moved = [(case, after.start) for case, _, after in self._told(option) if after is not None]
        self._put(problem, applied(problem, plan, option))
        for case, start in moved:
            case.told = start


def _first_free(day: Day, i: int) -> Spot | None:
    """The first place that is free, in any room; for somebody with an appointment, theirs where it is."""
    if day.booked_room[i] >= 0:
        spot = day.fits(i, day.booked_room[i], day.booked_start[i])
        if spot:
            return spot
    first, last = day.bounds(i)
    best: Spot | None = None
    for room, minutes in day.minutes[i].items():
        until = min(last, NEVER) - minutes
        best = day.first_from(i, room, first, until if best is None else min(until, best.start - 1)) or best
    return best
