"""A receiver that is slow, late, wrong or gone, by seeds: everything is acknowledged or queued, and every exam's order is kept."""

from __future__ import annotations

import pytest

from tests.factories import make_exam
from xraydesk.access.models import Site
from xraydesk.links.models import Message
from xraydesk.links.outgoing import send
from xraydesk.links.outgoing.tests.faulty import FaultyReceiver
from xraydesk.links.outgoing.tests.test_tell import outlink, told_site
from xraydesk.siteplan.link_plan import Sends

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(1, 5))
def test_whatever_a_receiver_does_nothing_is_lost_and_each_exams_order_is_kept(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 4, 5 and 8 at once, and what a receiver chokes on."""
    receiver = FaultyReceiver(seed)
    monkeypatch.setattr(send, "Wire", receiver.wire)
    site: Site = told_site(outlink(sends=(Sends.STATUS,)))
    exams = [make_exam(site) for _ in range(4)]
    for turn in range(20):
        receiver.turn(site, exams, is_away=turn in range(5, 8))
    receiver.settle(site)
    assert Message.objects.filter(state="accepted").count() > 20
    assert set(receiver.counts) >= {"receiver away", "receiver did not answer", "receiver's answer lost"}
