"""When to stop looking for a better plan. The clock is passed in: the engine has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stop:
    """Ends a search at a moment of a clock, after so many steps, or both; None for no such limit.

    `clock` tells seconds from any fixed moment and never goes back (`time.monotonic`).
    """

    clock: Callable[[], float] | None = None
    deadline: float | None = None
    steps_max: int | None = None

    def left_seconds(self) -> float | None:
        """How many seconds are left, never below none; None where time does not end the search."""
        if self.clock is None or self.deadline is None:
            return None
        return max(0.0, self.deadline - self.clock())

    def sooner(self, seconds: float) -> Stop:
        """The same so many seconds earlier; where time does not end the search, the same."""
        return self if self.deadline is None else replace(self, deadline=self.deadline - seconds)

    def now(self, steps: int = 0) -> bool:
        """True once the search is to end."""
        if self.steps_max is not None and steps >= self.steps_max:
            return True
        return self.left_seconds() == 0.0


def after_seconds(seconds: float, clock: Callable[[], float]) -> Stop:
    """Stop so many seconds from now."""
    return Stop(clock=clock, deadline=clock() + seconds)


def after_steps(steps: int) -> Stop:
    """Stop after so many steps, however long they take: the same answer every time."""
    return Stop(steps_max=steps)
