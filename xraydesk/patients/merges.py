"""Making two records one and parting them again: the only writer of merges. Call inside a transaction, holding the locks.

The numbers of a record that went stay with it: `queries.match` leads from them to the record
that stays, and no message goes out under them any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.lib.text import shortened
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.merge_rules import Owner
from xraydesk.patients.models import Alert, Merge, Patient, PatientIdentifier, Visit
from xraydesk.patients.rules import identifier_sort

RECORDS_MAX = 20
"""No message joins more records than these."""

FILLED = ("pregnancy", "isolation")
"""What the record that stays takes over where it says nothing itself: it would do harm to lose it."""


def owners(*, site: Site, identifiers: Sequence[Identifier]) -> dict[tuple[str, str], Owner]:
    """The records, also those that went, that have these numbers, by (issuer, value)."""
    wanted = {(i.authority, i.value) for i in identifiers}
    rows = PatientIdentifier.objects.filter(site=site, value__in=[i.value for i in identifiers]).values_list(
        "authority", "value", "patient_id", "patient__merged_into_id"
    )
    return {
        (issuer, value): Owner(key, into) for issuer, value, key, into in rows if (issuer, value) in wanted
    }


def numbers_of(patient_ids: Iterable[int]) -> list[Identifier]:
    """Every number of some records, and of those that went into them."""
    keys = list(patient_ids)
    rows = PatientIdentifier.objects.filter(Q(patient__in=keys) | Q(patient__merged_into__in=keys))
    return [Identifier(row.value, row.authority, row.type) for row in rows]


def lock_records(patient_ids: Iterable[int]) -> dict[int, Patient]:
    """The records, locked in one order; whoever only points to them need not wait."""
    found = Patient.objects.select_for_update(no_key=True).filter(pk__in=set(patient_ids)).order_by("id")
    return {patient.pk: patient for patient in found}


def empty_record(*, site: Site, identifiers: Sequence[Identifier], at: datetime, simulated: bool) -> Patient:
    """A record for numbers that are to go and never came here: what is sent under them later finds whom it means."""
    record = Patient.objects.create(site=site, created_at=at, simulated=simulated)
    add_numbers(record, identifiers)
    return record


def add_numbers(patient: Patient, identifiers: Sequence[Identifier]) -> None:
    """Let a record be found by more numbers."""
    PatientIdentifier.objects.bulk_create(
        PatientIdentifier(
            site_id=patient.site_id,
            patient=patient,
            value=i.value,
            authority=i.authority,
            type=i.type,
            sort=identifier_sort(i.type),
        )
        for i in identifiers
    )


def give_numbers(*, from_: Patient, to: Patient, identifiers: Sequence[Identifier]) -> list[int]:
    """Hand numbers from one record to another; the keys of those handed over."""
    wanted = {(i.authority, i.value) for i in identifiers}
    mine = [n for n in from_.identifiers.all() if (n.authority, n.value) in wanted]
    PatientIdentifier.objects.filter(pk__in=[n.pk for n in mine]).update(patient=to)
    return [n.pk for n in mine]


def join(*, stays: Patient, goes: Patient) -> dict[str, list[int]]:
    """Let one record go into another: its alerts and stays go over, and whatever went into it goes along.

    The keys of the rows that changed hands, by table. Alerts and stays that both have stay where they are.
    """
    known = set(stays.alerts.values_list("kind", "text"))
    alerts = [a.pk for a in goes.alerts.all() if (a.kind, a.text) not in known]
    Alert.objects.filter(pk__in=alerts).update(patient=stays)
    mine = set(stays.visits.values_list("number", flat=True))
    visits = [v.pk for v in goes.visits.all() if v.number not in mine]
    Visit.objects.filter(pk__in=visits).update(patient=stays)
    merged = list(goes.merged.values_list("pk", flat=True))
    Patient.objects.filter(pk__in=merged).update(merged_into=stays)
    goes.merged_into = stays
    goes.save(update_fields=["merged_into"])
    for field in FILLED:
        if not getattr(stays, field) and getattr(goes, field):
            setattr(stays, field, getattr(goes, field))
    stays.save(update_fields=FILLED)
    return {"alerts": alerts, "visits": visits, "merged": merged}


def give_visit(
    *, from_: Patient, to: Patient, numbers: Iterable[str] = (), accounts: Iterable[str] = ()
) -> list[int]:
    """Let stays go over to another record, by their number or account; the keys of those that did."""
    wanted = Q(number__in=list(numbers)) | Q(account__in=list(accounts))
    mine = set(to.visits.values_list("number", flat=True))
    keys = [v.pk for v in from_.visits.filter(wanted) if v.number not in mine]
    Visit.objects.filter(pk__in=keys).update(patient=to)
    return keys


def renumber_visit(*, patient: Patient, before: str, after: str) -> int:
    """A stay has another number now. One that has it already goes on, and the old one ends; the number changed."""
    old = patient.visits.filter(number=before)
    if patient.visits.filter(number=after).exists():
        return old.exclude(state=Visit.State.CANCELLED).update(state=Visit.State.CANCELLED)
    return old.update(number=after)


def renumber_account(*, patient: Patient, before: str, after: str) -> int:
    """The stays of an account are charged to another one now; the number changed."""
    return patient.visits.filter(account=before).update(account=after)


def write_merge(
    *,
    stays: Patient,
    goes: Patient,
    whole: bool,
    moved: Mapping[str, Sequence[int]],
    why: str,
    at: datetime,
    by: str,
) -> Merge:
    """Keep what was done, so that it can be shown and undone."""
    return Merge.objects.create(
        site_id=stays.site_id,
        stays=stays,
        goes=goes,
        whole=whole,
        moved={table: list(keys) for table, keys in moved.items() if keys},
        why=shortened(why, 200),
        at=at,
        by=by,
    )


def part(merge: Merge, *, holder: Patient, at: datetime, by: str) -> bool:
    """Give a record that went its stays, alerts and numbers back; only the first to undo it does, False for the others.

    `holder` has today what went over: the record that stayed, or where that went to.
    """
    if not Merge.objects.filter(pk=merge.pk, undone_at=None).update(undone_at=at, undone_by=by):
        return False
    goes, moved = merge.goes, merge.moved
    for model, table in ((Alert, "alerts"), (Visit, "visits")):
        model.objects.filter(pk__in=moved.get(table, ()), patient=holder).update(patient=goes)
    if merge.whole:
        Patient.objects.filter(pk__in=moved.get("merged", ()), merged_into=holder).update(merged_into=goes)
        goes.merged_into = None
        goes.save(update_fields=["merged_into"])
    # Numbers that were used on under the other record come home with it.
    PatientIdentifier.objects.filter(pk__in=moved.get("numbers", ()), patient=holder).update(patient=goes)
    if numbers := moved.get("identifiers"):
        # An own number that was retired had a record made for it alone: it comes home, the empty record stays gone.
        PatientIdentifier.objects.filter(pk__in=numbers, patient=goes).update(patient=holder)
        goes.merged_into = holder
        goes.save(update_fields=["merged_into"])
    return True
