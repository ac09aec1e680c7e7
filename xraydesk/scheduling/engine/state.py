"""A day in memory, made to be asked "where could this exam go?" thousands of times a second.

Ids of the problem become small numbers once. Each room, technologist, patient and porter has a
`Line`: the stretches in which it is taken, in order, closed hours among them. Nothing here judges
what is best; `dispatch`, `insertion` and `improve` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise

from xraydesk.scheduling.engine.line import NEVER, NOBODY, Line
from xraydesk.scheduling.engine.problem import (
    FETCH_EARLY_MINUTES,
    RETURN_LATE_MINUTES,
    Exam,
    Job,
    Placed,
    Plan,
    Problem,
)
from xraydesk.scheduling.engine.returns import Return, returns

TINY = 1e-6

Jobs = tuple[int, int, int, int]
"""Porter and start of the fetch, porter and start of the return; NOBODY as porter where there is none."""

NO_JOBS: Jobs = (NOBODY, 0, NOBODY, 0)


@dataclass(frozen=True)
class Spot:
    """A place for one exam in numbers: room, start, technologist, porters' jobs, and what it costs there."""

    cost: float
    room: int
    start: int
    technologist: int
    jobs: Jobs


class NoPlan(Exception):
    """No plan can exist; the sentence names the exam that makes it so."""


class Day:
    """Exams, and where each one stands now."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        exams = problem.exams
        self.count = len(exams)
        self.exam_ids = [e.id for e in exams]
        self.number = {e.id: i for i, e in enumerate(exams)}
        self.room_ids = [r.id for r in problem.rooms]
        self.room_number = {r.id: i for i, r in enumerate(problem.rooms)}
        people = problem.technologists
        self.limited = people is not None
        self.person_ids = [t.id for t in people or ()]
        self.person_number = {t.id: i for i, t in enumerate(people or ())}
        self.porter_ids = [p.id for p in problem.porters or ()]
        self.porter_number = {p.id: i for i, p in enumerate(problem.porters or ())}
        self.porters_limited = problem.porters is not None
        self.now = problem.now
        self.hours_overlap = _hours_overlap(problem)
        self._tell_exams(exams)
        self.room_lines = [Line(r.open) for r in problem.rooms]
        self.person_lines = [Line(t.on) for t in people or ()]
        self.porter_lines = [Line(p.on) for p in problem.porters or ()]
        self.patient_lines = [Line() for _ in range(max(self.patient, default=-1) + 1)]
        self.room = [NOBODY] * self.count
        self.start = [0] * self.count
        self.person = [NOBODY] * self.count
        self.jobs: list[Jobs] = [NO_JOBS] * self.count
        self.cost_now = sum(self.missing_cost)
        self._put_fixed()

    def _tell_exams(self, exams: tuple[Exam, ...]) -> None:
        patients: dict[str, int] = {}
        self.patient = [patients.setdefault(e.patient, len(patients)) for e in exams]
        self.minutes = [{self.room_number[r]: m for r, m in e.minutes.items()} for e in exams]
        self.cleaning = [e.cleaning for e in exams]
        self.ready = [max(e.ready, self.now) for e in exams]
        self.due = [NEVER if e.due is None else e.due for e in exams]
        self.weight = [float(e.weight) for e in exams]
        self.fixed = [e.fixed is not None for e in exams]
        travel = self.problem.travel
        self.way = [2 * travel[e.origin] if e.origin is not None else NOBODY for e in exams]
        self.after = [tuple(self.number[o] for o in e.after) for e in exams]
        must = self._before_fixed()
        self.returns_fixed = self.porters_limited and any(
            self.fixed[i] and self.way[i] >= 0 for i in range(self.count)
        )
        """Whether fixed exams' returns have porters here that could be others' in another plan."""
        self.missing_cost = [
            self.problem.unplanned_cost * e.weight + MUST_COST * (i in must) for i, e in enumerate(exams)
        ]
        self.worth = [cost + TINY for cost in self.missing_cost]
        """What a place may cost: one that costs as much as being left out is still better."""
        followers: list[list[int]] = [[] for _ in exams]
        for i, others in enumerate(self.after):
            for other in others:
                followers[other].append(i)
        self.followers = [tuple(f) for f in followers]
        self.booked_room = [self.room_number[e.booked.room] if e.booked else NOBODY for e in exams]
        self.booked_start = [e.booked.start if e.booked else 0 for e in exams]
        self.per_minute = [float(e.booked.per_minute) if e.booked else 0.0 for e in exams]
        self.per_room = [float(e.booked.per_room) if e.booked else 0.0 for e in exams]
        hints = [e.booked.technologist if e.booked else None for e in exams]
        self.booked_person = [self.person_number.get(h, NOBODY) if h else NOBODY for h in hints]
        self._tell_people(exams)

    def _before_fixed(self) -> set[int]:
        """Exams that a fixed one comes after, whatever stands between; fixed ones themselves apart."""
        found: set[int] = set()
        todo = [i for i in range(self.count) if self.fixed[i]]
        while todo:
            for other in self.after[todo.pop()]:
                if not self.fixed[other] and other not in found:
                    found.add(other)
                    todo.append(other)
        return found

    def _tell_people(self, exams: tuple[Exam, ...]) -> None:
        """Who can do each exam: those with the fewest other skills first, so that rare skills stay free."""
        people = self.problem.technologists or ()
        ranked = sorted(range(len(people)), key=lambda t: (len(people[t].skills), t))
        by_skills: dict[frozenset[str], tuple[int, ...]] = {}
        for exam in exams:
            if exam.skills not in by_skills:
                by_skills[exam.skills] = tuple(t for t in ranked if exam.skills <= people[t].skills)
        self.people_for = [by_skills[e.skills] for e in exams]

    def _put_fixed(self) -> None:
        """Fixed exams stand where they are, with a return each. Raises NoPlan."""
        places = []
        for i in range(self.count):
            told = self.problem.exams[i].fixed
            if told is not None:
                room = self.room_number[told.room]
                person = (
                    self.person_number[told.technologist] if self.limited and told.technologist else NOBODY
                )
                places.append((i, room, told.start, person))
        ends = {i: start + self.minutes[i][room] for i, room, start, _ in places}
        backs = self._fixed_returns(ends)
        for i, room, start, person in places:
            porter, back = backs.get(i, (NOBODY, 0))
            # Where its hours overlap others, it may reach over the end of one of them.
            self.room_lines[room].join(start, ends[i] + self.cleaning[i])
            if person >= 0:
                self.person_lines[person].join(start, ends[i])
            if porter >= 0:
                self.porter_lines[porter].join(back, back + self.way[i])
            self.put(i, Spot(self.own_cost(i, room, start), room, start, person, (NOBODY, 0, porter, back)))

    def _fixed_returns(self, ends: dict[int, int]) -> dict[int, tuple[int, int]]:
        """Somebody for each fixed exam's way back, and when. Raises NoPlan."""
        exams = [i for i in ends if self.way[i] >= 0]
        for i in exams:
            if ends[i] + RETURN_LATE_MINUTES < self.now:
                raise NoPlan(
                    f"The patient of exam {self.exam_ids[i]} should have been brought back before now."
                )
        if not self.porters_limited:
            return {i: (NOBODY, max(ends[i], self.now)) for i in exams}
        on = [porter.on for porter in self.problem.porters or ()]
        ways = [Return(i, max(ends[i], self.now), ends[i] + RETURN_LATE_MINUTES, self.way[i]) for i in exams]
        found = returns(ways, on)
        if isinstance(found, Return):
            raise NoPlan(
                "Nobody can bring the patients of the fixed exams back in time,"
                f" that of exam {self.exam_ids[found.exam]} among them."
            )
        return found

    # -- placing ---------------------------------------------------------------------------------------

    def own_cost(self, i: int, room: int, start: int) -> float:
        """What one exam costs in a place."""
        cost = 0.0
        if start > self.due[i]:
            cost = self.weight[i] * (start - self.due[i])
        if self.booked_room[i] >= 0:
            cost += self.per_minute[i] * abs(start - self.booked_start[i])
            if room != self.booked_room[i]:
                cost += self.per_room[i]
        return cost

    def cost_of(self, i: int) -> float:
        """What one exam costs now, placed or left out."""
        return self.missing_cost[i] if self.room[i] < 0 else self.own_cost(i, self.room[i], self.start[i])

    def put(self, i: int, spot: Spot) -> None:
        """Place an exam in a place that is free for it."""
        room, start = spot.room, spot.start
        end = start + self.minutes[i][room]
        self.room[i], self.start[i], self.person[i], self.jobs[i] = room, start, spot.technologist, spot.jobs
        self.room_lines[room].add(start, end + self.cleaning[i], i)
        self.patient_lines[self.patient[i]].add(start, end, i)
        if spot.technologist >= 0:
            self.person_lines[spot.technologist].add(start, end, i)
        fetcher, fetch, returner, back = spot.jobs
        if self.way[i] > 0:
            if fetcher >= 0:
                self.porter_lines[fetcher].add(fetch, fetch + self.way[i], i)
            if returner >= 0:
                self.porter_lines[returner].add(back, back + self.way[i], i)
        self.cost_now += spot.cost - self.missing_cost[i]

    def take(self, i: int) -> Spot:
        """Take an exam out of its place; `put` it back with what is returned."""
        room, start = self.room[i], self.start[i]
        spot = Spot(self.own_cost(i, room, start), room, start, self.person[i], self.jobs[i])
        self.room_lines[room].drop(start, i)
        self.patient_lines[self.patient[i]].drop(start, i)
        if spot.technologist >= 0:
            self.person_lines[spot.technologist].drop(start, i)
        fetcher, fetch, returner, back = spot.jobs
        if self.way[i] > 0:
            if fetcher >= 0:
                self.porter_lines[fetcher].drop(fetch, i)
            if returner >= 0:
                self.porter_lines[returner].drop(back, i)
        self.room[i] = NOBODY
        self.cost_now += self.missing_cost[i] - spot.cost
        return spot

    def change_jobs(self, told: dict[int, Jobs]) -> dict[int, Jobs]:
        """Give placed exams' ways to other porters, all at once; what they were before."""
        before = {i: self.jobs[i] for i in told}
        for jobs, act in ((before, Line.drop), (told, None)):
            for i, (fetcher, fetch, returner, back) in jobs.items():
                for porter, start in ((fetcher, fetch), (returner, back)):
                    if porter < 0 or not self.way[i]:
                        continue
                    line = self.porter_lines[porter]
                    if act:
                        line.drop(start, i)
                    else:
                        line.add(start, start + self.way[i], i)
        for i, now in told.items():
            self.jobs[i] = now
        return before

    # -- looking for a place -----------------------------------------------------------------------------

    def bounds(self, i: int) -> tuple[int, int]:
        """The first minute at which an exam may start, and the last minute by which it must have ended.

        Those that it comes after must be placed: NEVER where one is not.
        """
        first, last = self.ready[i], NEVER
        for other in self.after[i]:
            if self.room[other] < 0:
                return NEVER, NEVER
            first = max(first, self.start[other] + self.minutes[other][self.room[other]])
        for other in self.followers[i]:
            if self.room[other] >= 0:
                last = min(last, self.start[other])
        return first, last

    def someone(self, i: int, start: int, end: int) -> int:
        """A technologist who can do the exam then: the one booked, else whoever has the fewest other skills; -2 where nobody can."""
        if not self.limited:
            return NOBODY
        hint = self.booked_person[i]
        if hint >= 0 and hint in self.people_for[i] and self.person_lines[hint].free(start, end):
            return hint
        lines = self.person_lines
        for t in self.people_for[i]:
            if lines[t].free(start, end):
                return t
        return NO_ONE

    def porters(self, i: int, start: int, end: int) -> Jobs | None:
        """Porters for both ways, as late as can be and as soon as can be; None where somebody is lacking."""
        way = self.way[i]
        if way < 0:
            return NO_JOBS
        earliest, latest = max(self.now, start - FETCH_EARLY_MINUTES - way), start - way
        if latest < earliest:
            return None
        if not self.porters_limited:
            return (NOBODY, latest, NOBODY, end)
        if not way:
            return self._no_way(start, end)
        best, fetcher = -NEVER, NOBODY
        for q, line in enumerate(self.porter_lines):
            at = line.last_free(latest, way)
            if at > best:
                best, fetcher = at, q
                if at == latest:
                    break
        if best < earliest:
            return None
        soonest, returner = NEVER, NOBODY
        for q, line in enumerate(self.porter_lines):
            at = line.next_free(end, way)
            if at < soonest:
                soonest, returner = at, q
                if at == end:
                    break
        if soonest > end + RETURN_LATE_MINUTES:
            return None
        return (fetcher, best, returner, soonest)

    def _no_way(self, start: int, end: int) -> Jobs | None:
        """Porters for a patient who is next door: a way of no length holds nobody up, but needs somebody who is on."""
        fetches, backs = [], []
        for q, porter in enumerate(self.problem.porters or ()):
            for a, b in porter.on:
                first, last = max(a, self.now, start - FETCH_EARLY_MINUTES), min(b, start)
                if first <= last:
                    fetches.append((-last, q))
                first, last = max(a, end), min(b, end + RETURN_LATE_MINUTES)
                if first <= last:
                    backs.append((first, q))
        if not fetches or not backs:
            return None
        (fetch, fetcher), (back, returner) = min(fetches), min(backs)
        return (fetcher, -fetch, returner, back)

    def fits(self, i: int, room: int, start: int) -> Spot | None:
        """The place in a room at a minute, with whoever it needs; None where it does not fit."""
        minutes = self.minutes[i].get(room)
        if minutes is None:
            return None
        first, last = self.bounds(i)
        end = start + minutes
        if start < first or end > last:
            return None
        if not self.room_lines[room].free(start, end + self.cleaning[i]):
            return None
        if not self.patient_lines[self.patient[i]].free(start, end):
            return None
        person = self.someone(i, start, end)
        if person == NO_ONE:
            return None
        jobs = self.porters(i, start, end)
        if jobs is None:
            return None
        return Spot(self.own_cost(i, room, start), room, start, person, jobs)

    def first_from(self, i: int, room: int, since: int, until: int) -> Spot | None:
        """The first place in a room that starts from `since` to `until`, both counted."""
        minutes = self.minutes[i][room]
        hold = minutes + self.cleaning[i]
        line, patient = self.room_lines[room], self.patient_lines[self.patient[i]]
        at = since
        while at <= until:
            later = line.next_free(at, hold)
            later = patient.next_free(later, minutes)
            if later > at:
                at = later
                continue
            person = self.someone(i, at, at + minutes)
            if person == NO_ONE:
                at = self._next_person(i, at, minutes)
                continue
            jobs = self.porters(i, at, at + minutes)
            if jobs is None:
                at = self.next_porters(i, at, minutes)
                continue
            return Spot(self.own_cost(i, room, at), room, at, person, jobs)
        return None

    def _next_person(self, i: int, at: int, minutes: int) -> int:
        lines = self.person_lines
        return max(min((lines[t].next_free(at, minutes) for t in self.people_for[i]), default=NEVER), at + 1)

    def next_porters(self, i: int, at: int, minutes: int) -> int:
        """The next start worth trying: before it one of the two ways has nobody."""
        way = self.way[i]
        earliest = max(self.now, at - FETCH_EARLY_MINUTES - way)
        if not self.porters_limited:
            return max(at + 1, self.now + way)
        if not way:
            return at + 1
        fetch = min((line.next_free(earliest, way) for line in self.porter_lines), default=NEVER) + way
        end = at + minutes
        back = min((line.next_free(end, way) for line in self.porter_lines), default=NEVER)
        return max(at + 1, fetch, back - RETURN_LATE_MINUTES - minutes)

    def last_until(self, i: int, room: int, since: int, until: int) -> Spot | None:
        """The last place in a room that starts from `since` to `until`, both counted."""
        minutes = self.minutes[i][room]
        hold = minutes + self.cleaning[i]
        line, patient = self.room_lines[room], self.patient_lines[self.patient[i]]
        at = until
        while at >= since:
            sooner = line.last_free(at, hold)
            sooner = patient.last_free(sooner, minutes)
            if sooner < at:
                at = sooner
                continue
            person = self.someone(i, at, at + minutes)
            if person == NO_ONE:
                lines = self.person_lines
                sooner = max((lines[t].last_free(at, minutes) for t in self.people_for[i]), default=-NEVER)
                at = min(sooner, at - 1)
                continue
            jobs = self.porters(i, at, at + minutes)
            if jobs is None:
                at = self._sooner_porters(i, at, minutes)
                continue
            return Spot(self.own_cost(i, room, at), room, at, person, jobs)
        return None

    def _sooner_porters(self, i: int, at: int, minutes: int) -> int:
        """The next start worth trying, going backwards: after it one of the two ways has nobody."""
        way = self.way[i]
        if not self.porters_limited:
            return at - 1 if at - way >= self.now else -NEVER
        if not way:
            return at - 1
        fetch = max((line.last_free(at - way, way) for line in self.porter_lines), default=-NEVER)
        back = max(
            (line.last_free(at + minutes + RETURN_LATE_MINUTES, way) for line in self.porter_lines),
            default=-NEVER,
        )
        return min(at - 1, fetch + way + FETCH_EARLY_MINUTES, back - minutes)

    def cheapest(self, i: int, limit: float = float("inf"), *, room: int | None = None) -> Spot | None:
        """The cheapest place for an exam that costs less than `limit`, everybody else staying where they are.

        In each room what costs least lies next to the minute that would cost nothing, before or
        after it: cost only rises from there in both directions.
        """
        first, last = self.bounds(i)
        if first >= NEVER:
            return None
        best: Spot | None = None
        booked, per_room = self.booked_room[i], self.per_room[i]
        rooms = self.minutes[i] if room is None else {room: self.minutes[i][room]}
        order = sorted(rooms, key=lambda r: r != booked) if booked in rooms else rooms
        for r in order:
            extra = per_room if booked >= 0 and r != booked else 0.0
            if extra >= limit:
                continue
            until = last - rooms[r]
            for spot in self._near(i, r, first, until, limit):
                if spot.cost < limit:
                    best, limit = spot, spot.cost
        return best

    def _near(self, i: int, room: int, first: int, until: int, limit: float) -> Iterable[Spot]:
        if self.per_minute[i] <= 0.0:
            spot = self.first_from(i, room, first, min(until, self._latest(i, limit)))
            return (spot,) if spot else ()
        ideal = self.ideal(i, first)
        found = []
        reach = int(limit / self.per_minute[i]) + 1 if limit < NEVER else NEVER
        spot = self.first_from(i, room, max(first, ideal), min(until, self._latest(i, limit), ideal + reach))
        if spot:
            found.append(spot)
            limit = min(limit, spot.cost)
            reach = int(limit / self.per_minute[i]) + 1 if limit < NEVER else NEVER
        if ideal > first and not (spot and spot.start == ideal):
            spot = self.last_until(i, room, max(first, ideal - reach), min(until, ideal - 1))
            if spot:
                found.append(spot)
        return found

    def ideal(self, i: int, first: int) -> int:
        """The minute from `first` at which an exam costs least, whatever the room."""
        if self.per_minute[i] <= 0.0:
            return first
        start = self.booked_start[i]
        if self.weight[i] > self.per_minute[i]:
            start = min(start, self.due[i])
        return max(start, first)

    def _latest(self, i: int, limit: float) -> int:
        """A start after it costs as much as `limit`, or more."""
        if self.due[i] >= NEVER or self.weight[i] <= 0.0 or limit >= NEVER:
            return NEVER
        return self.due[i] + int(limit / self.weight[i]) + 1

    # -- plans -----------------------------------------------------------------------------------------

    def spot_of(self, placed: Placed) -> Spot:
        """A place of a plan in numbers."""
        i, room = self.number[placed.exam], self.room_number[placed.room]
        person = self.person_number[placed.technologist] if placed.technologist is not None else NOBODY
        fetch, back = placed.fetch, placed.back

        def porter(job: Job | None) -> int:
            return self.porter_number[job.porter] if job and job.porter is not None else NOBODY

        jobs = (porter(fetch), fetch.start if fetch else 0, porter(back), back.start if back else 0)
        return Spot(self.own_cost(i, room, placed.start), room, placed.start, person, jobs)

    def stands(self, i: int, spot: Spot) -> bool:
        """Whether just this place, with just these people, is free for the exam."""
        minutes = self.minutes[i].get(spot.room)
        if minutes is None:
            return False
        first, last = self.bounds(i)
        start, end = spot.start, spot.start + minutes
        if start < first or end > last or not self.room_lines[spot.room].free(start, end + self.cleaning[i]):
            return False
        if not self.patient_lines[self.patient[i]].free(start, end):
            return False
        if self.limited and (
            spot.technologist not in self.people_for[i]
            or not self.person_lines[spot.technologist].free(start, end)
        ):
            return False
        return self._jobs_stand(i, spot.jobs, start, end)

    def _jobs_stand(self, i: int, jobs: Jobs, start: int, end: int) -> bool:
        way = self.way[i]
        if way < 0:
            return True
        fetcher, fetch, returner, back = jobs
        if fetch < self.now or not start - FETCH_EARLY_MINUTES <= fetch + way <= start:
            return False
        if not end <= back <= end + RETURN_LATE_MINUTES:
            return False
        if not self.porters_limited:
            return True
        lines = self.porter_lines
        return (
            fetcher >= 0
            and returner >= 0
            and self.can_go(lines[fetcher], fetcher, fetch, way)
            and self.can_go(lines[returner], returner, back, way)
        )

    def can_go(self, line: Line, porter: int, start: int, way: int) -> bool:
        """Whether a porter with that line can go a way then."""
        if way:
            return line.free(start, start + way)
        # A way of no length holds nobody up, but needs somebody who is on.
        return any(a <= start <= b for a, b in (self.problem.porters or ())[porter].on)

    def placed(self, i: int) -> Placed | None:
        """Where an exam stands, in the problem's words; None where it has no place."""
        if self.room[i] < 0:
            return None
        fetcher, fetch, returner, back = self.jobs[i]
        way = self.way[i]
        person = self.person_ids[self.person[i]] if self.person[i] >= 0 else None

        def job(porter: int, start: int) -> Job:
            return Job(start, self.porter_ids[porter] if porter >= 0 else None)

        return Placed(
            exam=self.exam_ids[i],
            room=self.room_ids[self.room[i]],
            start=self.start[i],
            technologist=person,
            fetch=job(fetcher, fetch) if way >= 0 and not self.fixed[i] else None,
            back=job(returner, back) if way >= 0 else None,
        )

    def plan(self, lower_bound: float | None = None) -> Plan:
        """The plan as it stands, with its cost added up anew."""
        every = [self.placed(i) for i in range(self.count)]
        return Plan(
            placed=tuple(p for p in every if p is not None),
            unplanned=tuple(self.exam_ids[i] for i, p in enumerate(every) if p is None),
            cost=sum(self.cost_of(i) for i in range(self.count)),
            lower_bound=lower_bound,
        )

    def in_order(self, ranked: Iterable[int] | None = None) -> list[int]:
        """All exams so that each stands after those that it comes after; else `ranked` ones first, in their order."""
        rank = {i: k for k, i in enumerate(dict.fromkeys((*(ranked or ()), *range(self.count))))}
        left = [len(a) for a in self.after]
        free = [(rank[i], i) for i in rank if not left[i]]
        heapify(free)
        found = []
        while free:
            _, i = heappop(free)
            found.append(i)
            for other in self.followers[i]:
                left[other] -= 1
                if not left[other]:
                    heappush(free, (rank[other], other))
        return found


NO_ONE = -2
"""In place of a technologist's number: nobody could do it."""

MUST_COST = 1e9
"""Added to what it costs to leave out an exam that a fixed one comes after: it cannot be left out."""


def _hours_overlap(problem: Problem) -> bool:
    """Whether any hours overlap others of the same room or person: those are used more strictly than need be."""
    every = [r.open for r in problem.rooms]
    every += [t.on for t in problem.technologists or ()] + [p.on for p in problem.porters or ()]
    return any(b[0] < a[1] for spans in every for a, b in pairwise(sorted(spans)))


def day_of_plan(problem: Problem, plan: Plan) -> tuple[Day, list[int]]:
    """A day with a plan's exams in their places, as far as they can stand there; and those that cannot.

    Raises NoPlan.
    """
    day = Day(problem)
    spots = {day.number[p.exam]: day.spot_of(p) for p in plan.placed if not day.fixed[day.number[p.exam]]}
    lost = []
    for i in day.in_order():
        if i in spots:
            if day.stands(i, spots[i]):
                day.put(i, spots[i])
            else:
                lost.append(i)
    return day, lost
