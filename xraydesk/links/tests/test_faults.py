"""The feed of a bad network, by seeds: whatever it does, what was acknowledged is there once, and nothing hangs on nobody."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_site, plan_with
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.tests.faulty import FaultyFeed

pytestmark = pytest.mark.django_db
STEPS = 40


@pytest.mark.parametrize("seed", range(1, 7))
def test_whatever_the_wire_does_every_acknowledged_message_is_there_once_and_the_desk_agrees_with_the_sender(
    seed: int,
) -> None:
    """Rows 2, 3, 9, 10, 11, 13, 19, 20 at once."""
    site = make_site()
    site.plan = plan_with(EHR)
    site.save()
    feed = FaultyFeed(site, seed, AT)
    for _ in range(STEPS):
        feed.step()
        feed.check()
    feed.settle()
    feed.agrees()
    assert set(feed.counts) >= {"cut off", "answers lost", "reordered", "doubled"}
