"""Places for one exam, or for several of one patient in one visit, over days and locations: what `ahead` offers. Pure.

A place is a room, a technologist, the patient, and whoever goes along: a porter each way, an
interpreter, an escort. First come places that lack nothing; then, where they are sooner, places
for which somebody has to give something up, each with what that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import merge
from itertools import islice, pairwise, permutations
from operator import attrgetter

from xraydesk.lib import clock
from xraydesk.scheduling.engine import words
from xraydesk.scheduling.engine.department import Department, Need, RoomTimes
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.propose import Finder, awkward
from xraydesk.scheduling.engine.spans import Span, Timeline
from xraydesk.scheduling.engine.words import Hindrance
from xraydesk.scheduling.states import Going

ASKS_MAX = 6
"""So many exams are planned together at most."""

ORDERS_MAX = 6
"""So many orders of the exams of one visit are tried."""

FIRSTS_MAX = 120
"""So many beginnings of a visit are tried on one day in each order, the earliest first."""

ALIKE_MAX = 2
"""So many rooms of one location are tried for beginnings of a visit at one moment."""

APART_MINUTES = 15
"""Without published times, places in one room begin so far apart, or as far as the exam is long."""

SPREAD_MINUTES = 60
"""Where few places are wanted, those of one day and location lie at least so far apart."""

SPREAD_A_DAY_MAX = 2
"""Where few places are wanted, so many of one day and location are offered."""

SOONER_MAX = 3
"""So many places are offered that are sooner but lack something."""

WALK_MINUTES = 5
"""From one room to another, undressing and dressing included."""

PAUSE_MINUTES_MAX = 120
"""In one visit nobody waits longer than this between two exams."""

FETCH_EARLY_MINUTES_MAX = 30
RETURN_LATE_MINUTES_MAX = 15
_STEP = timedelta(minutes=5)
_CHANGE_COST = timedelta(minutes=10)
"""Another room is worth so much more time in the house, and so is a prepared exam before a plain one."""


class Lack(StrEnum):
    """What a place can lack."""

    LATE = "later than due"
    ELSEWHERE = "another location"
    APART = "two locations"
    KEPT = "kept for others"
    UNPUBLISHED = "not a published time"
    NO_INTERPRETER = "no interpreter"
    NO_ESCORT = "no escort"
    NO_PORTER = "no porter"


_GIVEN_UP = frozenset({Lack.KEPT, Lack.UNPUBLISHED})


@dataclass(frozen=True)
class Lacking:
    """One thing that a place lacks, with a sentence for a coordinator."""

    what: Lack
    words: str
    waits: bool = False
    """True where a later place need not lack it, so that one is looked for."""


class HelperKind(StrEnum):
    """Who goes along."""

    PORTER = "porter"
    INTERPRETER = "interpreter"
    ESCORT = "escort"


@dataclass(frozen=True)
class Helper:
    """Somebody who goes along with patients, and when they are free. `languages` are in small letters."""

    key: int
    name: str
    kind: HelperKind
    free: Timeline
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ask:
    """One exam that is to have a place. `key` is its accession, or whatever tells it from the others.

    `travel` is how far it is for the porter who fetches the patient, None where none does;
    `language` the one for which an interpreter is needed, in small letters; `home` the location
    to stay in, 0 where any is as good; `after` codes of procedures that come first.
    """

    key: str
    code: str
    need: Need
    travel: timedelta | None = None
    language: str = ""
    escort: bool = False
    due_at: datetime | None = None
    home: int = 0
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Along:
    """Somebody whose time is kept beside the technologist's."""

    going: Going
    helper: Helper
    span: Span


@dataclass(frozen=True)
class Part:
    """One exam in its place. `here_at` is when its patient is to be here."""

    ask: Ask
    place: Place
    here_at: datetime


@dataclass(frozen=True)
class Offer:
    """All exams that were asked for in their places, in order of time, whoever goes along, and what is lacking."""

    parts: tuple[Part, ...]
    along: tuple[Along, ...] = ()
    lacks: tuple[Lacking, ...] = ()

    @property
    def start(self) -> datetime:
        """When the first exam begins."""
        return self.parts[0].place.start

    @property
    def end(self) -> datetime:
        """When the last exam ends."""
        return self.parts[-1].place.end

    @property
    def in_house(self) -> timedelta:
        """How long the patient is here."""
        return self.end - self.parts[0].here_at


@dataclass(frozen=True)
class Unfit:
    """Why exams cannot be at certain places; `taken` where only other bookings are in the way."""

    words: str
    taken: bool = False


class Search:
    """One department, its helpers and the exams of one patient, made ready to be asked for places.

    Raises ValueError where nothing, or more than ASKS_MAX, is asked for.
    """

    def __init__(self, department: Department, asks: Sequence[Ask], helpers: Sequence[Helper] = ()) -> None:
        if not 1 <= len(asks) <= ASKS_MAX:
            raise ValueError(f"between 1 and {ASKS_MAX} exams are planned together")
        self.department = department
        self.asks = tuple(asks)
        self.helpers = tuple(helpers)
        self.rooms = {room.room_id: room for room in department.rooms}
        self._finders = {
            by_hand: [_Asked(ask, Finder(department, ask.need, by_hand=by_hand)) for ask in asks]
            for by_hand in (False, True)
        }
        self._strict = {asked.ask.key: asked.finder for asked in self._finders[False]}

    def offers(
        self, *, since: datetime, until: datetime, count: int, spread: bool = False, sooner: bool = True
    ) -> list[Offer]:
        """The first `count` places that begin between two moments, those that lack nothing first.

        With `spread` they lie apart, over days, hours and locations. With `sooner` up to
        SOONER_MAX follow that begin before all of them and lack something, or take a room that is
        better left to others; where nothing else is to be had, `count` of those.
        """
        whole = self._gathered(since, until, count=count, spread=spread, give_up=False)
        if whole and not sooner:
            return whole
        before = whole[0].start if whole else until
        less = self._gathered(
            since, before, count=SOONER_MAX if whole else count, spread=spread, give_up=True
        )
        # Beginnings are tried at some distance from each other: over kept time the steps fall otherwise, and
        # may meet one, before all that were found, for which a helper is free.
        missed = [
            o for o in less if _lacks_nothing(o) and (not whole or self._rank(o) < self._rank(whole[0]))
        ]
        whole = (missed + whole)[:count]
        return whole + [o for o in less if not whole or o.start < whole[0].start]

    def exactly(self, places: Sequence[Place]) -> Offer | Unfit:
        """The exams at these rooms and times, in the order of the exams asked for; or why that cannot be.

        Whatever it lacks is told; it is for a person to mind or not.
        """
        parts: list[Part] = []
        for asked, place in zip(self._finders[True], places, strict=True):
            times = self.rooms.get(place.room_id)
            if times is None or not asked.ask.need.suits(times):
                return Unfit(f"{times.code} cannot do this exam" if times else "that room is not to be had")
            room = asked.finder.prepared(times)
            fitting = asked.finder.at(room, place.start)
            if place.start < asked.ask.need.now or fitting is None:
                obstacle = asked.finder.obstacle(room, place.start)
                if obstacle is None:
                    return Unfit("that time has passed")
                return Unfit(self._said(times, obstacle), taken=obstacle.what in words.TAKEN)
            parts.append(_part(asked.ask, fitting))
        parts.sort(key=lambda p: p.place.start)
        for first, then in pairwise(parts):
            if then.place.start < self._free_again(first, then.place.room_id):
                return Unfit("the patient cannot be in two rooms at once")
        return self._offer(tuple(parts))

    def _said(self, times: RoomTimes, obstacle: words.Obstacle) -> str:
        today = self.asks[0].need.now
        return words.obstacle_words(times.code, obstacle, today=today, zone=self.department.zone)

    # -- gathering ---------------------------------------------------------------------------------

    def _gathered(
        self, since: datetime, until: datetime, *, count: int, spread: bool, give_up: bool
    ) -> list[Offer]:
        kept: list[Offer] = []
        enough = count if len(self.asks) == 1 and not spread else None
        for day_since, day_until in self._days(since, until):
            of_day = self._of_day(day_since, day_until, give_up=give_up, enough=enough)
            found = sorted(of_day, key=self._rank)
            kept += _spread(found, self.rooms, most=max(2, count // 3)) if spread else found
            if len(kept) >= count:
                break
        return sorted(kept[:count], key=lambda o: (o.start, self._rank(o)))

    def _days(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        zone = self.department.zone
        day = clock.local_day(since, zone)
        while True:
            first, after = clock.day_bounds(day, zone)
            if first >= until:
                return
            yield max(first, since), min(after, until)
            day += timedelta(days=1)

    def _of_day(
        self, since: datetime, until: datetime, *, give_up: bool, enough: int | None
    ) -> Iterator[Offer]:
        """Places of one local day, at most one for each beginning of a visit in a room.

        Of one exam they come in order of time: once `enough` of them are as good as a place can be, none that begins
        later ranks before these.
        """
        best: dict[tuple[int, datetime], Offer] = {}
        ideal: list[datetime] = []
        for order in self._orders(self._finders[give_up]):
            for offer in self._chains(order, since, until):
                if enough and len(ideal) >= enough and offer.start > ideal[enough - 1]:
                    break
                if not give_up and any(lack.waits for lack in offer.lacks):
                    continue
                key = (offer.parts[0].place.room_id, offer.start)
                if key not in best or self._rank(offer) < self._rank(best[key]):
                    best[key] = offer
                if enough and self._rank(offer)[:2] == (0, 0):
                    ideal.append(offer.start)
        return iter(best.values())

    def _orders(self, asked: list[_Asked]) -> list[tuple[_Asked, ...]]:
        """Orders in which the exams can be done, plain ones before those that need preparation first."""
        usual = sorted(asked, key=lambda a: (a.ask.need.preparation, self.asks.index(a.ask)))
        found = []
        for order in permutations(usual):
            done: set[str] = set()
            for one in order:
                wanted = {other.ask.code for other in order} & one.ask.after
                if not wanted <= done:
                    break
                done.add(one.ask.code)
            else:
                found.append(order)
            if len(found) == ORDERS_MAX:
                break
        return found

    def _chains(self, order: tuple[_Asked, ...], since: datetime, until: datetime) -> Iterator[Offer]:
        first, *rest = order
        suited = [times for times in self.department.rooms if first.ask.need.suits(times)]
        begins = merge(*(first.places(times, since, until) for times in suited), key=attrgetter("start"))
        for place in islice(self._few(begins), FIRSTS_MAX) if rest else begins:
            parts = self._followed(_part(first.ask, place), rest, until)
            if parts:
                yield self._offer(parts)

    def _few(self, begins: Iterable[Place]) -> Iterator[Place]:
        """Of places that begin at one moment in one location no more than ALIKE_MAX."""
        alike: Counter[tuple[datetime, int]] = Counter()
        for place in begins:
            key = place.start, self.rooms[place.room_id].location
            alike[key] += 1
            if alike[key] <= ALIKE_MAX:
                yield place

    def _followed(self, first: Part, rest: list[_Asked], until: datetime) -> tuple[Part, ...]:
        """The other exams after the first one, each as soon as it can be, in the same room where that costs little."""
        parts = [first]
        for asked in rest:
            place = self._next(asked, parts[-1], until)
            if place is None:
                return ()
            parts.append(_part(asked.ask, place))
        return tuple(parts)

    def _next(self, asked: _Asked, part: Part, until: datetime) -> Place | None:
        """The best place after another exam: in the same location, in the same room unless that costs much, then the soonest."""
        latest = min(until, part.place.end + timedelta(minutes=PAUSE_MINUTES_MAX))
        here = self.rooms[part.place.room_id]
        suited = [times for times in self.department.rooms if asked.ask.need.suits(times)]
        best = self._soon(asked, part, here, latest) if here in suited else None
        bound = best.start - _CHANGE_COST if best else latest
        for near in (True, False):
            for times in suited:
                if times is here or (times.location == here.location) is not near:
                    continue
                place = self._soon(asked, part, times, bound)
                if place:
                    best, bound = place, place.start
            if best:
                return best
        return None

    def _soon(self, asked: _Asked, part: Part, times: RoomTimes, latest: datetime) -> Place | None:
        lower = self._free_again(part, times.room_id) + asked.ask.need.preparation
        return asked.first(
            times, asked.finder.aligned(max(lower, asked.finder.earliest(times))), before=latest
        )

    def _free_again(self, part: Part, room_id: int) -> datetime:
        """When the patient can be in that room after an exam."""
        same = part.place.room_id == room_id
        return part.place.end + (self.department.cleaning if same else timedelta(minutes=WALK_MINUTES))

    def _rank(self, offer: Offer) -> tuple[int, int, datetime, int]:
        """What is lacking, then rooms that are better left to others, then what it costs the patient.

        That is told as a moment: the start, and all time in the house beyond the exams.
        """
        exams = sum((p.place.end - p.place.start for p in offer.parts), timedelta())
        cost = offer.in_house - exams if len(offer.parts) > 1 else timedelta()
        for first, then in pairwise(offer.parts):
            cost += _CHANGE_COST * (first.place.room_id != then.place.room_id)
            cost += _CHANGE_COST * (first.ask.need.preparation > then.ask.need.preparation)
        awkwardness = sum(
            awkward(p.ask.need, self.rooms[p.place.room_id]) for p in offer.parts if not p.ask.need.prompt
        )
        sort = self.rooms[offer.parts[0].place.room_id].sort
        return len(offer.lacks), awkwardness, offer.start + cost, sort

    # -- what goes along, and what is lacking ----------------------------------------------------------

    def _offer(self, parts: tuple[Part, ...]) -> Offer:
        along: list[Along] = []
        lacks = self._lacks_of_places(parts)
        start, end = parts[0].here_at, parts[-1].place.end
        whole = Span(start, end)
        language = max(part.ask.language for part in parts)
        travel = max((part.ask.travel for part in parts if part.ask.travel is not None), default=None)
        if language:
            lacks += self._stays(along, Going.INTERPRETER, language, whole)
        if any(part.ask.escort for part in parts):
            lacks += self._stays(along, Going.ESCORT, "", whole)
        bedside = all(self.rooms[part.place.room_id].portable for part in parts)
        porters = [h for h in self.helpers if h.kind is HelperKind.PORTER]
        if travel is not None and porters and not bedside:
            lacks += self._brought(along, porters, whole, travel)
        return Offer(parts, tuple(along), tuple(lacks))

    def _stays(self, along: list[Along], going: Going, language: str, whole: Span) -> list[Lacking]:
        """Somebody who is there all the time."""
        kind = HelperKind(going.value)
        able = [h for h in self.helpers if h.kind is kind and (not language or language in h.languages)]
        for helper in able:
            if helper.free.covers(*whole):
                along.append(Along(going, helper, whole))
                return []
        if going is Going.ESCORT:
            return [Lacking(Lack.NO_ESCORT, "nobody is free to stay with the patient", waits=bool(able))]
        if able:
            return [Lacking(Lack.NO_INTERPRETER, f"no interpreter for {language} is free then", waits=True)]
        return [Lacking(Lack.NO_INTERPRETER, f"nobody here interprets {language}")]

    def _brought(
        self, along: list[Along], porters: list[Helper], whole: Span, travel: timedelta
    ) -> list[Lacking]:
        """A porter there and back before it, and there and back after it."""
        way = 2 * travel
        early = timedelta(minutes=FETCH_EARLY_MINUTES_MAX)
        late = timedelta(minutes=RETURN_LATE_MINUTES_MAX)
        fetch = _first_free(porters, [whole.start - step - way for step in _steps(early)], way)
        back = _first_free(porters, [whole.end + step for step in _steps(late)], way)
        found = ((Going.FETCH, fetch), (Going.RETURN, back))
        along += [Along(going, *job) for going, job in found if job]
        missing = [going.value for going, job in found if not job]
        said = {"fetch": "to fetch the patient", "return": "to take the patient back"}
        return [Lacking(Lack.NO_PORTER, f"no porter is free {said[one]}", waits=True) for one in missing]

    def _lacks_of_places(self, parts: tuple[Part, ...]) -> list[Lacking]:
        found: list[Lacking] = []
        places = {self.rooms[part.place.room_id].location for part in parts}
        home = parts[0].ask.home
        if home and places != {home}:
            found.append(Lacking(Lack.ELSEWHERE, "in another location"))
        if len(places) > 1:
            found.append(Lacking(Lack.APART, "in two locations"))
        for part in parts:
            late = part.place.end - part.ask.due_at if part.ask.due_at else timedelta()
            if late > timedelta():
                found.append(Lacking(Lack.LATE, f"{_length_words(late)} later than due"))
            times = self.rooms[part.place.room_id]
            against = self._strict[part.ask.key].against_rules(times, part.place.start)
            if against:
                what = Lack.KEPT if against.what is Hindrance.KEPT else Lack.UNPUBLISHED
                found.append(Lacking(what, self._said(times, against)))
        return found


@dataclass(frozen=True)
class _Asked:
    """One exam with its finder."""

    ask: Ask
    finder: Finder

    def first(self, times: RoomTimes, lower: datetime, *, before: datetime | None = None) -> Place | None:
        return self.finder.first(self.finder.prepared(times), lower, before=before)

    def places(self, times: RoomTimes, since: datetime, until: datetime) -> Iterator[Place]:
        """Places in one room that begin between two moments."""
        apart = timedelta(minutes=max(self.ask.need.minutes, APART_MINUTES))
        step = timedelta(minutes=1) if self.ask.need.ahead and times.published is not None else apart
        place = self.first(times, self.finder.aligned(max(since, self.finder.earliest(times))))
        while place and place.start < until:
            yield place
            place = self.first(times, place.start + step)


def _lacks_nothing(offer: Offer) -> bool:
    """Whether a place would do as well as any: nothing is given up for it that a later one need not give up."""
    return not any(lack.waits or lack.what in _GIVEN_UP for lack in offer.lacks)


def _part(ask: Ask, place: Place) -> Part:
    return Part(ask, place, place.start - ask.need.preparation)


def _steps(most: timedelta) -> list[timedelta]:
    return [_STEP * number for number in range(most // _STEP + 1)]


def _first_free(
    porters: list[Helper], starts: list[datetime], length: timedelta
) -> tuple[Helper, Span] | None:
    for start in starts:
        span = Span(start, start + length)
        for porter in porters:
            if porter.free.covers(*span):
                return porter, span
    return None


def _spread(offers: list[Offer], rooms: dict[int, RoomTimes], *, most: int) -> list[Offer]:
    """At most so many of one day, a few of each location that lie apart, the best first."""
    apart = timedelta(minutes=SPREAD_MINUTES)
    kept: list[Offer] = []
    by_location: dict[int, list[datetime]] = {}
    for offer in offers:
        starts = by_location.setdefault(rooms[offer.parts[0].place.room_id].location, [])
        if len(starts) < SPREAD_A_DAY_MAX and all(abs(offer.start - other) >= apart for other in starts):
            starts.append(offer.start)
            kept.append(offer)
    return kept[:most]


def _length_words(length: timedelta) -> str:
    """`40 min`, `3 h`, `2 days`."""
    minutes = int(length / timedelta(minutes=1))
    if minutes < 120:
        return f"{max(minutes, 1)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
