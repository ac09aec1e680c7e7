"""One day in fast time: what happens when, on one floor, under one policy. Pure; minute by minute where anything happens."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from xraydesk.scheduling.engine.problem import Placed, Technologist
from xraydesk.simulation.department import MIDNIGHT, DepartmentDay, minutes_in, within
from xraydesk.simulation.desks import Desk, Watch
from xraydesk.simulation.floor import Case, Errand, Floor, Running, State, last_closing
from xraydesk.simulation.outcome import DayOutcome, End, Ending, Use
from xraydesk.simulation.policy import Policy
from xraydesk.simulation.scenario import Scenario
from xraydesk.simulation.world import Breakdown, Patient, World

EARLY_MINUTES = 25
"""Whoever is here is taken so much before their place where the room is free, and nobody is kept out by it."""

NO_SHOW_MINUTES = 30
"""An appointment is given up so long after its time."""

OVERTIME_LOOK_MINUTES = 120
"""So long before the last room closes it is first asked who has to be seen after hours."""

EVENTS_MAX = 200_000
"""No day has more."""


class Happens(IntEnum):
    """What can happen, in the order in which it does within a minute."""

    ENDED = 0
    PORTER_FREE = 1
    BROKEN = 2
    MENDED = 3
    SETS_OUT = 4
    HERE = 5
    ORDERED = 6
    GIVEN_UP = 7
    PATIENCE_ENDS = 8
    ANSWERED = 9
    LOOK = 10


@dataclass(frozen=True)
class _Event:
    happens: Happens
    case: Case | None = None
    room: str = ""
    porter: str = ""
    breakdown: Breakdown | None = None


class NeverEnds(RuntimeError):
    """A simulated day has more events than any day has; that is a fault of the simulation."""


def run_day(
    world: World,
    department: DepartmentDay,
    scenario: Scenario,
    policy: Policy,
    *,
    watch: Watch | None = None,
) -> DayOutcome:
    """What became of everybody on one day under a policy. `watch` is shown each decision."""
    return _Day(world, department, scenario, policy, watch).run()


class _Day:
    def __init__(
        self,
        world: World,
        department: DepartmentDay,
        scenario: Scenario,
        policy: Policy,
        watch: Watch | None,
    ) -> None:
        self.world, self.scenario, self.policy = world, scenario, policy
        self.department = department
        self.floor = Floor(department, department.longer(scenario.overtime_minutes_max))
        self.desk = Desk(self.floor, policy, watch=watch)
        self.overtime_from = last_closing(department) - OVERTIME_LOOK_MINUTES
        self.events: list[tuple[int, int, int, _Event]] = []
        self.count = 0
        self.changed = False
        self.looks: set[int] = set()
        self.room_minutes: dict[str, int] = dict.fromkeys((r.id for r in department.rooms), 0)
        self.person_minutes: dict[str, int] = dict.fromkeys((t.id for t in department.technologists or ()), 0)
        self.porter_minutes: dict[str, int] = dict.fromkeys((p.id for p in department.porters or ()), 0)
        self.busy: set[str] = set()
        self.pressing: list[Case] = []
        """Who has come since it was last asked whether others should give way."""
        self.on = {t.id: t for t in department.technologists or ()}
        self.on_overtime = {t.id: t for t in self.floor.overtime.technologists or ()}

    # -- time ----------------------------------------------------------------------------------

    def at(self, minute: int, event: _Event) -> None:
        """Something will happen."""
        self.count += 1
        if self.count > EVENTS_MAX:
            raise NeverEnds(f"Day {self.world.day} of {self.policy.name} does not come to an end.")
        heapq.heappush(self.events, (max(minute, self.floor.now), int(event.happens), self.count, event))

    def run(self) -> DayOutcome:
        """From midnight to midnight; what is under way then is seen to its end."""
        for patient in self.world.patients:
            self._expect(patient)
        for breakdown in self.world.breakdowns:
            self.at(breakdown.at, _Event(Happens.BROKEN, room=breakdown.room, breakdown=breakdown))
        floor = self.floor
        while self.events:
            floor.now = self.events[0][0]
            while self.events and self.events[0][0] == floor.now:
                event = heapq.heappop(self.events)[3]
                if floor.now < MIDNIGHT or event.happens is Happens.ENDED:
                    _FOLLOWS[event.happens](self, event)
            if floor.now >= MIDNIGHT:
                continue
            if self.changed:
                self.changed = False
                self.desk.decide(overtime=floor.now >= self.overtime_from)
                self._ask()
            self._act()
        return self._outcome()

    def _expect(self, patient: Patient) -> None:
        case = Case(patient, told=patient.told, told_first=patient.told)
        if patient.told is None:
            self.at(patient.ordered or 0, _Event(Happens.ORDERED, case))
            return
        case.place = Placed(case.id, patient.room, patient.told, patient.technologist)
        case.expected = patient.told
        self.floor.cases[case.id] = case
        self.at(patient.told - self.scenario.notice_minutes, _Event(Happens.SETS_OUT, case))

    # -- what happens to patients -----------------------------------------------------------------

    def ordered(self, event: _Event) -> None:
        """The desk hears of an exam."""
        case = _case(event)
        patient, now = case.patient, self.floor.now
        self.floor.cases[case.id] = case
        case.expected = now + (self.floor.way(case) if patient.fetched else patient.after)
        if not patient.fetched:
            self.at(now + patient.after, _Event(Happens.HERE, case))
        self.changed = True
        self.pressing.append(case)

    def sets_out(self, event: _Event) -> None:
        """Somebody leaves home for the time they were told; who was told a later one meanwhile leaves later."""
        case = _case(event)
        assert case.told is not None
        leaves = case.told - self.scenario.notice_minutes
        if leaves > self.floor.now:
            self.at(leaves, event)
            return
        if case.patient.absent:
            self.at(case.told + NO_SHOW_MINUTES, _Event(Happens.GIVEN_UP, case))
        else:
            self.at(case.told + case.patient.after, _Event(Happens.HERE, case))

    def here(self, event: _Event) -> None:
        """Somebody has come, or was brought."""
        case, now = _case(event), self.floor.now
        case.state, case.here_at = State.HERE, now
        on_time = case.told is not None and now <= case.told and case.place is not None
        self.changed = self.changed or not on_time
        if case.patient.patience is not None:
            self.at(max(now, case.since) + case.patient.patience, _Event(Happens.PATIENCE_ENDS, case))

    def given_up(self, event: _Event) -> None:
        """An appointment whose patient has not come."""
        case = _case(event)
        case.state, case.place = State.ABSENT, None
        self.changed = True

    def patience_ends(self, event: _Event) -> None:
        """Who has waited too long goes."""
        case = _case(event)
        if case.state is State.HERE:
            case.state, case.place = State.LEFT, None
            self.changed = True

    def ended(self, event: _Event) -> None:
        """An exam is over: the room and the technologist are free."""
        running = self.floor.rooms[event.room]
        case = running.case
        assert case is not None
        case.state, case.ended = State.DONE, self.floor.now
        if running.technologist is not None:
            self.busy.discard(running.technologist)
        running.case, running.technologist = None, None
        running.until = self.floor.now + self.department.cleaning
        if case.patient.fetched:
            self.floor.returns.append(case)
        self.changed = self.changed or self._somebody_waits()

    def _somebody_waits(self) -> bool:
        return any(
            c.state is State.HERE or (c.state is State.COMING and c.told is None)
            for c in self.floor.cases.values()
        )

    # -- rooms and porters --------------------------------------------------------------------------

    def broken(self, event: _Event) -> None:
        """A room breaks down; an exam under way there is brought to its end."""
        breakdown = event.breakdown
        assert breakdown is not None
        self.floor.rooms[event.room].down_until = breakdown.at + breakdown.told
        self.at(breakdown.at + breakdown.minutes, _Event(Happens.MENDED, room=event.room))
        self.changed = True

    def mended(self, event: _Event) -> None:
        """A room can be used again."""
        self.floor.rooms[event.room].down_until = None
        self.changed = True

    def porter_free(self, event: _Event) -> None:
        """A porter has brought somebody, or taken somebody back."""
        errand = self.floor.porters[event.porter]
        assert errand is not None
        self.floor.porters[event.porter] = None
        if not errand.back:
            self.here(_Event(Happens.HERE, errand.case))
        self.changed = self.changed or self._somebody_waits()

    # -- pressing ----------------------------------------------------------------------------------

    def answered(self, event: _Event) -> None:
        """A coordinator looks at a proposal, and accepts the best as it is now."""
        case = _case(event)
        if self.desk.presses(case):
            self.desk.ask_for(case, by_person=True)

    def _ask(self) -> None:
        """Whether moving others is worth it for those who press and have just come."""
        pressing, self.pressing = self.pressing, []
        for case in pressing:
            if self.desk.presses(case) and self.desk.ask_for(case, by_person=False):
                self.at(self.floor.now + self.scenario.answer_minutes, _Event(Happens.ANSWERED, case))

    # -- what is done -------------------------------------------------------------------------------

    def _act(self) -> None:
        """Begin what can begin, send porters where it is time, and remember when to look again."""
        self._send_porters()
        self._begin()
        self._look_again()

    def _begin(self) -> None:
        lists: dict[str, list[Case]] = {}
        for case in self.floor.waiting():
            if case.place is not None:
                lists.setdefault(case.place.room, []).append(case)
        for early in (0, EARLY_MINUTES):
            for room, running in self.floor.rooms.items():
                if (
                    running.case is None
                    and running.until <= self.floor.now
                    and running.down_until is None
                    and room in lists
                ):
                    following = self._next(lists[room], early)
                    if following is not None and self._begin_one(following, room, running):
                        lists[room].remove(following)

    def _next(self, listed: list[Case], early: int) -> Case | None:
        """Who is here and next in a room's list, up to so many minutes early, unless somebody who is to come has it before."""
        now = self.floor.now
        listed.sort(key=_start)
        others: list[Case] = []
        for case in listed:
            if _start(case) > now + early:
                return None
            if case.state is State.HERE:
                meets = any(_start(o) < now + case.patient.minutes for o in others if _start(o) > now)
                return None if meets else case
            if not (case.comes_by_appointment and _start(case) < now):
                others.append(case)
        return None

    def _begin_one(self, case: Case, room: str, running: Running) -> bool:
        now, patient = self.floor.now, case.patient
        who = self._technologist(case)
        if who is None and self.department.technologists is not None:
            return False
        if who is not None:
            self.busy.add(who)
            self.person_minutes[who] += patient.takes
            case.overtime = self._after_shift(who, now, now + patient.takes)
        self.room_minutes[room] += patient.takes
        case.state, case.begun, case.room, case.place = State.IN_ROOM, now, room, None
        running.case, running.technologist, running.until = case, who, now + patient.minutes
        self.at(now + patient.takes, _Event(Happens.ENDED, room=room))
        if patient.takes > patient.minutes:
            self.at(now + patient.minutes, _Event(Happens.LOOK))
        return True

    def _technologist(self, case: Case) -> str | None:
        """Whoever is planned for it, else whoever is free with the fewest other skills."""
        now, place = self.floor.now, case.place
        end = now + case.patient.minutes
        assert place is not None
        if place.technologist is not None and self._free(self.on_overtime, place.technologist, now, end):
            return place.technologist
        able = [t for t in self.on.values() if case.patient.skills <= t.skills]
        able.sort(key=lambda t: len(t.skills))
        return next((t.id for t in able if self._free(self.on, t.id, now, end)), None)

    def _free(self, on: dict[str, Technologist], who: str, first: int, last: int) -> bool:
        return who not in self.busy and who in on and within(on[who].on, first, last)

    def _after_shift(self, who: str, first: int, last: int) -> int:
        """Minutes of an exam that lie after the shift in which it begins, or after the last one before it."""
        ends = max((b for a, b in self.on[who].on if a <= first), default=first)
        return 0 if ends >= MIDNIGHT else max(0, last - max(first, ends))

    def _send_porters(self) -> None:
        floor, now = self.floor, self.floor.now
        if self.department.porters is None:
            for case in list(floor.returns):
                floor.returns.remove(case)
        todo: list[tuple[int, int, Case]] = [(c.ended or now, 0, c) for c in floor.returns]
        for case in floor.waiting():
            fetch = case.place.fetch if case.place else None
            if fetch is not None and case.state is State.COMING and fetch.start <= now:
                todo.append((fetch.start, 1, case))
        for _, fetch_it, case in sorted(todo, key=lambda t: (t[0], t[1], t[2].id)):
            self._send_porter(case, back=not fetch_it)

    def _send_porter(self, case: Case, *, back: bool) -> None:
        floor, now = self.floor, self.floor.now
        way = floor.way(case)
        takes = max(1, round(way * case.patient.way_percent[back] / 100))
        if self.department.porters is None:
            case.state, case.expected = State.ON_THE_WAY, now + way
            self.at(now + takes, _Event(Happens.HERE, case))
            return
        there = floor.overtime if back else self.department
        for porter in there.porters or ():
            if floor.porters[porter.id] is None and within(porter.on, now, now + way):
                floor.porters[porter.id] = Errand(case, back, now + way)
                self.porter_minutes[porter.id] += takes
                self.at(now + takes, _Event(Happens.PORTER_FREE, porter=porter.id))
                if back:
                    floor.returns.remove(case)
                else:
                    case.state, case.expected = State.ON_THE_WAY, now + way
                return

    def _look_again(self) -> None:
        """The next minute at which something planned is due."""
        now = self.floor.now
        times: list[int] = []
        for case in self.floor.waiting():
            place = case.place
            if place is None:
                continue
            if case.state is State.HERE:
                times += [place.start, place.start - EARLY_MINUTES]
                if place.start <= now:
                    # It could not begin: look at it anew as soon as that can be different.
                    times.append(now + 1)
            elif place.fetch is not None and case.state is State.COMING:
                times.append(place.fetch.start)
        later = [t for t in times if t > now]
        if later:
            minute = min(later)
            if minute < MIDNIGHT and minute not in self.looks:
                self.looks.add(minute)
                self.at(minute, _Event(Happens.LOOK))

    def looked(self, event: _Event) -> None:
        """Whoever was to begin by now and cannot is planned anew."""
        self.changed = self.changed or any(
            c.state is State.HERE and c.place is not None and self._held_up(c.place)
            for c in self.floor.waiting()
        )

    def _held_up(self, place: Placed) -> bool:
        """Whether somebody's turn has come and the room is not free for them, or it has passed."""
        running, now = self.floor.rooms[place.room], self.floor.now
        if place.start > now:
            return False
        return (
            place.start < now
            or running.case is not None
            or running.down_until is not None
            or running.until > now
        )

    # -- the end -------------------------------------------------------------------------------------

    def _outcome(self) -> DayOutcome:
        return DayOutcome(
            day=self.world.day,
            endings=tuple(_ending(case) for case in self.floor.cases.values()),
            rooms={r.id: Use(minutes_in(r.open), self.room_minutes[r.id]) for r in self.department.rooms},
            technologists={
                t.id: Use(minutes_in(t.on), self.person_minutes[t.id])
                for t in self.department.technologists or ()
            },
            porters={
                p.id: Use(minutes_in(p.on), self.porter_minutes[p.id]) for p in self.department.porters or ()
            },
        )


def _ending(case: Case) -> Ending:
    ends = {State.DONE: End.SEEN, State.LEFT: End.LEFT, State.ABSENT: End.ABSENT}
    patient = case.patient
    return Ending(
        id=case.id,
        kind=patient.kind,
        priority=patient.priority,
        end=ends.get(case.state, End.WAITING),
        ordered=patient.ordered,
        told_first=case.told_first,
        told_last=case.told,
        here=case.here_at,
        begun=case.begun,
        ended=case.ended,
        room=case.room,
        overtime=case.overtime,
        takes=patient.takes,
    )


def _case(event: _Event) -> Case:
    assert event.case is not None
    return event.case


def _start(case: Case) -> int:
    assert case.place is not None
    return case.place.start


_FOLLOWS: Mapping[Happens, Callable[[_Day, _Event], None]] = {
    Happens.ENDED: _Day.ended,
    Happens.PORTER_FREE: _Day.porter_free,
    Happens.BROKEN: _Day.broken,
    Happens.MENDED: _Day.mended,
    Happens.SETS_OUT: _Day.sets_out,
    Happens.HERE: _Day.here,
    Happens.ORDERED: _Day.ordered,
    Happens.GIVEN_UP: _Day.given_up,
    Happens.PATIENCE_ENDS: _Day.patience_ends,
    Happens.ANSWERED: _Day.answered,
    Happens.LOOK: _Day.looked,
}
