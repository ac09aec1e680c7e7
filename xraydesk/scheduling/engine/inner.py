"""The innermost loop of the search: taking exams out together and putting them back, tens of thousands of times a second.

It does what `together` tells and does, on the same day as rows of minutes: what Python's whole numbers are there, words of
sixty bits are here. It is written so that Numba can compile it, which `compiling` does once, when the program is installed: whole
numbers, arrays, records, and no objects. The same lines run as they stand, slowly, for tests.
"""

from __future__ import annotations

from math import log
from typing import Any, NamedTuple

import numpy as np

from xraydesk.scheduling.engine.problem import FETCH_EARLY_MINUTES, RETURN_LATE_MINUTES
from xraydesk.scheduling.engine.state import MUST_COST

BITS = 60
MASK = (1 << BITS) - 1

NONE = -1
FIXED = -2
"""In place of an option: without a place; with one that is not to be moved."""

FAR = 1 << 40
INF = float("inf")
EPSILON = 1e-6

SKIP = 0.03
BLINK = 0.1
WORTH_RESEATING = 0.5
OUT_MEAN = 5.0
OUT_NEW = 11.0
ROOMS_MAX = 3
ROOMS_NEW_MAX = 2
UNPLANNED_MAX = 4
POWER = 0.6
STOOD = 0.35
FEW = 0.5
LINE = 0.1
LINE_MEAN = 12.0
FIRST = 0.3
PACKED = 0.25
PACKED_NEW = 0.5
PUSH = 60.0
BACK_MINUTES = 20
REFRESH_TRIES = 64

PUSHED_MAX = 3
PUSH_SHARE = 0.005
PUSH_MOST = 1.0
PUSH_KEPT = 0.99
PUSH_HEAT = 1.0
"""Where so few have no place, each of them presses more from one look to the next, by such a share of what leaving it out costs, up
to such a share; with a place it presses less again. Below such a heat nobody presses any more."""

EXAM = np.dtype(
    [(name, "f8") for name in ("weight", "per_minute", "missing")]
    + [
        (name, "i8")
        for name in (
            "first", "due", "booked", "ideal", "patient", "shares", "way", "way_row", "length", "longest", "after", "followers",
            "links_end", "options", "options_end",
        )
    ]
)  # fmt: skip
"""An exam. `after`, `followers`, `options` are where those begin in their arrays, each up to where the next ones do."""

OPTION = np.dtype(
    [(name, "f8") for name in ("extra", "lean")]
    + [(name, "i8") for name in ("room", "minutes", "hold", "open", "team", "team_end")]
)
"""A room that an exam could have: its row of opening, who could do it there, and what it costs by itself."""

SEAT = np.dtype(
    [("cost", "f8")]
    + [(name, "i8") for name in ("option", "start", "end", "person", "fetcher", "fetch", "returner", "back")]
)
"""Where an exam is."""


class Board(NamedTuple):
    """A day, in arrays. What there is comes first, then where everybody is, then scraps of paper."""

    size: int
    people: int
    patients: int
    porters: int
    """The first row of `free` of technologists, of patients, of groups of porters; rooms are before."""
    limited: int
    exams: Any
    options: Any
    team: Any
    """Technologist, and row of when each is on."""
    rows: Any
    links: Any
    movable: Any
    walkers: Any
    groups: Any
    """By group of porters, how many they are, and for each length of way the row of when one can set out."""

    free: Any
    away: Any
    owner: Any
    """By technologist and minute, which exam that may move they are at."""
    line: Any
    """By room, how many exams that may move are in it, and which, in order of time."""
    seats: Any
    kept: Any
    old: Any
    told: Any
    """Where `move_to` is to put everybody."""
    spot: Any
    sums: Any
    total: Any
    """What all costs now; what the best seen costs; how much of what all costs now is pressing."""
    push: Any
    """By exam, how much it presses: what leaving it out costs beyond what that costs."""
    count: Any
    """Tries, touched, changed since the best was kept, without a place, pressing."""
    dice: Any

    touched: Any
    changed: Any
    unplanned: Any
    mark: Any
    out: Any
    order: Any
    key: Any
    starts: Any
    scratch: Any
    hopes: Any
    ranks: Any


TRIES, TOUCHED, CHANGED, UNPLANNED, PUSHED = range(5)
NOW, BEST, PRESSING = range(3)
IS_TOUCHED, IS_CHANGED, IS_OUT = range(3)

# -- chance, and rows of bits ---------------------------------------------------------------------------


def _random(dice: Any) -> float:
    """Evenly from 0 to 1 (Marsaglia's xorshift, 2003)."""
    x = dice[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    dice[0] = x
    return float(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def _below(dice: Any, n: int) -> int:
    return min(n - 1, int(_random(dice) * n))


def _expo(dice: Any, mean: float) -> float:
    return -mean * log(1.0 - _random(dice))


def _lowest(x: int) -> int:
    """The place of the lowest bit that is set."""
    n = 0
    for k in (32, 16, 8, 4, 2, 1):
        if x & ((1 << k) - 1) == 0:
            n += k
            x >>= k
    return n


def _highest(x: int) -> int:
    n = 0
    for k in (32, 16, 8, 4, 2, 1):
        if x >> k:
            n += k
            x >>= k
    return n


def _in_a_row(row: Any, length: int, word: int) -> None:
    """Leave the starts of so many minutes in a row."""
    last = row.shape[0] - 1
    have = 1
    while have < length:
        step = min(have, length - have, BITS - 1)
        for w in range(word, last):
            row[w] &= (row[w] >> step) | ((row[w + 1] << (BITS - step)) & MASK)
        row[last] &= row[last] >> step
        have += step


def _spread(row: Any, choices: int, later: bool, word: int) -> None:
    """Each bit also at so many places in all, from its own on, later or earlier."""
    last = row.shape[0] - 1
    have = 1
    while have < choices:
        step = min(have, choices - have, BITS - 1)
        if later:
            for w in range(last, word, -1):
                row[w] |= ((row[w] << step) & MASK) | (row[w - 1] >> (BITS - step))
            row[word] |= (row[word] << step) & MASK
        else:
            for w in range(word, last):
                row[w] |= (row[w] >> step) | ((row[w + 1] << (BITS - step)) & MASK)
            row[last] |= row[last] >> step
        have += step


def _and_moved(row: Any, other: Any, later: int, word: int) -> None:
    """Leave those whose place in the other row, so much later (or before, where below none), is set."""
    words = row.shape[0]
    skip = later // BITS
    by = later - skip * BITS
    for w in range(word, words):
        k = w + skip
        bits = 0
        if 0 <= k < words:
            bits = other[k] >> by
        if by and 0 <= k + 1 < words:
            bits |= (other[k + 1] << (BITS - by)) & MASK
        row[w] &= bits


def _first_from(row: Any, at: int) -> int:
    """The first bit from a place on; or NONE."""
    w = at // BITS
    if w >= row.shape[0]:
        return NONE
    bits = row[w] >> (at - w * BITS) << (at - w * BITS)
    while bits == 0:
        w += 1
        if w >= row.shape[0]:
            return NONE
        bits = row[w]
    return w * BITS + _lowest(bits)


def _last_before(row: Any, at: int, low: int) -> int:
    """The last bit before a place, and not before the other; or NONE."""
    if at <= low:
        return NONE
    at = min(at, row.shape[0] * BITS)
    w = (at - 1) // BITS
    bits = row[w] & (MASK >> (BITS - 1 - (at - 1 - w * BITS)))
    while bits == 0:
        w -= 1
        if w < low // BITS:
            return NONE
        bits = row[w]
    found = w * BITS + _highest(bits)
    return found if found >= low else NONE


def _has(row: Any, at: int) -> bool:
    w = at // BITS
    return bool((row[w] >> (at - w * BITS)) & 1)


def _has_all(row: Any, first: int, last: int) -> bool:
    w = first // BITS
    at = first
    while at < last:
        upto = min(last, (w + 1) * BITS)
        bits = (MASK >> (BITS - (upto - at))) << (at - w * BITS)
        if row[w] & bits != bits:
            return False
        at = upto
        w += 1
    return True


def _set(row: Any, first: int, last: int, free: bool) -> None:
    w = first // BITS
    at = first
    while at < last:
        upto = min(last, (w + 1) * BITS)
        bits = (MASK >> (BITS - (upto - at))) << (at - w * BITS)
        if free:
            row[w] |= bits
        else:
            row[w] &= ~bits
        at = upto
        w += 1


# -- putting and taking ----------------------------------------------------------------------------------


def _carry(b: Board, g: int, first: int, last: int, by: int) -> None:
    """One porter of a group more, or less, is away in those minutes."""
    most = b.groups[g, 0]
    row = b.free[b.porters + g]
    for k in range(first, last):
        before = b.away[g, k]
        b.away[g, k] = before + by
        if (before >= most) != (before + by >= most):
            _set(row, k, k + 1, by < 0)


def _touch(b: Board, i: int) -> None:
    """Note where an exam is, before it is moved for the first time in a try."""
    if not b.mark[i, IS_TOUCHED]:
        b.mark[i, IS_TOUCHED] = 1
        b.touched[b.count[TOUCHED]] = i
        b.count[TOUCHED] += 1
        b.old[i] = b.seats[i]


def _put(b: Board, i: int, seat: Any) -> None:
    """Place an exam that has no place where it is free."""
    _touch(b, i)
    here = b.seats[i]
    b.total[NOW] += seat.cost - here.cost
    b.total[PRESSING] -= b.push[i]
    b.seats[i] = seat
    exam, option = b.exams[i], b.options[seat.option]
    start, end = seat.start, seat.end
    _set(b.free[option.room], start, start + option.hold, False)
    line = b.line[option.room]
    k = line[0]
    while k > 0:
        other = b.seats[line[k]]
        if other.start < start or (other.start == start and line[k] < i):
            break
        line[k + 1] = line[k]
        k -= 1
    line[k + 1] = i
    line[0] += 1
    if seat.person >= 0:
        _set(b.free[b.people + seat.person], start, end, False)
        b.owner[seat.person, start:end] = i
    if exam.shares:
        _set(b.free[b.patients + exam.patient], start, end, False)
    if exam.way > 0:
        _carry(b, seat.fetcher, seat.fetch, seat.fetch + exam.way, 1)
        _carry(b, seat.returner, seat.back, seat.back + exam.way, 1)


def _take(b: Board, i: int) -> None:
    """Take an exam out of its place."""
    _touch(b, i)
    seat, exam = b.seats[i], b.exams[i]
    option = b.options[seat.option]
    start, end = seat.start, seat.end
    _set(b.free[option.room], start, start + option.hold, True)
    line = b.line[option.room]
    k = 1
    while line[k] != i:
        k += 1
    for n in range(k, line[0]):
        line[n] = line[n + 1]
    line[0] -= 1
    if seat.person >= 0:
        _set(b.free[b.people + seat.person], start, end, True)
        b.owner[seat.person, start:end] = NONE
    if exam.shares:
        _set(b.free[b.patients + exam.patient], start, end, True)
    if exam.way > 0:
        _carry(b, seat.fetcher, seat.fetch, seat.fetch + exam.way, -1)
        _carry(b, seat.returner, seat.back, seat.back + exam.way, -1)
    seat.option = NONE
    left_out = exam.missing + b.push[i]
    b.total[NOW] += left_out - seat.cost
    b.total[PRESSING] += b.push[i]
    seat.cost = left_out


def _give(b: Board, j: int, person: int) -> None:
    """Give an exam to another technologist, who is free for it."""
    _touch(b, j)
    seat = b.seats[j]
    _set(b.free[b.people + seat.person], seat.start, seat.end, True)
    b.owner[seat.person, seat.start : seat.end] = NONE
    _set(b.free[b.people + person], seat.start, seat.end, False)
    b.owner[person, seat.start : seat.end] = j
    seat.person = person


def _undo(b: Board, total: float, pressing: float) -> None:
    """Everybody where they were before the try."""
    for n in range(b.count[TOUCHED]):
        i = b.touched[n]
        if b.seats[i].option >= 0:
            _take(b, i)
    for n in range(b.count[TOUCHED]):
        i = b.touched[n]
        if b.old[i].option >= 0:
            _put(b, i, b.old[i])
    b.total[NOW], b.total[PRESSING] = total, pressing


# -- the cheapest place ------------------------------------------------------------------------------------


def _price(exam: Any, start: int, extra: float) -> float:
    cost = extra
    if exam.per_minute > 0.0:
        cost += exam.per_minute * abs(start - exam.booked)
    if start > exam.due:
        cost += exam.weight * (start - exam.due)
    return cost


def _latest(exam: Any, limit: float, last: int) -> int:
    """No start after this one costs less than the limit, or comes before the last minute."""
    at = float(last - 1)
    if exam.weight > 0.0 and exam.due < FAR:
        at = min(at, exam.due + limit / exam.weight + 1.0)
    if exam.per_minute > 0.0:
        at = min(at, exam.booked + limit / exam.per_minute + 1.0)
    return int(at)


def _soonest(exam: Any, limit: float) -> int:
    """No start before this one costs less than the limit."""
    if exam.per_minute > 0.0:
        return int(max(0.0, exam.booked - limit / exam.per_minute - 1.0))
    return 0


def _least(exam: Any, row: Any, extra: float, low: int, soonest: bool) -> int:
    """The start in a row that costs least, or the first; or NONE."""
    if soonest or exam.per_minute <= 0.0:
        return _first_from(row, low)
    ideal = max(exam.ideal, low)
    at = _first_from(row, ideal)
    if at == ideal:
        return at
    before = _last_before(row, ideal, low)
    if before < 0 or (at >= 0 and _price(exam, at, extra) <= _price(exam, before, extra)):
        return at
    return before


def _porter_rows(b: Board, exam: Any, fetches: Any, returns: Any, most: int, word: int, top: int) -> None:
    """When an exam can start for those who fetch, and end for those who bring back; the groups' own rows after the `most` first scraps."""
    for w in range(word, top):
        fetches[w] = returns[w] = 0
    for g in range(b.groups.shape[0]):
        row = b.scratch[most + g, :top]
        opened = b.rows[b.groups[g, exam.way_row]]
        if exam.way > 0:
            free = b.free[b.porters + g]
            for w in range(word, top):
                row[w] = free[w]
            _in_a_row(row, exam.way, word)
            for w in range(word, top):
                row[w] &= opened[w]
        else:
            for w in range(word, top):
                row[w] = opened[w]
        for w in range(word, top):
            fetches[w] |= row[w]
            returns[w] |= row[w]
    _spread(fetches[:top], FETCH_EARLY_MINUTES + 1, True, word)
    _spread(returns[:top], RETURN_LATE_MINUTES + 1, False, word)


def _somebody(b: Board, option: Any, start: int, end: int) -> int:
    """Who could do it then: whoever comes first, now and then the next; or nobody."""
    found = NONE
    for k in range(option.team, option.team_end):
        person = b.team[k, 0]
        if _has(b.rows[b.team[k, 1]], start) and _has_all(b.free[b.people + person], start, end):
            found = person
            if _random(b.dice) > BLINK:
                break
    return found


def _with_anybody(b: Board, option: Any, row: Any, some: Any, one: Any, word: int) -> None:
    """Leave the starts at which somebody of the team has the time."""
    words = row.shape[0]
    for w in range(word, words):
        some[w] = 0
    for k in range(option.team, option.team_end):
        free = b.free[b.people + b.team[k, 0]]
        on = b.rows[b.team[k, 1]]
        for w in range(word, words):
            one[w] = free[w]
        _in_a_row(one, option.minutes, word)
        for w in range(word, words):
            some[w] |= one[w] & on[w]
    for w in range(word, words):
        row[w] &= some[w]


def _somebody_else(b: Board, j: int, not_this: int) -> int:
    seat = b.seats[j]
    option = b.options[seat.option]
    for k in range(option.team, option.team_end):
        person = b.team[k, 0]
        if (
            person != not_this
            and _has(b.rows[b.team[k, 1]], seat.start)
            and _has_all(b.free[b.people + person], seat.start, seat.end)
        ):
            return int(person)
    return NONE


def _free_somebody(b: Board, option: Any, start: int, end: int) -> int:
    """Give what one who could do it does then to others who are free; whom that frees, or nobody."""
    for k in range(option.team, option.team_end):
        person = b.team[k, 0]
        if not _has(b.rows[b.team[k, 1]], start):
            continue
        free = b.free[b.people + person]
        able = True
        at = start
        while able and at < end:
            if _has(free, at):
                at += 1
                continue
            j = b.owner[person, at]
            able = j >= 0 and _somebody_else(b, j, person) >= 0
            if able:
                at = b.seats[j].end
        if able:
            at = start
            while at < end:
                j = b.owner[person, at]
                if j >= 0:
                    at = b.seats[j].end
                    _give(b, j, _somebody_else(b, j, person))
                else:
                    at += 1
            return int(person)
    return NONE


def _told(b: Board, i: int, o: int, start: int, person: int, cost: float, most: int) -> float:
    """Write the seat down, with the last fetch and the first return."""
    spot, exam = b.spot[0], b.exams[i]
    spot.cost, spot.option, spot.start, spot.person = cost, o, start, person
    spot.end = end = start + b.options[o].minutes
    spot.fetcher = spot.returner = NONE
    spot.fetch = spot.back = 0
    if exam.way >= 0:
        latest = start - exam.way
        low = max(0, latest - FETCH_EARLY_MINUTES)
        soonest = FAR
        for g in range(b.groups.shape[0]):
            row = b.scratch[most + g]
            at = _last_before(row, latest + 1, low)
            if at >= 0 and (spot.fetcher < 0 or at > spot.fetch):
                spot.fetcher, spot.fetch = g, at
            at = _first_from(row, end)
            if 0 <= at < soonest:
                soonest = at
                spot.returner, spot.back = g, at
    return cost


def _cheapest(b: Board, i: int, limit: float, since: int) -> float:
    """What the cheapest place below a limit costs, everybody else staying where they are; it stands in `spot` then.

    With `since`, the one that ends first, begun from that minute on, in place of the cheapest. INF where there is none.
    """
    exam = b.exams[i]
    packed = since >= 0
    low, last = max(exam.first, since), b.size
    for k in range(exam.after, exam.followers):
        other = b.seats[b.links[k]]
        if other.option == NONE:
            return INF
        low = max(low, other.end)
    for k in range(exam.followers, exam.links_end):
        other = b.seats[b.links[k]]
        if other.option != NONE:
            last = min(last, other.start)
    high = _latest(exam, limit, last)
    low = max(low, _soonest(exam, limit))
    if low > high:
        return INF
    word = low // BITS
    words = min(b.free.shape[1], (high + exam.longest) // BITS + 1)
    most = b.scratch.shape[0] - 4 - b.groups.shape[0]
    one, some = b.scratch[most + b.groups.shape[0], :words], b.scratch[most + b.groups.shape[0] + 1, :words]
    fetches, returns = b.scratch[most + b.groups.shape[0] + 2], b.scratch[most + b.groups.shape[0] + 3]
    count = 0
    for o in range(exam.options, exam.options_end):
        option = b.options[o]
        if option.extra >= limit or _random(b.dice) < SKIP:
            continue
        row = b.scratch[count, :words]
        free, opened = b.free[option.room], b.rows[option.open]
        for w in range(word, words):
            row[w] = free[w]
        _in_a_row(row, option.hold, word)
        for w in range(word, words):
            row[w] &= opened[w]
        if exam.shares:
            free = b.free[b.patients + exam.patient]
            for w in range(word, words):
                one[w] = free[w]
            _in_a_row(one, option.minutes, word)
            for w in range(word, words):
                row[w] &= one[w]
        if last < b.size:
            _set(row, max(word * BITS, last - option.minutes + 1), words * BITS, False)
        start = _least(exam, row, option.extra, low, packed)
        if start < 0:
            continue
        cost = _price(exam, start, option.extra)
        if cost >= limit:
            continue
        key = float(start + option.hold) if packed else cost
        b.ranks[count, 0], b.ranks[count, 1] = key, start + option.hold + option.lean
        b.ranks[count, 2], b.ranks[count, 3] = o, count
        count += 1
    for k in range(1, count):
        n = k
        while n > 0 and (
            b.ranks[n, 0] < b.ranks[n - 1, 0]
            or (b.ranks[n, 0] == b.ranks[n - 1, 0] and b.ranks[n, 1] < b.ranks[n - 1, 1])
        ):
            for c in range(4):
                b.ranks[n, c], b.ranks[n - 1, c] = b.ranks[n - 1, c], b.ranks[n, c]
            n -= 1
    hopes = 0
    best, best_start, who = NONE, 0, NONE
    if count and exam.way >= 0:
        begin = max(0, low - FETCH_EARLY_MINUTES - exam.way) // BITS
        until = min(b.free.shape[1], (high + exam.longest + RETURN_LATE_MINUTES + exam.way) // BITS + 1)
        _porter_rows(b, exam, fetches, returns, most, begin, until)
    for k in range(count):
        if b.ranks[k, 0] >= limit and not packed:
            break
        o = int(b.ranks[k, 2])
        option = b.options[o]
        row = b.scratch[int(b.ranks[k, 3]), :words]
        if exam.way >= 0:
            _and_moved(row, fetches, -exam.way, word)
            _and_moved(row, returns, option.minutes, word)
        start = _least(exam, row, option.extra, low, packed)
        if start < 0:
            continue
        cost = _price(exam, start, option.extra)
        if cost >= limit:
            continue
        person = NONE
        if b.limited:
            person = _somebody(b, option, start, start + option.minutes)
            if person < 0:
                b.hopes[hopes, 0], b.hopes[hopes, 1], b.hopes[hopes, 2] = cost, start, o
                hopes += 1
                _with_anybody(b, option, row, some, one, word)
                start = _least(exam, row, option.extra, low, packed)
                if start < 0:
                    continue
                cost = _price(exam, start, option.extra)
                if cost >= limit:
                    continue
                person = _somebody(b, option, start, start + option.minutes)
        limit, best, best_start, who = cost, o, start, person
        if packed:
            break
    for k in range(hopes):
        if b.hopes[k, 0] < limit - WORTH_RESEATING:
            o, start = int(b.hopes[k, 2]), int(b.hopes[k, 1])
            person = _free_somebody(b, b.options[o], start, start + b.options[o].minutes)
            if person >= 0:
                return _told(b, i, o, start, person, b.hopes[k, 0], most)
    if best < 0:
        return INF
    return _told(b, i, best, best_start, who, limit, most)


# -- which exams -------------------------------------------------------------------------------------------


def _add(b: Board, count: int, i: int) -> int:
    if b.mark[i, IS_OUT] or b.seats[i].option == FIXED:
        return count
    b.mark[i, IS_OUT] = 1
    b.out[count] = i
    return count + 1


def _press(b: Board, heat: float) -> None:
    """Whoever has long been without a place presses more and more; at last, nobody does, and the search goes on from the best seen."""
    if heat < PUSH_HEAT:
        if b.count[PUSHED]:
            b.count[PUSHED] = 0
            for i in range(b.push.shape[0]):
                if b.seats[i].option == NONE:
                    b.seats[i].cost = b.exams[i].missing
                b.push[i] = 0.0
            b.total[NOW] -= b.total[PRESSING]
            b.total[PRESSING] = 0.0
            for i in range(b.push.shape[0]):
                b.told[i] = b.kept[i]
            move_to(b)
        return
    few = b.count[UNPLANNED] <= PUSHED_MAX
    b.total[NOW] -= b.total[PRESSING]
    b.total[PRESSING] = 0.0
    b.count[PUSHED] = 0
    for n in range(b.movable.shape[0]):
        i = b.movable[n]
        if b.seats[i].option != NONE:
            b.push[i] *= PUSH_KEPT
        else:
            missing = b.exams[i].missing
            if few and missing < MUST_COST:
                b.push[i] = min(b.push[i] + PUSH_SHARE * missing, PUSH_MOST * missing)
            b.seats[i].cost = missing + b.push[i]
            b.total[PRESSING] += b.push[i]
        if b.push[i] > 0.0:
            b.count[PUSHED] += 1
    b.total[NOW] += b.total[PRESSING]


def _refresh(b: Board) -> None:
    """Who costs how much, and who has no place."""
    floor = min(1.0, 0.02 + 0.1 * max(b.total[NOW], 0.0) / b.movable.shape[0])
    total = 0.0
    count = 0
    for n in range(b.movable.shape[0]):
        seat = b.seats[b.movable[n]]
        total += seat.cost**POWER + floor if seat.cost > 0.0 else floor
        b.sums[n] = total
        if seat.option == NONE:
            b.unplanned[count] = b.movable[n]
            count += 1
    b.count[UNPLANNED] = count


def _in_line(b: Board, room: int, at: int) -> int:
    """How many in a room start before a minute."""
    line = b.line[room]
    low, high = 0, line[0]
    while low < high:
        middle = (low + high) // 2
        if b.seats[line[middle + 1]].start < at:
            low = middle + 1
        else:
            high = middle
    return int(low)


def _strings(b: Board, heart: int, at: int, size: int, count: int) -> int:
    """Some who stand next to each other in the rooms that one could have."""
    exam = b.exams[heart]
    rooms = exam.options_end - exam.options
    if rooms == 0:
        return count
    wanted = 1 + int(_random(b.dice) * (ROOMS_MAX if b.seats[heart].option != NONE else ROOMS_NEW_MAX))
    wanted = min(wanted, rooms)
    for k in range(rooms):
        b.order[k] = exam.options + k
    each = max(1, size // wanted)
    if _random(b.dice) < LINE:
        each = 3 + int(_expo(b.dice, LINE_MEAN))
    for k in range(wanted):
        n = k + _below(b.dice, rooms - k)
        b.order[k], b.order[n] = b.order[n], b.order[k]
        room = b.options[b.order[k]].room
        line = b.line[room]
        first = max(0, _in_line(b, room, at) - int(_random(b.dice) * (each + 1)))
        for n in range(first, min(first + each, line[0])):
            count = _add(b, count, line[n + 1])
    return count


def _nearest(b: Board, found: int, size: int, count: int) -> int:
    """The first few of those found, by key."""
    _sort(b.order, b.key, found)
    for k in range(min(size, found)):
        count = _add(b, count, b.order[k])
    return count


def _slice(b: Board, heart: int, at: int, size: int, count: int) -> int:
    """Those about one time, whatever the room, of the people who could do this one."""
    exam = b.exams[heart]
    if exam.options_end == exam.options:
        return count
    team = b.options[exam.options]
    found = 0
    for room in range(b.line.shape[0]):
        line = b.line[room]
        k = _in_line(b, room, at)
        for n in range(max(0, k - 2), min(k + 2, line[0])):
            i = line[n + 1]
            person = b.seats[i].person
            fits = person < 0 or team.team == team.team_end
            for m in range(team.team, team.team_end):
                fits = fits or b.team[m, 0] == person
            if fits:
                b.order[found] = i
                b.key[found] = abs(b.seats[i].start - at) + _random(b.dice) * 15
                found += 1
    return _nearest(b, found, size, count)


def _brought(b: Board, at: int, size: int, count: int) -> int:
    """Those about one time who are brought."""
    found = 0
    for n in range(b.walkers.shape[0]):
        i = b.walkers[n]
        if b.seats[i].option >= 0:
            b.order[found] = i
            b.key[found] = abs(b.seats[i].start - at) + _random(b.dice) * 25
            found += 1
    return _nearest(b, found, size, count)


def _choose(b: Board) -> int:
    """Whom to take out: around one who costs something, more often the more that is."""
    pointed = _random(b.dice) * b.sums[b.movable.shape[0] - 1]
    low, high = 0, b.movable.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        if b.sums[middle] < pointed:
            low = middle + 1
        else:
            high = middle
    heart = b.movable[low]
    exam, seat = b.exams[heart], b.seats[heart]
    ideal = max(exam.ideal, exam.first)
    if exam.per_minute <= 0.0 and exam.due < b.size:
        ideal = max(ideal, exam.due)
    placed = seat.option != NONE
    if not placed:
        at = ideal + int(_random(b.dice) ** 2 * max(0, b.size - ideal))
    elif seat.cost > 0.0 and _random(b.dice) < 0.7:
        at = ideal + int((seat.start - ideal) * _random(b.dice))
    else:
        at = seat.start
    size = 2 + int(_expo(b.dice, OUT_MEAN if placed else OUT_NEW))
    count = _add(b, 0, heart)
    kind = _random(b.dice)
    if exam.way > 0 and kind < 0.4:
        count = _brought(b, at, size, count)
    elif kind < 0.75:
        count = _strings(b, heart, at, size, count)
    else:
        count = _slice(b, heart, at, size, count)
    for n in range(b.count[UNPLANNED]):
        i = b.unplanned[n]
        if b.seats[i].option == NONE and _random(b.dice) * b.count[UNPLANNED] < UNPLANNED_MAX:
            count = _add(b, count, i)
    n = 0
    while n < count:
        followed = b.exams[b.out[n]]
        for k in range(followed.followers, followed.links_end):
            count = _add(b, count, b.links[k])
        n += 1
    return count


# -- in which order ----------------------------------------------------------------------------------------


def _sort(order: Any, key: Any, count: int) -> None:
    """By key, the smallest first (Shell, 1959)."""
    gap = 1
    while gap < count // 4:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, count):
            i, at = order[k], key[k]
            n = k
            while n >= gap and key[n - gap] > at:
                order[n], key[n] = order[n - gap], key[n - gap]
                n -= gap
            order[n], key[n] = i, at
        gap //= 3


def _in_turn(b: Board, count: int) -> None:
    """Those that come after others of the same order, after them."""
    placed = 0
    while placed < count:
        n = placed
        while n < count - 1:
            exam = b.exams[b.order[n]]
            waits = False
            for k in range(exam.after, exam.followers):
                for m in range(placed, count):
                    waits = waits or b.order[m] == b.links[k]
            if not waits:
                break
            n += 1
        i = b.order[n]
        for m in range(n, placed, -1):
            b.order[m] = b.order[m - 1]
        b.order[placed] = i
        placed += 1


def _chained(b: Board, count: int) -> bool:
    for n in range(count):
        exam = b.exams[b.order[n]]
        if exam.followers > exam.after:
            return True
    return False


def _order(b: Board, count: int, stood: int) -> None:
    """In which order they are put back: one of several, none of which suits every day."""
    kind = _random(b.dice)
    as_stood = stood > 0 and _random(b.dice) < STOOD
    few = _random(b.dice) < FEW
    low, high = FAR, 0
    for n in range(count):
        if b.starts[n] >= 0:
            low, high = min(low, b.starts[n]), max(high, b.starts[n])
    for n in range(count):
        i = b.out[n]
        exam = b.exams[i]
        chance = _random(b.dice)
        b.order[n] = i
        if as_stood:
            stood_at = float(b.starts[n]) if b.starts[n] >= 0 else _random(b.dice) * b.size
            if n == 0:
                stood_at = low + _random(b.dice) * (high - low)
            b.key[n] = stood_at + chance * 12
            if few:
                b.key[n] += float(b.size) * (exam.options_end - exam.options)
        elif kind < 0.3:
            b.key[n] = -exam.weight / exam.length * (0.5 + chance)
        elif kind < 0.6:
            b.key[n] = min(exam.due, b.size) - 3 * exam.weight + chance * 20
        elif kind < 0.75:
            b.key[n] = exam.first - 2 * exam.weight + chance * 20
        elif kind < 0.85:
            b.key[n] = -exam.length + chance * 3
        else:
            b.key[n] = chance
    if _random(b.dice) < FIRST:
        b.key[0] = -INF
    _sort(b.order, b.key, count)
    if _chained(b, count):
        _in_turn(b, count)


# -- one try -------------------------------------------------------------------------------------------------


def _back(b: Board, count: int, stood: int, spent: float, limit: float) -> bool:
    """Put them back one after the other; False as soon as it costs more than the limit."""
    _order(b, count, stood)
    for n in range(count):
        i = b.order[n]
        missing = b.exams[i].missing + b.push[i]
        cost = _cheapest(b, i, min(missing + EPSILON, limit - spent), NONE)
        if cost == INF:
            spent += missing
        else:
            _put(b, i, b.spot[0])
            spent += cost
        if spent >= limit:
            return False
    return True


def _has_follower(b: Board, i: int) -> bool:
    exam = b.exams[i]
    for k in range(exam.followers, exam.links_end):
        if b.seats[b.links[k]].option != NONE:
            return True
    return False


def _packed(b: Board, count: int, spent: float, limit: float) -> bool:
    """Put them back one right after the other in order of time, the first anew among them, and then each to where it is cheapest."""
    low, high = FAR, 0
    for n in range(count):
        if b.starts[n] >= 0:
            low, high = min(low, b.starts[n]), max(high, b.starts[n])
    low = max(0, low - int(_random(b.dice) * BACK_MINUTES))
    for n in range(count):
        anew = n == 0 or b.starts[n] < 0
        b.order[n] = b.out[n]
        b.key[n] = low + _random(b.dice) * (high - low) if anew else b.starts[n]
        b.key[n] += _random(b.dice) * 10
    _sort(b.order, b.key, count)
    if _chained(b, count):
        _in_turn(b, count)
    loose = limit + PUSH
    for n in range(count):
        i = b.order[n]
        missing = b.exams[i].missing + b.push[i]
        cost = _cheapest(b, i, min(missing + EPSILON, loose - spent), low)
        if cost == INF:
            spent += missing
        else:
            _put(b, i, b.spot[0])
            spent += cost
        if spent >= loose:
            return False
    for n in range(count - 1, -1, -1):
        i = b.order[n]
        if b.seats[i].option == NONE:
            if _has_follower(b, i):
                continue
            missing = b.exams[i].missing + b.push[i]
            cost = _cheapest(b, i, missing + EPSILON, NONE)
            if cost < INF:
                spent += cost - missing
                _put(b, i, b.spot[0])
        elif b.seats[i].cost > 0.0:
            b.spot[1] = b.seats[i]
            _take(b, i)
            cost = _cheapest(b, i, b.spot[1].cost, NONE)
            if cost == INF:
                _put(b, i, b.spot[1])
            else:
                spent += cost - b.spot[1].cost
                _put(b, i, b.spot[0])
    return spent < limit


def _once(b: Board, heat: float) -> None:
    before, pressing = b.total[NOW], b.total[PRESSING]
    for n in range(b.count[TOUCHED]):
        b.mark[b.touched[n], IS_TOUCHED] = 0
    b.count[TOUCHED] = 0
    count = _choose(b)
    new = b.seats[b.out[0]].option == NONE
    stood = 0
    missing = 0.0
    for n in range(count):
        i = b.out[n]
        b.mark[i, IS_OUT] = 0
        b.starts[n] = NONE
        missing += b.exams[i].missing + b.push[i]
        if b.seats[i].option != NONE:
            b.starts[n] = b.seats[i].start
            _take(b, i)
            stood += 1
    limit = before + EPSILON + _expo(b.dice, heat)
    spent = b.total[NOW] - missing
    if stood and _random(b.dice) < (PACKED_NEW if new else PACKED):
        good = _packed(b, count, spent, limit)
    else:
        good = _back(b, count, stood, spent, limit)
    if not good:
        _undo(b, before, pressing)
        return
    for n in range(b.count[TOUCHED]):
        i = b.touched[n]
        if not b.mark[i, IS_CHANGED]:
            b.mark[i, IS_CHANGED] = 1
            b.changed[b.count[CHANGED]] = i
            b.count[CHANGED] += 1


def _keep(b: Board) -> None:
    """What stands now is the best seen."""
    b.total[BEST] = b.total[NOW] - b.total[PRESSING]
    for n in range(b.count[CHANGED]):
        i = b.changed[n]
        b.kept[i] = b.seats[i]
        if b.kept[i].option == NONE:
            b.kept[i].cost = b.exams[i].missing
        b.mark[i, IS_CHANGED] = 0
    b.count[CHANGED] = 0


def run(b: Board, tries: int, heat: float) -> None:
    """So many tries at a heat: that much more an exam's change may cost and yet now and then be kept."""
    for _ in range(tries):
        if b.count[TRIES] % REFRESH_TRIES == 0:
            _press(b, heat)
            _refresh(b)
        b.count[TRIES] += 1
        _once(b, heat)
        if b.total[NOW] - b.total[PRESSING] < b.total[BEST] - EPSILON:
            _keep(b)


def move_to(b: Board) -> None:
    """Everybody as `told`, which is the best seen from now on."""
    for n in range(b.count[TOUCHED]):
        b.mark[b.touched[n], IS_TOUCHED] = 0
    b.count[TOUCHED] = 0
    for n in range(b.movable.shape[0]):
        if b.seats[b.movable[n]].option >= 0:
            _take(b, b.movable[n])
    for n in range(b.movable.shape[0]):
        i = b.movable[n]
        if b.told[i].option >= 0:
            _put(b, i, b.told[i])
        if not b.mark[i, IS_CHANGED]:
            b.mark[i, IS_CHANGED] = 1
            b.changed[b.count[CHANGED]] = i
            b.count[CHANGED] += 1
    _keep(b)
