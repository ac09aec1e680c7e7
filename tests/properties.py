"""How often a property is tried: less in a plain run than in `make test`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = {"quick": 20, "thorough": 100}
"""Of each property. `HYPOTHESIS_PROFILE` names one of these; `make test` is thorough."""

ALWAYS_THE_SAME = "thorough"
"""What lets a change in or keeps it out tries the same examples for the same test; a plain run looks for new ones."""

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")


def load_profile() -> None:
    """For every property of this run."""
    for profile, count in EXAMPLES.items():
        # No test asserts times: another's work on the same machine is no fault of what is tested.
        settings.register_profile(
            profile,
            max_examples=count,
            deadline=None,
            derandomize=profile == ALWAYS_THE_SAME,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(PROFILE)


def tried(thoroughly: int) -> int:
    """How often to try a property that a thorough run tries so many times: a quick one keeps the proportion."""
    return max(1, thoroughly * EXAMPLES[PROFILE] // EXAMPLES["thorough"])
