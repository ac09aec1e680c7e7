"""After triage the desk lets others give way by itself, where the site wants it."""

from __future__ import annotations

import pytest

from tests.factories import AT
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.autopilot import BY_AUTOPILOT
from xraydesk.journey.tests.test_autopilot import full, steered
from xraydesk.journey.tests.test_rearrange import stat
from xraydesk.lib import clock
from xraydesk.reactions.run import react_to
from xraydesk.scheduling.models import Rearrangement
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("on", [True, False])
def test_an_accepted_stat_is_let_in_once_however_often_the_reaction_runs(
    on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    site = steered(on=on)
    full(site)
    exam = stat(site)
    fact = record(
        site_id=site.pk,
        kind=FactKind.EXAM_ACCEPTED,
        at=AT,
        by="rule",
        accession=exam.accession,
        patient=exam.patient_id,
    )
    react_to(fact.pk)
    react_to(fact.pk)
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.booked_by == (BY_AUTOPILOT if on else "rule")
    assert Rearrangement.objects.count() == on
