"""Reading a planning problem or a plan from JSON that nobody vouches for, and writing plans.

Whatever breaks the format is refused by a sentence that names the exam and the field; nothing
that is read ends in any other error.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, NoReturn, TypeVar

from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Fixed,
    Interval,
    Job,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)

PROBLEM_FORMAT = "xraydesk.plan/1"
ANSWER_FORMAT = "xraydesk.plan-answer/1"

FILE_BYTES_MAX = 64_000_000
"""A longer file is refused unread: a thousand exams take a third of a million bytes."""

NUMBER_MAX = 1_000_000
"""Numbers beyond it are refused."""

TEXT_LENGTH_MAX = 200
"""So long may a name be."""

T = TypeVar("T")
_MISSING: Any = object()


class BadFile(Exception):
    """The file breaks the format; the sentence says which exam, field or line."""


class BadProblem(BadFile):
    """The file is no planning problem."""


class BadPlan(BadFile):
    """The file is no answer to a planning problem."""


def read_problem(data: bytes) -> Problem:
    """The planning problem of a file, checked as a whole. Raises BadProblem."""
    top = _Fields(_parse(data, BadProblem), "the problem", BadProblem)
    if top.text("format") != PROBLEM_FORMAT:
        top.refuse("format", f"is not {PROBLEM_FORMAT}")
    technologists = top.each("technologists", "technologist", _technologist, absent=None)
    porters = top.each("porters", "porter", _porter, absent=None)
    costs = top.object("costs", absent={})
    problem = Problem(
        start=_moment(top),
        now=top.time("now", absent=0),
        rooms=top.each("rooms", "room", _room) or (),
        technologists=technologists,
        porters=porters,
        travel=top.named("travel", absent={}),
        exams=top.each("exams", "exam", _exam) or (),
        unplanned_cost=_Fields(costs, "costs", BadProblem).number("unplanned", absent=1000),
    )
    _check_names(problem)
    _check_chains(problem)
    _check_fixed(problem)
    return problem


def read_plan(data: bytes) -> Plan:
    """The answer of a file, as it claims to be; `checker` judges it. Raises BadPlan."""
    top = _Fields(_parse(data, BadPlan), "the plan", BadPlan)
    if top.text("format") != ANSWER_FORMAT:
        top.refuse("format", f"is not {ANSWER_FORMAT}")
    return Plan(
        placed=top.each("exams", "exam", _placed, unique=False) or (),
        unplanned=tuple(top.texts("unplanned", absent=())),
        cost=top.number("cost", most=math.inf),
        lower_bound=top.number("lower_bound", absent=None, most=math.inf),
    )


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """A plan in the answer's format, exams in order of their start."""
    return {
        "format": ANSWER_FORMAT,
        "cost": plan.cost,
        "lower_bound": plan.lower_bound,
        "exams": [
            {
                "id": p.exam,
                "room": p.room,
                "start": p.start,
                "technologist": p.technologist,
                "fetch": _job_as_json(p.fetch),
                "return": _job_as_json(p.back),
            }
            for p in sorted(plan.placed, key=lambda p: (p.start, p.exam))
        ],
        "unplanned": sorted(plan.unplanned),
    }


def _job_as_json(job: Job | None) -> dict[str, Any] | None:
    return {"porter": job.porter, "start": job.start} if job else None


# -- the file as a whole -----------------------------------------------------------------------------


def _parse(data: bytes, error: type[BadFile]) -> dict[str, Any]:
    if len(data) > FILE_BYTES_MAX:
        raise error(f"The file is longer than {FILE_BYTES_MAX} bytes.")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        told = dict(found)
        if len(told) != len(found):
            (twice, _), *_ = Counter(name for name, _ in found).most_common(1)
            raise error(f"The name {_shown(twice)} stands twice in one object.")
        return told

    def constant(name: str) -> NoReturn:
        raise error(f"{name} is no number that can be planned with.")

    try:
        top = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError:
        raise error("The file is not UTF-8.") from None
    except RecursionError:
        raise error("The file nests lists or objects too deeply.") from None
    except json.JSONDecodeError as wrong:
        raise error(f"The file is no JSON: {wrong.msg} in line {wrong.lineno}.") from None
    except ValueError:
        # An integer of thousands of digits: Python refuses to read it.
        raise error("A number in the file is too long.") from None
    if not isinstance(top, dict):
        raise error("The file is not one JSON object.")
    return top


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else type(value).__name__
    return repr(text if len(text) <= 40 else text[:37] + "...")


class _Fields:
    """One object of the file, asked for its fields by name and kind; refuses what is of another."""

    def __init__(self, data: Any, who: str, error: type[BadFile]) -> None:
        if not isinstance(data, dict):
            raise error(f"{who[0].upper()}{who[1:]} is not an object.")
        self.data, self.who, self.error = data, who, error

    def refuse(self, field: str, what: str) -> NoReturn:
        raise self.error(f"{self.who[0].upper()}{self.who[1:]}: {field} {what}.")

    def get(self, field: str, absent: Any) -> Any:
        """The value; `absent` where it is not there. Null counts as absent where that is allowed."""
        value = self.data.get(field, _MISSING)
        if value is _MISSING or (value is None and absent is not _MISSING):
            if absent is _MISSING:
                self.refuse(field, "is missing")
            return absent
        return value

    def text(self, field: str, absent: Any = _MISSING) -> Any:
        value = self.get(field, absent)
        if value is not absent:
            self._check_text(field, value)
        return value

    def _check_text(self, field: str, value: Any) -> None:
        if not isinstance(value, str) or not value or len(value) > TEXT_LENGTH_MAX:
            self.refuse(field, f"is not a text of 1 to {TEXT_LENGTH_MAX} characters")
        if not value.isprintable():
            self.refuse(field, "has characters that cannot be shown")

    def texts(self, field: str, absent: Any = _MISSING) -> Iterable[str]:
        value = self.get(field, absent)
        if value is absent:
            return tuple(absent)
        if not isinstance(value, list):
            self.refuse(field, "is not a list")
        for one in value:
            self._check_text(field, one)
        if len(set(value)) != len(value):
            self.refuse(field, "names one twice")
        return tuple(value)

    def number(
        self, field: str, absent: Any = _MISSING, *, least: float = 0, most: float = NUMBER_MAX
    ) -> Any:
        value = self.get(field, absent)
        if value is absent:
            return absent
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(field, "is not a number")
        # Above that an integer may be too long for a float.
        if isinstance(value, int) and abs(value) > 10**300:
            self.refuse(field, "is too large")
        if not math.isfinite(value) or not least <= value <= most:
            self.refuse(field, f"is not between {least:g} and {most:g}")
        return value

    def whole(self, field: str, absent: Any = _MISSING, *, least: int = 0) -> Any:
        value = self.number(field, absent, least=least)
        if value is absent:
            return absent
        if isinstance(value, float):
            if not value.is_integer():
                self.refuse(field, "is not a whole number of minutes")
            value = int(value)
        return value

    def time(self, field: str, absent: Any = _MISSING) -> Any:
        """A whole minute from the problem's start; what lies before it is negative."""
        return self.whole(field, absent, least=-NUMBER_MAX)

    def object(self, field: str, absent: Any = _MISSING) -> dict[str, Any]:
        value = self.get(field, absent)
        if not isinstance(value, dict):
            self.refuse(field, "is not an object")
        return value

    def named(self, field: str, absent: Any = _MISSING, *, least: int = 0) -> dict[str, int]:
        """An object of whole minutes by name: of rooms, of wards."""
        value = self.object(field, absent)
        for name in value:
            self._check_text(f"{field}, a name in it,", name)
        each = _Fields(value, f"{self.who}, {field}", self.error)
        return {name: each.whole(name, least=least) for name in value}

    def part(self, field: str) -> _Fields | None:
        """An object that may be null or absent."""
        value = self.get(field, None)
        return None if value is None else _Fields(value, f"{self.who}, {field}", self.error)

    def intervals(self, field: str) -> tuple[Interval, ...]:
        """Half-open pairs of whole minutes in order of time.

        One of no length holds nothing and is left away; those that overlap stand as they are.
        """
        value = self.get(field, _MISSING)
        if not isinstance(value, list):
            self.refuse(field, "is not a list of pairs")
        found = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2:
                self.refuse(field, "holds something that is no pair")
            both = _Fields({"from": pair[0], "until": pair[1]}, f"{self.who}, {field}", self.error)
            first, last = both.time("from"), both.time("until")
            if last < first:
                self.refuse(field, f"has an interval that ends before it starts ({first} to {last})")
            if last > first:
                found.append((first, last))
        return tuple(sorted(found))

    def each(
        self,
        field: str,
        kind: str,
        read: Callable[[_Fields, str], T],
        *,
        absent: Any = _MISSING,
        unique: bool = True,
    ) -> tuple[T, ...] | None:
        """A list of objects that each have an `id` of their own."""
        value = self.get(field, absent)
        if value is None:
            return None
        if not isinstance(value, list):
            self.refuse(field, "is not a list")
        found, seen = [], set()
        for number, one in enumerate(value, 1):
            name = _Fields(one, f"{kind} number {number}", self.error).text("id")
            if unique and name in seen:
                raise self.error(f"{kind.capitalize()} {_shown(name)} stands there twice.")
            seen.add(name)
            found.append(read(_Fields(one, f"{kind} {name}", self.error), name))
        return tuple(found)


def _moment(top: _Fields) -> datetime:
    text = top.text("start")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        top.refuse("start", "is no time of ISO 8601")
    if at.tzinfo is None:
        top.refuse("start", "says no offset")
    return at


# -- what stands in it -------------------------------------------------------------------------------


def _room(fields: _Fields, name: str) -> Room:
    return Room(name, fields.intervals("open"))


def _technologist(fields: _Fields, name: str) -> Technologist:
    return Technologist(name, fields.intervals("on"), frozenset(fields.texts("skills", absent=())))


def _porter(fields: _Fields, name: str) -> Porter:
    return Porter(name, fields.intervals("on"))


def _exam(fields: _Fields, name: str) -> Exam:
    minutes = fields.named("minutes", least=1)
    if not minutes:
        fields.refuse("minutes", "names no room")
    return Exam(
        id=name,
        patient=fields.text("patient"),
        minutes=minutes,
        priority=_priority(fields),
        ready=fields.time("ready", absent=0),
        due=fields.time("due", absent=None),
        weight=fields.number("weight", absent=1),
        cleaning=fields.whole("cleaning", absent=0),
        skills=frozenset(fields.texts("skills", absent=())),
        origin=fields.text("from", absent=None),
        after=tuple(fields.texts("after", absent=())),
        booked=_booked(fields.part("booked")),
        fixed=_fixed(fields.part("fixed")),
    )


def _priority(fields: _Fields) -> str:
    value = fields.get("priority", "")
    return fields.text("priority") if value != "" else ""


def _booked(fields: _Fields | None) -> Booked | None:
    if fields is None:
        return None
    return Booked(
        room=fields.text("room"),
        start=fields.time("start"),
        technologist=fields.text("technologist", absent=None),
        per_minute=fields.number("per_minute", absent=0),
        per_room=fields.number("per_room", absent=0),
    )


def _fixed(fields: _Fields | None) -> Fixed | None:
    if fields is None:
        return None
    return Fixed(fields.text("room"), fields.time("start"), fields.text("technologist", absent=None))


def _placed(fields: _Fields, name: str) -> Placed:
    return Placed(
        exam=name,
        room=fields.text("room"),
        start=fields.time("start"),
        technologist=fields.text("technologist", absent=None),
        fetch=_job(fields.part("fetch")),
        back=_job(fields.part("return")),
    )


def _job(fields: _Fields | None) -> Job | None:
    return Job(fields.time("start"), fields.text("porter", absent=None)) if fields else None


# -- what must fit together --------------------------------------------------------------------------


def _check_names(problem: Problem) -> None:
    rooms = {r.id for r in problem.rooms}
    exams = {e.id for e in problem.exams}
    people = None if problem.technologists is None else {t.id for t in problem.technologists}
    for exam in problem.exams:

        def refuse(field: str, name: str, among: str, exam: Exam = exam) -> NoReturn:
            raise BadProblem(f"Exam {exam.id}: {field} names {_shown(name)}, which is not among the {among}.")

        for room in exam.minutes:
            if room not in rooms:
                refuse("minutes", room, "rooms")
        for other in exam.after:
            if other not in exams:
                refuse("after", other, "exams")
        if exam.origin is not None and exam.origin not in problem.travel:
            refuse("from", exam.origin, "wards of travel")
        for field, place in (("booked", exam.booked), ("fixed", exam.fixed)):
            if place is None:
                continue
            if place.room not in rooms:
                refuse(field, place.room, "rooms")
            if people is not None and place.technologist is not None and place.technologist not in people:
                refuse(field, place.technologist, "technologists")


def _check_chains(problem: Problem) -> None:
    """No exam comes after itself, by whatever way round."""
    left = {e.id: set(e.after) for e in problem.exams}
    followers: dict[str, list[str]] = {}
    for exam in problem.exams:
        for other in exam.after:
            followers.setdefault(other, []).append(exam.id)
    free = [name for name, others in left.items() if not others]
    done = 0
    while free:
        done += 1
        name = free.pop()
        for follower in followers.get(name, ()):
            left[follower].discard(name)
            if not left[follower]:
                free.append(follower)
    if done < len(left):
        stuck = sorted(name for name, others in left.items() if others)
        raise BadProblem(f"Exam {stuck[0]}: after leads back to itself.")


def _check_fixed(problem: Problem) -> None:
    """A fixed exam lies in its room's hours and its technologist's shift, and on top of no other fixed exam."""
    rooms = {r.id: _Reach(r.open) for r in problem.rooms}
    people = {t.id: _Reach(t.on) for t in problem.technologists or ()}
    taken: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    ends: dict[str, int] = {}
    for exam in problem.exams:
        fixed = exam.fixed
        if fixed is None:
            continue
        if fixed.room not in exam.minutes:
            raise BadProblem(f"Exam {exam.id}: fixed in {fixed.room}, which its minutes do not name.")
        end = ends[exam.id] = fixed.start + exam.minutes[fixed.room]
        _inside(exam, rooms[fixed.room], fixed.start, end + exam.cleaning, f"the hours of room {fixed.room}")
        holds = [("room", fixed.room, end + exam.cleaning), ("patient", exam.patient, end)]
        if problem.technologists is not None:
            if fixed.technologist is None:
                raise BadProblem(
                    f"Exam {exam.id}: fixed names no technologist, and technologists are limited."
                )
            shift = f"a shift of technologist {fixed.technologist}"
            _inside(exam, people[fixed.technologist], fixed.start, end, shift)
            holds.append(("technologist", fixed.technologist, end))
        for kind, name, until in holds:
            taken.setdefault((kind, name), []).append((fixed.start, until, exam.id))
    for (kind, name), spans in taken.items():
        spans.sort()
        for (_, until, one), (start, _, other) in pairwise(spans):
            if start < until:
                raise BadProblem(f"Exam {other}: fixed on top of exam {one}, which has {kind} {name} then.")
    _check_fixed_order(problem, ends)


def _check_fixed_order(problem: Problem, ends: Mapping[str, int]) -> None:
    for exam in problem.exams:
        for other in exam.after if exam.fixed else ():
            if exam.fixed and other in ends and ends[other] > exam.fixed.start:
                raise BadProblem(
                    f"Exam {exam.id}: fixed before exam {other} has ended, which it comes after."
                )


def _inside(exam: Exam, hours: _Reach, start: int, end: int, what: str) -> None:
    if not hours.holds(start, end):
        raise BadProblem(f"Exam {exam.id}: fixed outside {what}.")


class _Reach:
    """Intervals asked many times whether one of them holds a stretch, however many there are."""

    def __init__(self, intervals: tuple[Interval, ...]) -> None:
        self.starts = [first for first, _ in intervals]
        self.furthest = list(accumulate((last for _, last in intervals), max))
        """How far one reaches that begins here or before."""

    def holds(self, start: int, end: int) -> bool:
        """One interval begins by `start` and ends no earlier than `end`."""
        i = bisect_right(self.starts, start)
        return i > 0 and self.furthest[i - 1] >= end
