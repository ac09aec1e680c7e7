"""Matches a worklist query against entries, and says what each answer holds (PS3.4 K.2 and C.2.2.2). Pure.

Queries and entries are trees of `elements`. Dates and times of a scheduled step are
compared together, as one interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Generic, TypeVar

from xraydesk.lib.text import folded
from xraydesk.links.dicom.elements import SPECIFIC_CHARACTER_SET, BadKey, Element, Tree

TIMEZONE_OFFSET = 0x00080201
STEPS = 0x00400100
START_DATE, START_TIME = 0x00400002, 0x00400003
NOT_KEYS = frozenset({SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET})
"""They say how to read the others, and are matched against nothing."""

MOMENTS = {START_DATE: START_TIME, 0x00400004: 0x00400005}
"""Dates whose times are matched together with them."""
_CLOCKS = {clock: day for day, clock in MOMENTS.items()}
_WILD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

Supported = Mapping[int, "Supported | None"]
"""Keys that a store knows; those of a sequence's items below its tag."""


_M = TypeVar("_M", date, time)


@dataclass(frozen=True)
class Span(Generic[_M]):
    """An interval of days or of times of day, both ends included; None is open. `is_single` for one value."""

    low: _M | None
    high: _M | None
    is_single: bool = False


def read_days(tag: int, text: str) -> Span[date] | None:
    """The days that a DA key asks for; None where it asks for any. Raises `BadKey`."""
    return _span(tag, text.replace(".", ""), _day, _day)


def read_times(tag: int, text: str) -> Span[time] | None:
    """The times of day that a TM key asks for; an end of `1030` reaches to the last moment of that minute."""
    return _span(tag, text.replace(":", ""), _time_first, _time_last)


def _span(tag: int, text: str, first: Callable[[str], _M], last: Callable[[str], _M]) -> Span[_M] | None:
    text = text.strip()
    if text in {"", "*"}:
        return None
    low, dash, high = (part.strip() for part in text.partition("-"))
    try:
        if not dash:
            return Span(first(low), last(low), is_single=True)
        span = Span(first(low) if low else None, last(high) if high else None)
    except ValueError:
        raise BadKey(tag, "no date or time, and no range of them") from None
    if span == Span(None, None):
        raise BadKey(tag, "a range without ends")
    return span


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{8}", text):
        raise ValueError(text)
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


_MIDNIGHT = re.compile(r"24(00){0,2}(\.0+)?")
"""The end of a day as some machines write it; PS3.5 knows hours to 23."""
_TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?")


def _time_first(text: str) -> time:
    return _time(text, ("0", "0", "0", "0"))


def _time_last(text: str) -> time:
    if _MIDNIGHT.fullmatch(text):
        return time.max
    return _time(text, ("0", "59", "59", "999999"))


def _time(text: str, missing: tuple[str, str, str, str]) -> time:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hour, minute, second, fraction = (
        given or default for given, default in zip(found.groups(), missing, strict=True)
    )
    if found.group(4):
        fraction = fraction.ljust(6, missing[3][0])
    return time(int(hour), int(minute), min(int(second), 59), int(fraction))


def moment_matches(
    days: Span[date] | None, times: Span[time] | None, day: date | None, clock: time | None
) -> bool:
    """True where a scheduled start lies in what the date key and the time key ask for together (PS3.4 K.2.2.1).

    Two ranges make one interval, from the first day at the first time to the last day at
    the last time. A single time, or a time without a date, is a time of each day.
    """
    if (days is not None and day is None) or (times is not None and clock is None):
        return False
    if days is None or times is None or times.is_single:
        return _within(days, day) and _within(times, clock)
    assert day is not None
    assert clock is not None
    moment = datetime.combine(day, clock)
    low = days.low and datetime.combine(days.low, times.low or time.min)
    high = days.high and datetime.combine(days.high, times.high or time.max)
    return (low is None or moment >= low) and (high is None or moment <= high)


def _within(span: Span[_M] | None, value: _M | None) -> bool:
    if span is None:
        return True
    return (
        value is not None
        and (span.low is None or value >= span.low)
        and (span.high is None or value <= span.high)
    )


def constraints(query: Tree) -> dict[int, Element]:
    """The keys of a query that ask for some value; the others match anything (universal matching, C.2.2.2.3)."""
    found: dict[int, Element] = {}
    for tag, key in query.items():
        if tag in NOT_KEYS:
            continue
        if key.vr == "SQ":
            items = [below for item in key.items if (below := constraints(item))]
            if items:
                found[tag] = Element("SQ", items=tuple(items))
        elif any(_restricts(key.vr, value) for value in key.values):
            found[tag] = key
    return found


def _restricts(vr: str, value: str) -> bool:
    """True where a value asks for something. Machines put a name together of what was typed: `^`, `*^*` are nothing."""
    if vr == "PN":
        return bool(value.strip(" *^="))
    return bool(value.strip(" *") or (value.strip() and vr not in _WILD_VRS))


def known(asked: Tree, supported: Supported) -> dict[int, Element]:
    """The constraints whose keys a store knows: one that it does not know restricts nothing (C.2.2.1.2)."""
    found: dict[int, Element] = {}
    for tag, key in asked.items():
        if tag in supported:
            below = supported[tag]
            if key.vr == "SQ" and below is not None:
                item = known(key.items[0], below)
                if item:
                    found[tag] = Element("SQ", items=(item,))
            else:
                found[tag] = key
    return found


def matches(asked: Tree, entry: Tree) -> bool:
    """True where an entry has what `constraints` ask for; raises `BadKey` for a key that cannot be read."""
    for tag, key in asked.items():
        found = entry.get(tag)
        if key.vr == "SQ":
            # sequence matching (C.2.2.2.6): one item of the entry matches all keys of the query's item
            if found is None or not any(matches(key.items[0], item) for item in found.items):
                return False
        elif tag in MOMENTS:
            if not _moment_matches(asked, entry, tag, MOMENTS[tag]):
                return False
        elif tag in _CLOCKS and _CLOCKS[tag] not in asked:
            if not _moment_matches(asked, entry, _CLOCKS[tag], tag):
                return False
        elif tag not in _CLOCKS and not _value_matches(tag, key, found):
            return False
    return True


def _moment_matches(asked: Tree, entry: Tree, day: int, clock: int) -> bool:
    days, times = read_days(day, _text(asked, day)), read_times(clock, _text(asked, clock))
    day_text, clock_text = _text(entry, day).replace(".", ""), _text(entry, clock).replace(":", "")
    return moment_matches(
        days, times, _day(day_text) if day_text else None, _time_first(clock_text) if clock_text else None
    )


def _text(tree: Tree, tag: int) -> str:
    element = tree.get(tag)
    return element.values[0].strip() if element is not None and element.values else ""


def _value_matches(tag: int, key: Element, found: Element | None) -> bool:
    wanted = [value.strip() for value in key.values if value.strip()]
    have = [value.strip() for value in found.values] if found is not None else []
    # A machine may write a key in another representation than the one that it has.
    vr = found.vr if found is not None else key.vr
    if vr == "DA":
        days = read_days(tag, wanted[0])
        return any(_within(days, _day(value.replace(".", ""))) for value in have if value)
    if vr == "TM":
        times = read_times(tag, wanted[0])
        return any(_within(times, _time_first(value.replace(":", ""))) for value in have if value)
    if vr == "PN":
        return any(name_matches(wanted[0], value) for value in have)
    if vr in _WILD_VRS:
        return any(text_matches(one, value) for one in wanted for value in have)
    return any(one == value for one in wanted for value in have)


def text_matches(wanted: str, have: str) -> bool:
    """Single value or wildcard matching (C.2.2.2.1 and C.2.2.2.4): case counts, outer spaces do not."""
    if "*" not in wanted and "?" not in wanted:
        return wanted == have
    return _pattern(wanted).fullmatch(have) is not None


@lru_cache(maxsize=256)
def _pattern(wanted: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", wanted))
    return re.compile("".join(parts), re.DOTALL)


def name_matches(wanted: str, have: str) -> bool:
    """Matching of names: case, accents and empty components at the end do not count (C.2.2.2.1.1).

    A query that gives one component group is looked for in each of the name's groups
    (alphabetic, ideographic, phonetic), whichever it gives: many names are known in one writing
    only. One that gives several must match group by group.
    """
    groups = have.split("=")
    asked = wanted.split("=")
    given = [one for one in asked if one.strip("*")]
    if len(given) <= 1:
        return any(_group_matches(one, group) for one in given or asked for group in groups)
    groups += [""] * (len(asked) - len(groups))
    return all(_group_matches(one, group) for one, group in zip(asked, groups, strict=False) if one)


def _group_matches(wanted: str, have: str) -> bool:
    wanted, have = _folded_name(wanted), _folded_name(have)
    # `DOE^*` means somebody called Doe without a first name too: components that are not there are empty ones.
    return text_matches(wanted, have) or text_matches(
        wanted, have + "^" * (wanted.count("^") - have.count("^"))
    )


@lru_cache(maxsize=4096)
def _folded_name(text: str) -> str:
    return "^".join(folded(part) for part in text.split("^")).rstrip("^")


def answer(query: Tree, entry: Tree, supported: Supported) -> dict[int, Element]:
    """What one answer holds: the keys that were asked for and are known, empty where there is no value (a sequence that an entry lacks is left out).

    Of a sequence, the items that match; of a sequence asked for without keys, all of it. Of
    several station titles, the one that was asked for.
    """
    found: dict[int, Element] = {}
    for tag, key in query.items():
        if tag not in supported:
            continue
        if key.vr == "SQ" and tag not in entry:
            continue
        have = entry.get(tag, Element(key.vr))
        found[tag] = (
            _answered(key, have, supported[tag] or {}) if have.vr == "SQ" else _value_answered(key, have)
        )
    return found


def _answered(key: Element, have: Element, supported: Supported) -> Element:
    asked = key.items[0] if key.items else {}
    items = have.items
    if asked and len(items) > 1:
        wanted = constraints(asked)
        items = tuple(item for item in items if matches(wanted, item))
    return Element("SQ", items=tuple(answer(asked, item, supported) if asked else item for item in items))


def _value_answered(key: Element, have: Element) -> Element:
    if have.vr == "AE" and len(have.values) > 1 and any(key.values):
        matching = [v for v in have.values if any(text_matches(one.strip(), v) for one in key.values)]
        return Element("AE", tuple(matching[:1]) or have.values)
    return have


def has_unsupported(query: Tree, supported: Supported) -> bool:
    """True where a query names a key that the store does not know: its answers are FF01 (C.4.1.1.4)."""
    for tag, key in query.items():
        if tag in NOT_KEYS:
            continue
        if tag not in supported:
            return True
        below = supported[tag]
        if below is not None and any(has_unsupported(item, below) for item in key.items):
            return True
    return False


def find(query: Tree, entries: Iterable[Tree], supported: Supported) -> Iterator[dict[int, Element]]:
    """The answers to a query, in the order of the entries; raises `BadKey` at once for a key that cannot be read."""
    asked = known(constraints(query), supported)
    _check(asked)
    return (answer(query, entry, supported) for entry in entries if matches(asked, entry))


def _check(asked: Tree) -> None:
    for tag, key in asked.items():
        if key.vr == "DA":
            read_days(tag, key.values[0])
        elif key.vr == "TM":
            read_times(tag, key.values[0])
        for item in key.items:
            _check(item)
