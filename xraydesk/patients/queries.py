"""Finding patients: by number, by what somebody types, and those easily taken for each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.lib.prepared import Question, ask, rows_of
from xraydesk.lib.text import folded
from xraydesk.patients import rules
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import Patient, PatientIdentifier, Visit
from xraydesk.patients.rules import Person, look_alikes

FOUND_MAX = 50
"""No search shows more patients than these; the page asks for more letters instead."""

PHONE_DIGITS_MIN = 4
"""Fewer digits than these are no phone number."""


def by_identifier(*, site: Site, value: str, authority: str = "") -> Patient | None:
    """The patient with a number, of one issuer where it is given; None where nobody or more than one has it."""
    found = PatientIdentifier.objects.filter(site=site, value=value.strip()).select_related(
        "patient__merged_into"
    )
    if authority:
        found = found.filter(authority=authority)
    patients = {(row.patient.merged_into or row.patient) for row in found[:3]}
    return patients.pop() if len(patients) == 1 else None


def match(*, site: Site, identifiers: Sequence[Identifier]) -> rules.Matching:
    """Who has these numbers, their issuers filled in; a merged record's numbers mean the record that stays."""
    rows = ask(question_of_numbers(site=site, identifiers=identifiers))
    known = [rules.KnownIdentifier(value, issuer, stays or key) for value, issuer, key, stays in rows]
    return rules.match(identifiers, known)


def question_of_numbers(*, site: Site, identifiers: Sequence[Identifier]) -> Question:
    """What `match` asks: whose these numbers are, and into which record that one was merged."""
    return Question(
        "SELECT n.value, n.authority, n.patient_id, p.merged_into_id FROM patients_patientidentifier n"
        " JOIN patients_patient p ON p.id = n.patient_id WHERE n.site_id = $1 AND n.value = ANY($2::text[])",
        [site.pk, [i.value for i in identifiers]],
        frozenset({"patients_patient", "patients_patientidentifier"}),
    )


def search(*, site: Site, text: str, limit: int = FOUND_MAX) -> QuerySet[Patient]:
    """Patients whose name, number or phone fits what was typed; case, accents and word order do not matter.

    Every word must begin a part of the name ("pru ada" finds Ada Prüfer). A number fits whole or by its
    beginning, a phone by its last digits. At most `limit` of them, by name.
    """
    words = folded(text).replace(",", " ").split()[:6]
    if not words:
        return Patient.objects.none()
    by_name = Q()
    for word in words:
        by_name &= Q(name_folded__startswith=word) | Q(name_folded__contains=f" {word}")
    typed = text.strip()[:64]
    by_number = Q(
        pk__in=PatientIdentifier.objects.filter(site=site, value__istartswith=typed).values("patient")
    )
    fits = by_name | by_number
    digits = re.sub(r"\D", "", text)
    if len(digits) >= PHONE_DIGITS_MIN and not re.search(r"[A-Za-z]", text):
        # Phones are kept as they were sent; any marks may stand between the digits.
        fits |= Q(phone__regex=r"\D*".join(digits[-15:]) + r"\D*$")
    found = Patient.objects.filter(fits, site=site, merged_into=None)
    return found.order_by("name_folded", "id")[: min(limit, FOUND_MAX)]


def look_alikes_among(patients: Iterable[Patient]) -> dict[int, frozenset[int]]:
    """For each of `patients` with a look-alike among them, the keys of those. Give it the patients of one day."""
    people = {p.pk: Person(p.pk, p.family, p.given, p.birth_date) for p in patients}
    return look_alikes(list(people.values()))


def current_visit(patient: Patient) -> Visit | None:
    """The stay that goes on, the one heard of last; None where there is none."""
    newest = "patient_id = $1 AND state = $2 ORDER BY changed_at DESC, id DESC LIMIT 1"
    return next(iter(rows_of(Visit, newest, [patient.pk, Visit.State.ACTIVE.value])), None)
