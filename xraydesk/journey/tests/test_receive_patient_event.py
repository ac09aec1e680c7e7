"""News of a patient: who they are, where they lie, whether they are here."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.errors import IncompleteOrder, PatientConflict
from xraydesk.journey.receive import receive_patient_event
from xraydesk.orders.models import Order
from xraydesk.orders.states import OrderState
from xraydesk.patients.demographics import Allergy, Demographics, Identifier, Name, VisitDetails
from xraydesk.patients.events import PatientEvent
from xraydesk.patients.models import Patient, Visit
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db

ADA = Demographics(
    identifiers=(Identifier("N1", "HOSP", "MR"),),
    name=Name("Prüfer", "Ada"),
    birth_date=date(1969, 5, 12),
    sex="F",
    visit=VisitDetails(number="V1", patient_class="I", ward="W3", bed="12"),
)


@pytest.fixture
def site() -> Site:
    return make_site()


def tell(site: Site, event: PatientEvent, said: Demographics = ADA, minutes: int = 0) -> Patient:
    return receive_patient_event(
        site=site, event=event, patient=said, link="EHR", at=AT + timedelta(minutes=minutes), by="link:EHR"
    )


def lying_in(ward: str, bed: str, number: str = "V1") -> Demographics:
    return replace(ADA, visit=VisitDetails(number=number, ward=ward, bed=bed))


def kinds() -> list[str]:
    return list(Fact.objects.order_by("id").values_list("kind", flat=True))


def inpatient_order(site: Site, patient: Patient, **fields: str) -> Order:
    exam = make_exam(site, patient=patient)
    values = {"visit_number": "V1", "patient_class": "I", "ward": "W3", "bed": "12"} | fields
    Order.objects.filter(pk=exam.order_id).update(**values)
    return Order.objects.get(pk=exam.order_id)


def test_an_admission_makes_patient_and_stay(site: Site) -> None:
    patient = tell(site, PatientEvent.ADMIT)
    visit = Visit.objects.get(patient=patient)
    assert (visit.number, visit.ward, visit.bed, visit.state) == ("V1", "W3", "12", Visit.State.ACTIVE)
    assert visit.started_at == AT
    assert kinds() == [FactKind.PATIENT_CREATED, FactKind.PATIENT_ADMITTED]


def test_an_inpatient_who_moves_is_fetched_from_the_new_bed(site: Site) -> None:
    patient = tell(site, PatientEvent.ADMIT)
    order = inpatient_order(site, patient)
    over = inpatient_order(site, patient, state=OrderState.COMPLETED)
    elsewhere = inpatient_order(site, patient, visit_number="V0")
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2"))
    for one in (order, over, elsewhere):
        one.refresh_from_db()
    assert (order.ward, order.bed) == ("ICU", "2")
    assert (over.ward, elsewhere.ward) == ("W3", "W3")
    fact = Fact.objects.get(kind=FactKind.PATIENT_MOVED)
    assert fact.data == {"ward": "ICU", "orders": 1}
    assert Visit.objects.get().ward == "ICU"


def test_a_patient_who_becomes_an_inpatient_is_fetched_as_one(site: Site) -> None:
    patient = tell(
        site,
        PatientEvent.REGISTER,
        replace(ADA, visit=VisitDetails(number="V1", patient_class="E", ward="ED")),
    )
    order = inpatient_order(site, patient, patient_class="E", ward="ED", bed="")
    tell(site, PatientEvent.ADMIT)
    order.refresh_from_db()
    assert (order.patient_class, order.ward, order.bed) == ("I", "W3", "12")


def test_a_move_told_without_a_visit_number_is_of_the_stay_that_goes_on(site: Site) -> None:
    patient = tell(site, PatientEvent.ADMIT)
    order = inpatient_order(site, patient)
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2", number=""))
    order.refresh_from_db()
    assert Visit.objects.count() == 1
    assert (order.ward, order.bed) == ("ICU", "2")


def test_a_stay_without_any_number_is_kept_once(site: Site) -> None:
    patient = tell(site, PatientEvent.ADMIT, lying_in("W3", "12", number=""))
    order = inpatient_order(site, patient, visit_number="")
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2", number=""))
    tell(site, PatientEvent.DISCHARGE, lying_in("", "", number=""))
    tell(site, PatientEvent.ADMIT, lying_in("W4", "1", number=""))
    order.refresh_from_db()
    visit = Visit.objects.get()
    assert (visit.ward, visit.state) == ("W4", Visit.State.ACTIVE)
    assert order.ward == "W4"


def test_a_transfer_that_is_told_again_moves_nobody(site: Site) -> None:
    tell(site, PatientEvent.ADMIT)
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2"))
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2"))
    assert kinds().count(FactKind.PATIENT_MOVED) == 1


def test_a_cancelled_transfer_brings_the_patient_back(site: Site) -> None:
    patient = tell(site, PatientEvent.ADMIT)
    order = inpatient_order(site, patient)
    tell(site, PatientEvent.TRANSFER, lying_in("ICU", "2"))
    tell(site, PatientEvent.CANCEL_TRANSFER, lying_in("W3", "12"))
    order.refresh_from_db()
    assert (order.ward, order.bed) == ("W3", "12")


def test_a_discharge_ends_the_stay_and_a_cancelled_one_does_not(site: Site) -> None:
    tell(site, PatientEvent.ADMIT)
    tell(site, PatientEvent.DISCHARGE, minutes=5)
    visit = Visit.objects.get()
    assert (visit.state, visit.ended_at) == (Visit.State.ENDED, AT + timedelta(minutes=5))
    tell(site, PatientEvent.CANCEL_DISCHARGE, minutes=9)
    visit.refresh_from_db()
    assert (visit.state, visit.ended_at, visit.bed) == (Visit.State.ACTIVE, None, "12")
    assert kinds()[2:] == [FactKind.PATIENT_DISCHARGED, FactKind.PATIENT_ADMITTED]


def test_a_cancelled_admission_cancels_the_stay(site: Site) -> None:
    tell(site, PatientEvent.ADMIT)
    tell(site, PatientEvent.CANCEL_ADMIT)
    assert Visit.objects.get().state == Visit.State.CANCELLED


def test_an_update_changes_the_person_and_tells_which_parts(site: Site) -> None:
    tell(site, PatientEvent.ADMIT)
    said = Demographics(
        identifiers=(*ADA.identifiers, Identifier("777", "PASS", "PPN")),
        phone="555",
        alerts=(Allergy("allergy", "latex"), Allergy("allergy", "latex")),
    )
    patient = tell(site, PatientEvent.UPDATE, said)
    tell(site, PatientEvent.UPDATE, said)
    patient.refresh_from_db()
    assert (patient.family, patient.phone) == ("Prüfer", "555")
    assert patient.identifiers.count() == 2
    assert patient.alerts.count() == 1
    assert Visit.objects.count() == 1
    assert Fact.objects.get(kind=FactKind.PATIENT_UPDATED).data == {"changed": ["phone"], "identity": False}


def test_an_update_of_a_stay_never_heard_of_makes_it(site: Site) -> None:
    tell(site, PatientEvent.UPDATE)
    assert Visit.objects.get().state == Visit.State.ACTIVE


@pytest.mark.parametrize("event", [PatientEvent.REGISTER, PatientEvent.ARRIVE])
def test_somebody_who_registers_is_here_for_todays_exams(site: Site, event: PatientEvent) -> None:
    patient = tell(site, PatientEvent.UPDATE)
    today = make_booking(make_exam(site, patient=patient), start=AT + timedelta(minutes=30))
    tell(site, event)
    assert Booking.objects.get(pk=today.pk).arrived_at == AT


def test_news_without_a_number_is_refused(site: Site) -> None:
    with pytest.raises(IncompleteOrder):
        tell(site, PatientEvent.ADMIT, replace(ADA, identifiers=(Identifier("9", "HOSP", "AN"),)))
    assert not Patient.objects.exists()


def test_news_with_numbers_of_two_patients_is_refused(site: Site) -> None:
    two = Identifier("N2", "HOSP", "MR")
    tell(site, PatientEvent.ADMIT)
    tell(site, PatientEvent.ADMIT, replace(ADA, identifiers=(two,)))
    with pytest.raises(PatientConflict):
        tell(site, PatientEvent.UPDATE, replace(ADA, identifiers=(*ADA.identifiers, two)))


OTHER = replace(ADA, name=Name("Moreau", "Claire"), birth_date=date(1981, 7, 4))


def test_a_record_with_exams_that_becomes_another_person_is_changed_and_put_before_a_person(
    site: Site,
) -> None:
    tell(site, PatientEvent.UPDATE)
    tell(site, PatientEvent.UPDATE, OTHER)
    assert not Item.objects.exists()
    exam = make_exam(site, patient=Patient.objects.get())
    for said in (replace(OTHER, name=Name("Moreau-Blanc", "Claire")), OTHER, ADA, OTHER):
        assert tell(site, PatientEvent.UPDATE, said).family == said.name.family
    item = Item.objects.get()
    assert (item.kind, item.accession) == ("record may be of another person now", exam.accession)
    assert "Moreau" not in item.text
    updates = Fact.objects.filter(kind=FactKind.PATIENT_UPDATED).order_by("id")
    assert [fact.data.get("in_doubt", False) for fact in updates] == [True, False, False, True, True]
