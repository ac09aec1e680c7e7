"""Finding patients by what people know of them."""

from __future__ import annotations

from datetime import date

import pytest

from tests.factories import AT, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.patients.models import Patient, PatientIdentifier, Visit
from xraydesk.patients.queries import by_identifier, current_visit, look_alikes_among, search

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def ada(site: Site) -> Patient:
    return make_patient(site, number="N77", phone="(555) 555-0100")


@pytest.mark.parametrize(
    "text", ["prufer", "Prüfer, Ada", "ada pru", "ADA", "n77", "N7", "555 0100", "5550100", "(555)555-0100"]
)
def test_a_patient_is_found_by_name_number_or_phone(site: Site, ada: Patient, text: str) -> None:
    assert list(search(site=site, text=text)) == [ada]


@pytest.mark.parametrize("text", ["", "  ", ",", "rufer", "ada x", "77", "555 0199", "%", "0100 ada"])
def test_what_does_not_fit_finds_nobody(site: Site, ada: Patient, text: str) -> None:
    assert list(search(site=site, text=text)) == []


def test_another_sites_patient_is_never_found(ada: Patient) -> None:
    other = make_site("B")
    assert list(search(site=other, text="ada")) == []
    assert by_identifier(site=other, value="N77") is None


def test_a_search_is_capped_and_leaves_merged_patients_out(site: Site, ada: Patient) -> None:
    for _ in range(3):
        make_patient(site)
    Patient.objects.filter(pk=ada.pk).update(merged_into=make_patient(site))
    found = list(search(site=site, text="ada", limit=2))
    assert len(found) == 2
    assert ada not in found


def test_a_number_that_two_issuers_gave_needs_its_issuer(site: Site, ada: Patient) -> None:
    other = make_patient(site)
    PatientIdentifier.objects.create(site=site, patient=other, value="N77", authority="LAB")
    assert by_identifier(site=site, value="N77") is None
    assert by_identifier(site=site, value=" N77 ", authority="LAB") == other


def test_a_number_of_a_merged_patient_finds_the_one_that_stays(site: Site, ada: Patient) -> None:
    stays = make_patient(site)
    Patient.objects.filter(pk=ada.pk).update(merged_into=stays)
    assert by_identifier(site=site, value="N77") == stays


def test_look_alikes_are_told_for_each(site: Site, ada: Patient) -> None:
    twin = make_patient(site, given="Ida", birth_date=ada.birth_date)
    stranger = make_patient(site, family="Klein", given="Jo", birth_date=date(2000, 1, 1))
    assert look_alikes_among([ada, twin, stranger, ada]) == {
        ada.pk: frozenset({twin.pk}),
        twin.pk: frozenset({ada.pk}),
    }


def test_the_current_stay_is_the_one_that_goes_on(site: Site, ada: Patient) -> None:
    assert current_visit(ada) is None
    Visit.objects.create(site=site, patient=ada, number="1", state=Visit.State.ENDED, changed_at=AT)
    now = Visit.objects.create(site=site, patient=ada, number="2", changed_at=AT)
    assert current_visit(ada) == now
