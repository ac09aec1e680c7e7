"""What every test shares beside `tests.database`: the copy of a database that it made, and how often a property is tried."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import database

EXAMPLES = {"quick": 50, "thorough": 100}
"""Of each property, made anew for each run. `HYPOTHESIS_PROFILE` names one of these; `make test` is thorough."""

for profile, count in EXAMPLES.items():
    # No test asserts times: another's work on the same machine is no fault of what is tested.
    settings.register_profile(
        profile, max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_finish() -> None:
    """What is there for good is not looked through for garbage again and again while tests run."""
    gc.collect()
    gc.freeze()


if database.PLACE is not None:

    @pytest.fixture(scope="session")
    def django_db_setup() -> Iterator[None]:
        """Nothing to make: pytest-django's own would run every migration anew, in each worker."""
        yield
        from django.db import connections

        connections.close_all()
