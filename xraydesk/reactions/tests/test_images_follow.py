"""What follows from the facts of images and performed steps."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_booking, make_exam
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey.tests.performing import begun, header, jobs, minutes, received, site_with_pacs, told
from xraydesk.reactions.run import react_to
from xraydesk.scheduling.states import BookingState

pytestmark = pytest.mark.django_db


def react(kind: FactKind) -> None:
    for fact in Fact.objects.filter(kind=kind):
        react_to(fact.pk)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (StepState.COMPLETED, FactKind.EXAM_ENDED),
        (StepState.DISCONTINUED, FactKind.EXAM_DISCONTINUED),
    ],
)
def test_images_go_when_the_exam_ends_and_later_ones_at_once(state: StepState, kind: FactKind) -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    uid = begun(site, exam)
    received(site, header(exam))
    react(FactKind.IMAGE_MATCHED)
    assert not Delivery.objects.exists()
    told(site, uid, state)
    react(kind)
    assert Delivery.objects.count() == 1
    received(site, header(exam))
    react(FactKind.IMAGE_MATCHED)
    assert Delivery.objects.count() == 2
    react(kind)
    assert Delivery.objects.count() == 2


def test_the_slot_that_an_exam_left_is_offered_to_those_who_wait() -> None:
    site = site_with_pacs()
    exam, waiting = make_exam(site), make_exam(site)
    key = f"no place:{waiting.accession}"
    raise_item(site_id=site.pk, kind=ItemKind.NO_PLACE, key=key, at=AT, accession=waiting.accession)
    make_booking(exam, room="XR1", start=AT + minutes(5))
    begun(site, exam, ae_title="XR2")
    react(FactKind.EXAM_TAKEN)
    assert {"exam_id": waiting.pk} in jobs("book")


def test_an_exam_begun_by_mistake_whose_place_has_gone_is_booked_anew() -> None:
    """Row 36: reopened, and back on the worklist."""
    site = site_with_pacs()
    exam = make_exam(site)
    make_booking(exam, room="XR1")
    uid = begun(site, exam, ae_title="XR2")
    make_booking(make_exam(site), room="XR1")
    told(site, uid, StepState.DISCONTINUED, reason_code="110514")
    react(FactKind.EXAM_REOPENED)
    assert exam.bookings.filter(state=BookingState.BOOKED).count() == 1
