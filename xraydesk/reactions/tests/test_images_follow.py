"""What follows from the facts of images and performed steps."""

from __future__ import annotations

from datetime import date

import pytest

from tests.factories import AT, make_booking, make_exam, make_patient
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey.reconcile import belongs_here
from xraydesk.journey.route import queue_deliveries, record_sent
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


def test_who_was_unknown_when_the_image_was_taken_is_named_in_what_has_not_left() -> None:
    """Row 40: a patient nobody knows yet is identified before the image leaves, and after."""
    site = site_with_pacs()
    patient = make_patient(site, number="T1", family="Unknown", given="Trauma", birth_date=None, sex="")
    exam = make_exam(site, patient=patient)
    unknown = {"patient_name": "Unknown^Trauma", "patient_birth_date": None, "patient_sex": ""}
    said = {"series_instance_uid": "1.2", **unknown}
    told(site, begun(site, exam), StepState.COMPLETED)
    left, stays, corrected = (received(site, header(exam, **said)) for _ in range(3))
    queue_deliveries(exam_id=exam.pk, at=AT)
    record_sent(delivery_id=left.deliveries.get().pk, at=AT, corrections={})
    belongs_here(image_id=corrected.pk, exam_id=exam.pk, at=AT, by="user:c", fix_anatomy=True)
    patient.family, patient.given, patient.birth_date = "Prüfer", "Ada", date(1969, 5, 12)
    patient.save()
    about = {"site_id": site.pk, "patient": patient.pk, "at": AT, "by": "link:EHR"}
    for told_nothing in ({}, {"identity": True, "in_doubt": True}):
        record(kind=FactKind.PATIENT_UPDATED, data=told_nothing, **about)
    react(FactKind.PATIENT_UPDATED)
    stays.refresh_from_db()
    assert stays.corrections == {}
    record(kind=FactKind.PATIENT_UPDATED, data={"identity": True}, **about)
    react(FactKind.PATIENT_UPDATED)
    react(FactKind.PATIENT_UPDATED)
    for image in (left, stays, corrected):
        image.refresh_from_db()
    named = {"PatientName": "Prüfer^Ada", "PatientBirthDate": "19690512"}
    assert (left.corrections, stays.corrections) == ({}, named)
    assert corrected.corrections == named | {"BodyPartExamined": "CHEST"}
    assert Fact.objects.filter(kind=FactKind.IMAGE_CORRECTED, by="rule").count() == 2


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
