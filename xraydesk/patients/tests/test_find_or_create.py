"""One patient, once, however many messages come at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from threading import Barrier

import pytest
from django.db import connection, transaction

from tests.factories import AT, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.patients.actions import NoIdentifier, SeveralPatients, find_or_create
from xraydesk.patients.demographics import Allergy, Demographics, Identifier, Name
from xraydesk.patients.models import Alert, Patient, PatientIdentifier

ADA = Demographics(
    identifiers=(Identifier("N1", "", "MR"), Identifier("777", "PASS", "PPN")),
    name=Name("Prüfer", "Ada"),
    birth_date=date(1969, 5, 12),
)


def find(site: Site, said: Demographics = ADA, *, vouched: bool = True) -> Patient:
    return find_or_create(
        site=site, said=said, authority="HOSP", at=AT, simulated=False, vouched=vouched
    ).patient


@pytest.mark.django_db(transaction=True)
def test_two_first_messages_at_once_make_one_patient() -> None:
    """Row 20: two first messages for one new patient at once."""
    site = make_site()
    writers = 8
    together = Barrier(writers)

    def first_message(number: int) -> int:
        # Each names the same numbers in another order, which is how writers come to wait for each other.
        identifiers = ADA.identifiers if number % 2 else tuple(reversed(ADA.identifiers))
        try:
            together.wait(10)
            with transaction.atomic():
                return find(site, replace(ADA, identifiers=identifiers)).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as threads:
        keys = set(threads.map(first_message, range(writers)))
    assert len(keys) == 1
    assert Patient.objects.count() == 1
    assert PatientIdentifier.objects.count() == 2


@pytest.mark.django_db
def test_a_number_without_an_issuer_is_of_the_given_one() -> None:
    site = make_site()
    patient = find(site)
    found = PatientIdentifier.objects.filter(patient=patient).order_by("sort")
    assert list(found.values_list("authority", "value")) == [("HOSP", "N1"), ("PASS", "777")]


@pytest.mark.django_db
def test_the_same_number_at_another_site_is_another_patient() -> None:
    assert find(make_site("A")) != find(make_site("B"))


@pytest.mark.django_db
def test_a_merged_patients_number_means_the_one_that_stays() -> None:
    site = make_site()
    stays, gone = make_patient(site, number="N5"), make_patient(site, number="N1")
    Patient.objects.filter(pk=gone.pk).update(merged_into=stays)
    assert find(site, replace(ADA, identifiers=(Identifier("N1"),))) == stays


@pytest.mark.django_db
def test_nobody_is_made_without_a_number() -> None:
    with pytest.raises(NoIdentifier):
        find(make_site(), Demographics(identifiers=()))


@pytest.mark.django_db
def test_numbers_of_two_are_refused() -> None:
    site = make_site()
    make_patient(site, number="N1")
    other = make_patient(site, number="N2")
    with pytest.raises(SeveralPatients):
        find(site, replace(ADA, identifiers=(Identifier("N1"), Identifier("N2"))))
    assert Patient.objects.get(pk=other.pk).family == "Prüfer"


@pytest.mark.django_db
def test_a_sender_without_authority_fills_gaps_and_replaces_nothing() -> None:
    site = make_site()
    make_patient(site, number="N1")
    patient = find(site, replace(ADA, name=Name("PRUFER", "A"), phone="555"), vouched=False)
    patient.refresh_from_db()
    assert (patient.family, patient.given, patient.phone) == ("Prüfer", "Ada", "555")


@pytest.mark.django_db
def test_a_sender_without_authority_may_not_name_somebody_else() -> None:
    site = make_site()
    make_patient(site, number="N1")
    with pytest.raises(SeveralPatients):
        find(site, replace(ADA, birth_date=date(2001, 1, 1)), vouched=False)


@pytest.mark.django_db
def test_an_alert_is_kept_once() -> None:
    site = make_site()
    said = replace(ADA, alerts=(Allergy("allergy", "latex"), Allergy("allergy", "latex")))
    find(site, said)
    find(site, said)
    assert Alert.objects.get().text == "latex"
