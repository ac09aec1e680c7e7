"""How sure a mean over days is: Student's t. Pure arithmetic; no table and no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

LEVEL = 0.95
_STEPS_MAX = 300


@dataclass(frozen=True)
class Mean:
    """A mean with its interval: `half` to either side holds the true one in 95 of 100 such runs; None from one day alone."""

    mean: float
    half: float | None
    days: int


def mean_of(numbers: Sequence[float]) -> Mean | None:
    """The mean of independent numbers, one a day, and its 95 % interval; None of no numbers."""
    count = len(numbers)
    if not count:
        return None
    mean = sum(numbers) / count
    if count == 1:
        return Mean(mean, None, 1)
    variance = sum((one - mean) ** 2 for one in numbers) / (count - 1)
    return Mean(mean, t_quantile((1 + LEVEL) / 2, count - 1) * sqrt(variance / count), count)


def t_quantile(share: float, freedom: int) -> float:
    """The value that Student's t with so many degrees of freedom stays under with a probability over one half."""
    low, high = 0.0, 1.0
    while t_cumulative(high, freedom) < share:
        low, high = high, high * 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        if t_cumulative(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_cumulative(value: float, freedom: int) -> float:
    """The probability that Student's t is under a value of 0 or more (Abramowitz and Stegun 26.7.1, 26.5.27)."""
    return 1 - _beta(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function (Abramowitz and Stegun 26.5.8, by Lentz's continued fraction)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    above, below = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value, m, change = below, 0, 1.0
    while abs(change) > 1e-14 and m < _STEPS_MAX:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            below = 1 / (1 + term * below)
            above = 1 + term / above
            change *= above * below
        value *= change
        change -= 1
    return value
