"""The only writers of patients, their numbers, alerts and visits. Call inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.lib import locks
from xraydesk.lib.prepared import insert, rows_of
from xraydesk.patients import queries, rules, visits
from xraydesk.patients.demographics import Allergy, Demographics, Identifier, VisitDetails
from xraydesk.patients.events import PatientEvent
from xraydesk.patients.models import Alert, Patient, PatientIdentifier, Visit

IDENTIFIERS_MAX = 20
"""More numbers than these are not kept of one patient and message."""

ALERTS_MAX = 50
"""More alerts than these are not kept of one message."""


class SeveralPatients(Exception):
    """The numbers given belong to more than one patient, or the name and birth date to somebody else."""


class NoIdentifier(Exception):
    """Nothing given tells who the patient is: no number of a person."""


@dataclass(frozen=True)
class Found:
    """A patient with what finding it did: whether the row is new, and which parts were changed."""

    patient: Patient
    created: bool
    changed: tuple[str, ...]
    may_be_another: bool = False
    """True where what was changed makes another person of the record."""


@dataclass(frozen=True)
class VisitChange:
    """A stay as it is now, and whether the patient lies elsewhere than before."""

    visit: Visit
    moved: bool


def lock_names(*, site_id: int, identifiers: Iterable[Identifier]) -> list[str]:
    """The names of the locks that make one patient row of two first messages at once."""
    return [f"patient:{site_id}:{i.authority}:{i.value}" for i in identifiers]


def numbers_looked_up(identifiers: Iterable[Identifier], *, authority: str) -> tuple[Identifier, ...]:
    """Those of the numbers given by which a patient is looked for."""
    return rules.identifiers_that_count(identifiers, authority=authority)[:IDENTIFIERS_MAX]


def find_or_create(
    *,
    site: Site,
    said: Demographics,
    authority: str,
    at: datetime,
    simulated: bool,
    vouched: bool = True,
    locked: bool = False,
) -> Found:
    """The patient that a message speaks of, made where the numbers are new, brought up to date where they are known.

    `authority` is the issuer of numbers that name none. `vouched` says that the sender keeps the
    patient index, so that what it says replaces what is on file; otherwise only gaps are filled.
    `locked` says that the caller holds the locks of `lock_names` already. Row 20 of the faults:
    two first messages at once make one row.

    Raises NoIdentifier, and SeveralPatients where a person must decide.
    """
    identifiers = numbers_looked_up(said.identifiers, authority=authority)
    if not identifiers:
        raise NoIdentifier
    if not locked:
        locks.take(lock_names(site_id=site.pk, identifiers=identifiers))
    matching, patient = _matched(site, identifiers)
    match matching.match:
        case rules.Match.CONFLICT:
            raise SeveralPatients
        case rules.Match.NONE:
            found = Found(_create(site=site, said=said, at=at, simulated=simulated), True, ())
        case rules.Match.ONE:
            assert patient is not None
            found = _brought_up_to_date(patient, said, vouched=vouched)
    _add_identifiers(found.patient, matching.missing)
    _add_alerts(found.patient, said.alerts, at=at)
    return found


def _matched(site: Site, identifiers: Sequence[Identifier]) -> tuple[rules.Matching, Patient | None]:
    matching = queries.match(site=site, identifiers=identifiers)
    key = matching.patient_id
    return matching, rows_of(Patient, "id = $1", [key])[0] if key is not None else None


def _create(*, site: Site, said: Demographics, at: datetime, simulated: bool) -> Patient:
    return insert(Patient(site=site, created_at=at, simulated=simulated, **rules.facts_said(said)))


def _brought_up_to_date(patient: Patient, said: Demographics, *, vouched: bool) -> Found:
    wanted = rules.facts_said(said)
    now = {field: getattr(patient, field) for field in wanted}
    if not vouched and rules.is_somebody_else(now, wanted):
        raise SeveralPatients
    changed = rules.changes(now, wanted) if vouched else rules.additions(now, wanted)
    for field, value in changed.items():
        setattr(patient, field, value)
    if changed:
        patient.save(update_fields=list(changed))
    return Found(patient, False, tuple(sorted(changed)), rules.may_be_another_person(now, changed))


def _add_identifiers(patient: Patient, missing: Sequence[Identifier]) -> None:
    for number in missing:
        insert(
            PatientIdentifier(
                site_id=patient.site_id,
                patient=patient,
                value=number.value,
                authority=number.authority,
                type=number.type,
                sort=rules.identifier_sort(number.type),
            )
        )


def _add_alerts(patient: Patient, alerts: Sequence[Allergy], *, at: datetime) -> None:
    if alerts:
        Alert.objects.bulk_create(
            [
                Alert(site_id=patient.site_id, patient=patient, kind=a.kind[:24], text=a.text[:200], at=at)
                for a in alerts[:ALERTS_MAX]
            ],
            ignore_conflicts=True,
        )


def record_visit(
    *, patient: Patient, event: PatientEvent, said: VisitDetails, at: datetime
) -> VisitChange | None:
    """Write down what news of a stay says: where the patient lies, and whether the stay goes on.

    None where the message says nothing of a stay. A stay without a number is the newest
    one that goes on, else one without a number.
    """
    if not visits.says_something(event, said):
        return None
    current = _visit_meant(patient, said.number)
    before = (
        visits.Stay(
            current.state,
            current.patient_class,
            current.ward,
            current.bed,
            current.started_at,
            current.ended_at,
        )
        if current
        else None
    )
    after = visits.after(event, before, said, at=at)
    visit = current or Visit(site_id=patient.site_id, patient=patient, number=said.number[:64])
    visit.state, visit.patient_class = after.state, after.patient_class
    visit.account = said.account[:64] or visit.account
    visit.ward, visit.bed = after.ward, after.bed
    visit.started_at, visit.ended_at, visit.changed_at = after.started_at, after.ended_at, at
    visit.save()
    return VisitChange(
        visit, moved=before is not None and (before.ward, before.bed) != (after.ward, after.bed)
    )


def _visit_meant(patient: Patient, number: str) -> Visit | None:
    mine = Visit.objects.select_for_update().filter(patient=patient)
    if number:
        return mine.filter(number=number[:64]).first()
    going_on = mine.filter(state=Visit.State.ACTIVE).order_by("-changed_at", "-id").first()
    return going_on or mine.filter(number="").first()
