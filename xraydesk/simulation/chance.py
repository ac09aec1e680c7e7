"""Chance: how long things take and how late people are, drawn from streams that do not disturb each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from random import Random
from statistics import NormalDist

NINETIETH = NormalDist().inv_cdf(0.9)
"""Standard deviations from the median to the 90th percentile."""


class Shape(StrEnum):
    """The forms a distribution can have in a file; its numbers follow in the order they are written there."""

    ALWAYS = "always"
    """One number, always."""
    EVEN = "even"
    """Anything between two numbers, all alike: `from`, `to`."""
    PEAKED = "peaked"
    """Between `low` and `high`, `usual` most often (triangular)."""
    LONG_TAIL = "long tail"
    """Half are under the `median`, nine in ten under `p90` (lognormal)."""
    OBSERVED = "observed"
    """One of the `values` that were seen, all alike."""


@dataclass(frozen=True)
class Distribution:
    """What may come, and how often. Whole numbers; the unit is that of the field that has it."""

    shape: Shape
    numbers: tuple[int, ...]

    def draw(self, random: Random) -> float:
        """One value. Takes a single number from the stream, whatever the shape, so that those after it stay the same."""
        share = random.random()
        numbers = self.numbers
        match self.shape:
            case Shape.ALWAYS:
                return float(numbers[0])
            case Shape.EVEN:
                return numbers[0] + share * (numbers[1] - numbers[0])
            case Shape.PEAKED:
                return _triangular(share, *numbers)
            case Shape.LONG_TAIL:
                return _lognormal(share, numbers[0], numbers[1])
            case _:
                return float(numbers[min(int(share * len(numbers)), len(numbers) - 1)])


def always(number: int) -> Distribution:
    """One number, always."""
    return Distribution(Shape.ALWAYS, (number,))


def even(first: int, last: int) -> Distribution:
    """Anything between two numbers, all alike."""
    return Distribution(Shape.EVEN, (first, last))


def _triangular(share: float, low: float, usual: float, high: float) -> float:
    if high == low:
        return low
    peak = (usual - low) / (high - low)
    if share < peak:
        return float(low + (share * (high - low) * (usual - low)) ** 0.5)
    return float(high - ((1 - share) * (high - low) * (high - usual)) ** 0.5)


def _lognormal(share: float, middle: float, ninetieth: float) -> float:
    spread = log(ninetieth / middle) / NINETIETH
    share = min(max(share, 1e-12), 1 - 1e-12)
    return middle * exp(spread * NormalDist().inv_cdf(share))


class Streams:
    """One stream of chance for each source of it on one day, told apart by name, so that all policies meet the same day."""

    def __init__(self, seed: int, day: int) -> None:
        self._begin = f"{seed} {day}"
        self._known: dict[str, Random] = {}

    def of(self, source: str) -> Random:
        """The stream of a source; the same each time it is asked for."""
        if source not in self._known:
            self._known[source] = Random(f"{self._begin} {source}")
        return self._known[source]
