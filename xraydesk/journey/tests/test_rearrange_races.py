"""Fifty coordinators accept proposals that touch the same exams at once: each is done whole or not at all."""

from __future__ import annotations

from functools import partial

import pytest

from tests.factories import AT, make_site
from xraydesk.contact.models import Notice
from xraydesk.facts.models import Fact
from xraydesk.journey.errors import BoardChanged, Refused
from xraydesk.journey.propose import propose_for
from xraydesk.journey.rearrange import undo
from xraydesk.journey.tests.test_booking_races import at_once, check_plan
from xraydesk.journey.tests.test_rearrange import MIN, done, full_morning, moves_of, stat
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_fifty_who_accept_one_proposal_one_wins_and_the_others_are_told() -> None:
    """Row 42, for several exams at once."""
    site = make_site()
    full_morning(site)
    exam = stat(site)
    proposed = propose_for(site=site, accession=exam.accession, at=AT)
    told = at_once([partial(done, site, proposed)] * 50)
    assert sum(isinstance(one, Rearrangement) for one in told) == 1
    assert all(isinstance(one, Rearrangement | BoardChanged) for one in told)
    check_plan()
    (kept,) = Rearrangement.objects.all()
    assert Fact.objects.filter(data__rearrangement=kept.pk).count() == len(moves_of(proposed.proposals[0]))


def test_many_proposals_over_the_same_exams_never_lock_each_other_out() -> None:
    """Row 43: ten STATs, each with a proposal that moves others; and each proposal undone at once."""
    site = make_site()
    full_morning(site)
    exams = [stat(site) for _ in range(10)]
    proposals = [propose_for(site=site, accession=e.accession, at=AT) for e in exams]
    told = at_once([partial(done, site, p) for p in proposals for _ in range(3)])
    won = [one for one in told if isinstance(one, Rearrangement)]
    assert won
    assert all(isinstance(one, Rearrangement | Refused) for one in told)
    check_plan()
    placed = [e for e in exams if live_booking(e.pk)]
    assert len(placed) == len(won), "each is done whole or not at all"
    ended = at_once(
        [
            partial(undo, site=site, rearrangement_id=w.pk, at=AT + MIN, by="bob")
            for w in won
            for _ in range(2)
        ]
    )
    undone = [one for one in ended if isinstance(one, Rearrangement)]
    assert all(isinstance(one, Rearrangement | Refused) for one in ended)
    assert len({u.pk for u in undone}) == len(undone)
    check_plan()
    assert sum(live_booking(e.pk) is not None for e in exams) == len(won) - len(undone)
    still = {m["accession"] for r in Rearrangement.objects.filter(undone_at=None) for m in r.moves}
    waiting = set(Notice.objects.filter(state="waiting").values_list("exam__accession", flat=True))
    assert waiting <= still
    assert Booking.objects.filter(state="booked").count() == 24 + len(won) - len(undone)
