"""Taking typed fields out of one table of a site file, and noting everything that is wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from enum import StrEnum
from typing import Any, TypeVar

from xraydesk.siteplan.hours import WEEKDAYS, Hours
from xraydesk.siteplan.lines import Path
from xraydesk.siteplan.problems import Problem

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

LIST_MAX = 200
"""Elements of one list in a file."""

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_MODALITY = re.compile(r"[A-Z]{2,16}")
_INTERVAL = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*[-–]\s*(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
DAY_GROUPS: Mapping[str, tuple[str, ...]] = {
    "every": WEEKDAYS,
    "weekdays": WEEKDAYS[:5],
    "weekend": WEEKDAYS[5:],
    **{day: (day,) for day in WEEKDAYS},
}
"""Names for days in hours, from the widest to the narrowest: a narrower one replaces a wider one."""


class Table:
    """One table of the file. What is missing or wrong is noted, and an empty value stands in for it."""

    def __init__(self, path: Path, data: object, problems: list[Problem]) -> None:
        self.path = path
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        self.problems = problems
        self.asked: set[str] = set()
        if not isinstance(data, dict):
            self.problems.append(Problem(path, "must be a table of fields"))
            self.asked.add("*")

    def problem(self, key: str | int, what: str, *deeper: str | int) -> None:
        self.problems.append(Problem((*self.path, key, *deeper), what))

    def done(self, made: T) -> T:
        """Hand `made` on, after complaining of fields that nobody asked for."""
        self.nothing_else()
        return made

    def nothing_else(self) -> None:
        """Complain of fields that nobody asked for."""
        if "*" not in self.asked:
            for key in self.data:
                if key not in self.asked:
                    self.problem(
                        key, f"there is no such field here; known are: {', '.join(sorted(self.asked))}"
                    )

    def _take(self, key: str, needed: bool) -> Any:
        self.asked.add(key)
        if key not in self.data and needed and "*" not in self.asked - {key}:
            self.problem(key, "is missing")
        return self.data.get(key)

    def text(self, key: str, *, default: str | None = None, length_max: int = 120) -> str:
        """A text of one line; not empty unless it may be left out."""
        value = self._take(key, default is None)
        if value is None:
            return default or ""
        return self._text(value, key, length_max=length_max, empty=default is not None)

    def _text(self, value: object, *where: str | int, length_max: int, empty: bool = False) -> str:
        key, *deeper = where
        if not isinstance(value, str):
            self.problem(key, "must be text in quotes", *deeper)
        elif not value.strip() and not empty:
            self.problem(key, "is empty", *deeper)
        elif len(value) > length_max:
            self.problem(key, f"is longer than {length_max} characters", *deeper)
        elif not value.isprintable():
            self.problem(key, "has characters that cannot be shown; it must be one line", *deeper)
        else:
            return value.strip()
        return ""

    def code(self, key: str) -> str:
        """A short name that addresses and lists use."""
        value = self.text(key, length_max=64)
        if value and not _CODE.fullmatch(value):
            self.problem(key, f"“{value}” must be 1 to 32 letters, digits, dots, hyphens or underscores")
            return ""
        return value

    def modality(self, key: str, default: str | None = None) -> str:
        """A DICOM modality such as DX or CR."""
        value = self.text(key, default=default, length_max=64)
        if value and not _MODALITY.fullmatch(value):
            self.problem(key, f"“{value}” is no modality; write capital letters such as DX or CR")
            return ""
        return value

    def whole(
        self, key: str, lowest: int = -(2**31), highest: int = 2**31 - 1, default: int | None = None
    ) -> int:
        """A whole number within limits."""
        value = self._take(key, default is None)
        if value is None:
            return default if default is not None else max(lowest, 1)
        return self._whole(value, key, lowest=lowest, highest=highest)

    def _whole(self, value: object, *where: str | int, lowest: int, highest: int) -> int:
        key, *deeper = where
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(key, "must be a whole number", *deeper)
        elif not lowest <= value <= highest:
            self.problem(key, f"lies between {lowest} and {highest}", *deeper)
        else:
            return value
        return max(lowest, 1)

    def whole_or_none(self, key: str, lowest: int, highest: int) -> int | None:
        """A whole number within limits, or nothing where it is left out."""
        return self.whole(key, lowest, highest) if key in self.data else self._take(key, False)

    def three(
        self, key: str, lowest: int, highest: int, default: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        """Three whole numbers, one for each category of findings."""
        values = self._list(key, False)
        if not values:
            return default
        if len(values) != 3:
            self.problem(key, "must be three whole numbers, one for each category")
            return default
        first, second, third = (
            self._whole(v, key, i, lowest=lowest, highest=highest) for i, v in enumerate(values)
        )
        return first, second, third

    def row(self, key: str, lowest: int, highest: int, *, count: int | None = None) -> tuple[int, ...]:
        """Whole numbers in order; `count` of them where that is said."""
        values = self._list(key, True)
        if count is not None and values and len(values) != count:
            self.problem(key, f"must be {count} whole numbers; there are {len(values)}")
        return tuple(self._whole(v, key, i, lowest=lowest, highest=highest) for i, v in enumerate(values))

    def yes_no(self, key: str, default: bool = False) -> bool:
        """true or false; the default where it is left out."""
        value = self._take(key, False)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.problem(key, "must be true or false")
        return default

    def _list(self, key: str, needed: bool) -> list[Any]:
        value = self._take(key, needed)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(key, "must be a list in brackets")
            return []
        if len(value) > LIST_MAX:
            self.problem(key, f"has more than {LIST_MAX} elements")
            return []
        if needed and not value:
            self.problem(key, "is empty")
        return value

    def texts(
        self, key: str, *, needed: bool = False, length_max: int = 32, default: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """A list of short texts."""
        if key not in self.data and default:
            self.asked.add(key)
            return default
        values = self._list(key, needed)
        return tuple(self._text(value, key, i, length_max=length_max) for i, value in enumerate(values))

    def text_or_texts(self, key: str, *, needed: bool = True) -> tuple[str, ...]:
        """One short text, or a list of them."""
        if isinstance(self.data.get(key), str):
            return (self.text(key, length_max=32),)
        return self.texts(key, needed=needed)

    def names(self, key: str, *, length_max: int = 64) -> Mapping[str, str]:
        """A table of words, each with another one."""
        return {
            name: self._text(value, key, name, length_max=length_max, empty=True)
            for name, value in self._names(key).items()
        }

    def words(
        self, key: str, choice: type[E], *, needed: bool = True, default: tuple[E, ...] = ()
    ) -> tuple[E, ...]:
        """A list of a few known words, each once."""
        if key not in self.data and default:
            self.asked.add(key)
            return default
        found: list[E] = []
        for position, value in enumerate(self._list(key, needed)):
            if isinstance(value, str) and value in list(choice):
                found.append(choice(value))
            else:
                self.problem(key, f"“{value}” is none of: {', '.join(choice)}", position)
        return tuple(dict.fromkeys(found))

    def word(self, key: str, choice: type[E], *, default: E | None = None) -> E:
        """One of a few known words."""
        value = self.text(key, default=default, length_max=64)
        if value in list(choice):
            return choice(value)
        if value:
            self.problem(key, f"“{value}” is none of: {', '.join(choice)}")
        return next(iter(choice))

    def moment(self, key: str) -> datetime:
        """A date and time on the wall, without an offset."""
        value = self._take(key, True)
        if isinstance(value, datetime) and value.tzinfo is None:
            return value
        if value is not None:
            self.problem(
                key, "must be a date and time without quotes and offset, such as 2026-12-24T12:00:00"
            )
        # Wall times have no zone; the stand-in makes no closure look as if it ended before it starts.
        return datetime.min if key == "start" else datetime.max  # noqa: DTZ901

    def hours(self, key: str, *, needed: bool = True) -> Hours:
        """Weekdays with their intervals, `{ every = ["07:00-19:00"], sun = [] }`."""
        value = self._take(key, needed)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(key, 'must be a table of days, such as { every = ["07:00-19:00"] }')
            return {}
        for day in value:
            if day not in DAY_GROUPS:
                self.problem(key, f"is no day; known are: {', '.join(DAY_GROUPS)}", day)
        found: dict[str, tuple[tuple[time, time], ...]] = {}
        for group, days in DAY_GROUPS.items():
            if group in value:
                intervals = self._intervals(value[group], key, group)
                found |= dict.fromkeys(days, intervals)
        return {day: found[day] for day in WEEKDAYS if found.get(day)}

    def _intervals(self, value: object, key: str, day: str) -> tuple[tuple[time, time], ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or len(values) > LIST_MAX:
            self.problem(key, 'must be a list such as ["07:00-12:00", "13:00-19:00"]', day)
            return ()
        found = []
        for position, text in enumerate(values):
            match = _INTERVAL.fullmatch(text.strip()) if isinstance(text, str) else None
            if match is None:
                self.problem(key, f"“{text}” is no interval such as 07:00-19:00", day, position)
                continue
            start = time(int(match[1]), int(match[2]))
            found.append((start, time(int(match[3] or 0), int(match[4] or 0))))
        return tuple(sorted(found))

    def choices(self, key: str, choice: type[E]) -> Mapping[str, E]:
        """A table of names, each with one of a few words."""
        found: dict[str, E] = {}
        for name, value in self._names(key).items():
            if isinstance(value, str) and value in list(choice):
                found[name] = choice(value)
            else:
                self.problem(key, f"“{value}” is none of: {', '.join(choice)}", name)
        return found

    def wholes(self, key: str, lowest: int, highest: int) -> Mapping[str, int]:
        """A table of names, each with a whole number."""
        return {
            name: self._whole(value, key, name, lowest=lowest, highest=highest)
            for name, value in self._names(key).items()
        }

    def _names(self, key: str) -> dict[str, Any]:
        value = self._take(key, False)
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > LIST_MAX:
            self.problem(key, f"must be a table of at most {LIST_MAX} fields")
            return {}
        return value

    def table(self, key: str, needed: bool = True) -> Table:
        """A table inside this one."""
        value = self._take(key, needed)
        inner = Table((*self.path, key), {} if value is None else value, self.problems)
        if value is None:
            inner.asked.add("*")
        return inner

    def tables(self, key: str, count_max: int, *, needed: bool = False) -> list[Table]:
        """The tables of one kind, such as every `[[room]]`."""
        value = self._take(key, needed)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(key, f"must be written as a list of tables, such as [[{key}]]")
            return []
        if len(value) > count_max:
            self.problem(key, f"has more than {count_max} entries")
            return []
        return [Table((*self.path, key, i), one, self.problems) for i, one in enumerate(value)]
