"""What changes from one plan to another, in lines that people read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, time
from typing import Any

from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.plan import ClosurePlan, KeptPlan, SitePlan

_PARTS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("location", "locations", lambda p: p.code),
    ("room", "rooms", lambda p: p.code),
    ("modality", "modalities", lambda p: p.ae_title),
    ("procedure", "procedures", lambda p: p.code if p.system == "L" else f"{p.code} ({p.system})"),
    ("technologist", "technologists", lambda p: p.code),
    ("porter", "porters", lambda p: p.code),
    ("companion", "companions", lambda p: p.code),
    ("ward", "wards", lambda p: p.code),
    ("destination", "destinations", lambda p: p.name),
    ("route", "routes", lambda p: p.rule),
    ("on call", "on_call", lambda p: p.code),
    ("link", "links", lambda p: p.name),
    ("outlink", "outlinks", lambda p: p.name),
    ("ehr", "ehrs", lambda p: p.name),
    ("provider", "providers", lambda p: p.number),
    ("issuer", "issuers", lambda p: p.name),
    ("subscriber", "subscribers", lambda p: p.name),
)
_SITE_FIELDS = ("name", "timezone", "assigning_authority", "ae_title")


def diff(old: SitePlan | None, new: SitePlan) -> list[str]:
    """One line for each thing that is added, removed or changed; no lines where nothing is.

    `old` is None for a department that is new.
    """
    lines: list[str] = []
    if old is None:
        lines.append(f"site {new.code}: added")
    else:
        lines += _changes(f"site {new.code}", old, new, _SITE_FIELDS)
    for word, attribute, name in _PARTS:
        before: Sequence[Any] = getattr(old, attribute) if old else ()
        lines += _collection(word, before, getattr(new, attribute), name)
    if old is not None:
        plain = [f.name for f in fields(new.policies) if f.name != "autopilot"]
        lines += _changes("policies", old.policies, new.policies, plain)
        pilot = new.policies.autopilot
        lines += _changes("autopilot", old.policies.autopilot, pilot, [f.name for f in fields(pilot)])
    return lines


def _collection(
    word: str, old: Sequence[Any], new: Sequence[Any], name: Callable[[Any], str]
) -> Iterator[str]:
    before = {name(one): one for one in old}
    after = {name(one): one for one in new}
    for key in before:
        if key not in after:
            yield f"{word} {key}: removed"
    for key, one in after.items():
        if key not in before:
            yield f"{word} {key}: added"
        else:
            yield from _changes(f"{word} {key}", before[key], one, [f.name for f in fields(one)])
    kept_before = [key for key in before if key in after]
    kept_after = [key for key in after if key in before]
    if word in ("location", "room") and kept_before != kept_after:
        yield f"{word}s: now in the order {', '.join(after)}"


def _changes(what: str, old: Any, new: Any, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        was, is_now = getattr(old, name), getattr(new, name)
        if was != is_now:
            yield f"{what}: {name.replace('_', ' ')} {shown(was)} → {shown(is_now)}"


def shown(value: Any) -> str:
    """A value of a plan as people read it."""
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if set(value) <= set(WEEKDAYS):
            return _hours_shown(value)
        return ", ".join(f"{key}: {shown(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        return ", ".join(_one_shown(one) for one in value)
    return str(value)


def _one_shown(one: Any) -> str:
    if isinstance(one, ClosurePlan):
        return _closure_shown(one)
    if isinstance(one, KeptPlan):
        released = f", released {one.release_minutes} min before" if one.release_minutes else ""
        return f"{_hours_shown(one.hours)} for {' and '.join(one.whom)}{released}"
    return shown(one)


def _closure_shown(closure: ClosurePlan) -> str:
    def moment(at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M}"

    return f"{moment(closure.start)} to {moment(closure.end)} ({closure.reason})"


def _hours_shown(hours: Mapping[str, tuple[tuple[time, time], ...]]) -> str:
    """`mon-fri 07:00-19:00, sat 08:00-12:00`: neighbouring days with the same hours are drawn together."""
    runs: list[tuple[list[str], tuple[tuple[time, time], ...]]] = []
    for day in WEEKDAYS:
        intervals = hours.get(day, ())
        if not intervals:
            continue
        follows = runs and WEEKDAYS.index(runs[-1][0][-1]) == WEEKDAYS.index(day) - 1
        if follows and runs[-1][1] == intervals:
            runs[-1][0].append(day)
        else:
            runs.append(([day], intervals))
    return ", ".join(
        f"{_days_shown(days)} " + " and ".join(_interval_shown(one) for one in intervals)
        for days, intervals in runs
    )


def _days_shown(days: Sequence[str]) -> str:
    if len(days) == len(WEEKDAYS):
        return "every day"
    return days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}"


def _interval_shown(interval: tuple[time, time]) -> str:
    start, end = interval
    return f"{start:%H:%M}-{'24:00' if end == time(0) else format(end, '%H:%M')}"
