"""A scenario run under several policies, side by side: each measure with how sure it is, and what differs from the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from xraydesk.simulation.confidence import Mean, mean_of
from xraydesk.simulation.department import department_day
from xraydesk.simulation.measures import MEASURES, Measure, number
from xraydesk.simulation.outcome import DayOutcome, End, Use
from xraydesk.simulation.policy import Policy
from xraydesk.simulation.run_day import run_day
from xraydesk.simulation.scenario import Scenario
from xraydesk.simulation.world import world_of
from xraydesk.siteplan.plan import SitePlan

FORMAT = "xraydesk.simulation/1"
DAYS_MAX = 5000
POLICIES_MAX = 12

Progress = Callable[[int, int], None]
"""Told how many days of how many have been run, each under all policies."""

OneDay = Callable[[int], tuple[DayOutcome, ...]]
Each = Callable[[OneDay, Iterable[int]], Iterable[tuple[DayOutcome, ...]]]


@dataclass(frozen=True)
class Cell:
    """One measure under one policy.

    `a_day` is the mean over days, `overall` the number of all days together, `more` by how much it is more than
    under the first policy, day by day on the same patients; None for the first policy itself.
    """

    a_day: Mean | None
    overall: float | None
    more: Mean | None = None

    @property
    def more_percent(self) -> float | None:
        """The same in percent of the first policy's number; None where that is 0, or there is none."""
        if self.more is None or self.a_day is None:
            return None
        first = self.a_day.mean - self.more.mean
        return 100 * self.more.mean / first if first else None


@dataclass(frozen=True)
class Row:
    """One measure, a cell for each policy in order."""

    measure: Measure
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Report:
    """What a run found. `daily` has each policy's numbers, day by day, by the measure's key."""

    site: str
    scenario: str
    days: int
    seed: int
    policies: tuple[Policy, ...]
    rows: tuple[Row, ...]
    daily: tuple[Mapping[str, tuple[float | None, ...]], ...]
    load_percent: int = 100
    """How much of the scenario's orders and appointments came."""
    work_percent: tuple[float | None, float | None] = (None, None)
    """The exams' minutes of all who came, in percent of the time that rooms, and technologists, have under the first policy."""

    def row(self, key: str) -> Row:
        """The row of a measure; raises KeyError."""
        return {row.measure.key: row for row in self.rows}[key]


def simulate(
    site: SitePlan,
    scenario: Scenario,
    policies: Sequence[Policy],
    *,
    days: int,
    seed: int,
    progress: Progress | None = None,
    each: Each = map,
) -> Report:
    """Run so many days under each policy: the same days for all. The same seed gives the same report.

    `each` does one day after the other, or several at once: it is given what is to be done and the days.
    """
    found: list[tuple[DayOutcome, ...]] = []
    one_day = partial(_one_day, site, scenario, tuple(policies), seed)
    for outcomes in each(one_day, range(days)):
        found.append(outcomes)
        if progress:
            progress(len(found), days)
    return report_of(site.name, scenario, policies, list(zip(*found, strict=True)), seed=seed)


def _one_day(
    site: SitePlan, scenario: Scenario, policies: tuple[Policy, ...], seed: int, day: int
) -> tuple[DayOutcome, ...]:
    """One day under each policy."""
    world = world_of(site, scenario, seed=seed, day=day)
    return tuple(
        run_day(world, department_day(site, world.weekday, policy), scenario, policy) for policy in policies
    )


def report_of(
    site: str,
    scenario: Scenario,
    policies: Sequence[Policy],
    outcomes: Sequence[Sequence[DayOutcome]],
    *,
    seed: int,
) -> Report:
    """The report of days that were run, those of each policy in the same order."""
    daily = tuple(
        {m.key: tuple(number(m.become, m.of(day)) for day in days) for m in MEASURES} for days in outcomes
    )
    return Report(
        site=site,
        scenario=scenario.name,
        days=len(outcomes[0]),
        seed=seed,
        policies=tuple(policies),
        rows=tuple(_row(measure, daily, outcomes) for measure in MEASURES),
        daily=daily,
        load_percent=scenario.load_percent,
        work_percent=_work(outcomes[0]),
    )


def _work(days: Sequence[DayOutcome]) -> tuple[float | None, float | None]:
    """The work of rooms and of technologists that came on some days, in percent of the time that they have for it."""
    minutes = sum(e.takes for day in days for e in day.endings if e.end is not End.ABSENT)

    def of(uses: Iterable[Use]) -> float | None:
        there = sum(use.there for use in uses)
        return 100 * minutes / there if there else None

    return of(u for day in days for u in day.rooms.values()), of(
        u for day in days for u in day.technologists.values()
    )


def load_words(report: Report) -> tuple[str, ...]:
    """How much came, in sentences: said where it is not what the scenario says, and plainly where it is more than can be done."""
    said = []
    if report.load_percent != 100:
        said.append(f"{report.load_percent} % of the scenario’s orders and appointments come.")
    for whose, percent in zip(("the rooms", "the technologists"), report.work_percent, strict=True):
        if percent is not None and percent > 100:
            said.append(
                f"That is more than can be done: exams for {percent:.0f} % of the time that {whose} have. Waits then grow "
                "through the day, and say more of its length than of a policy."
            )
    return tuple(said)


def _row(
    measure: Measure,
    daily: Sequence[Mapping[str, tuple[float | None, ...]]],
    outcomes: Sequence[Sequence[DayOutcome]],
) -> Row:
    first = daily[0][measure.key]
    cells = []
    for place, (numbers, days) in enumerate(zip(daily, outcomes, strict=True)):
        own = numbers[measure.key]
        every = [one for day in days for one in measure.of(day)]
        cells.append(
            Cell(
                a_day=mean_of([one for one in own if one is not None]),
                overall=number(measure.become, every, len(days)),
                more=mean_of(list(_differences(first, own))) if place else None,
            )
        )
    return Row(measure, tuple(cells))


def _differences(first: Sequence[float | None], own: Sequence[float | None]) -> Iterator[float]:
    for a, b in zip(first, own, strict=True):
        if a is not None and b is not None:
            yield b - a


@dataclass(frozen=True)
class TextCell:
    """One measure under one policy in words: its mean with the interval, and by how much more it is than under the first."""

    policy: str
    text: str
    more: str


@dataclass(frozen=True)
class TextRow:
    """One measure as a table shows it."""

    name: str
    words: str
    cells: tuple[TextCell, ...]


# -- as data and as text -----------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "format": FORMAT,
        "site": report.site,
        "scenario": report.scenario,
        "days": report.days,
        "seed": report.seed,
        "load_percent": report.load_percent,
        "work_percent": dict(zip(("rooms", "technologists"), report.work_percent, strict=True)),
        "load_words": list(load_words(report)),
        "policies": [{"name": p.name, "desk": str(p.way), "words": p.words} for p in report.policies],
        "measures": [
            {
                "key": row.measure.key,
                "name": row.measure.name,
                "unit": row.measure.unit,
                "words": row.measure.words,
                "policies": [_cell_json(cell) for cell in row.cells],
            }
            for row in report.rows
        ],
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "a_day": _mean_json(cell.a_day),
        "overall": cell.overall,
        "more": _mean_json(cell.more),
        "more_percent": cell.more_percent,
    }


def _mean_json(mean: Mean | None) -> dict[str, Any] | None:
    return None if mean is None else {"mean": mean.mean, "half": mean.half, "days": mean.days}


def cells_of(data: Mapping[str, Any]) -> Iterator[TextRow]:
    """The table of a report that was kept as data (`as_json`)."""
    names = [policy["name"] for policy in data["policies"]]
    for measure in data["measures"]:
        yield TextRow(
            name=f"{measure['name']}{f', {unit}' if (unit := measure['unit']) else ''}",
            words=measure["words"],
            cells=tuple(
                TextCell(
                    name, mean_text(_mean_of_json(cell["a_day"])), more_mean_text(_mean_of_json(cell["more"]))
                )
                for name, cell in zip(names, measure["policies"], strict=True)
            ),
        )


def _mean_of_json(data: Mapping[str, Any] | None) -> Mean | None:
    return None if data is None else Mean(data["mean"], data["half"], data["days"])


def cell_text(cell: Cell) -> str:
    """`4.4 ± 0.3`; a dash where there is nothing to tell."""
    return mean_text(cell.a_day)


def mean_text(mean: Mean | None) -> str:
    """A mean with its interval."""
    if mean is None:
        return "–"
    return (
        number_text(mean.mean)
        if mean.half is None
        else f"{number_text(mean.mean)} ± {number_text(mean.half)}"
    )


def more_text(cell: Cell) -> str:
    """`-2.7 ± 0.2`; nothing for the first policy."""
    return more_mean_text(cell.more)


def more_mean_text(more: Mean | None) -> str:
    """The same of a difference by itself; nothing where there is none."""
    if more is None:
        return ""
    mean = mean_text(more)
    return mean if mean.startswith("-") else f"+{mean}"


def number_text(one: float) -> str:
    """`288`, `27.4`, `0.03`: as many places as mean something."""
    return f"{one:.0f}" if abs(one) >= 100 else f"{one:.1f}" if abs(one) >= 1 or one == 0 else f"{one:.2f}"


def as_markdown(report: Report) -> str:
    """The report as a table that a page of text can hold."""
    names = [p.name for p in report.policies]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in report.rows:
        unit = f", {row.measure.unit}" if row.measure.unit else ""
        cells = [cell_text(c) + (f" ({more_text(c)})" if more_text(c) else "") for c in row.cells]
        lines.append(f"| {row.measure.name}{unit} | {' | '.join(cells)} |")
    return "\n".join([*(f"{words}\n" for words in load_words(report)), *lines]) + "\n"
