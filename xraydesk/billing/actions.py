"""The only writer of charges, and of who pays."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from xraydesk.access.models import Site
from xraydesk.billing.models import Charge, Coverage
from xraydesk.billing.rules import Decision, Line, Reason
from xraydesk.billing.states import TRANSITIONS, ChargeAction, ChargeState
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient


class ChargeRefused(Exception):
    """The charge is not in a state in which this can be done."""


def move(charge: Charge, action: ChargeAction) -> None:
    """Take a locked charge to where an action leads; raises ChargeRefused where it leads nowhere."""
    state = TRANSITIONS.get((ChargeState(charge.state), action))
    if state is None:
        raise ChargeRefused(f"This charge is {charge.state}: nothing was changed. Load the page again.")
    charge.state = state


def insert(*, exam: Exam, decision: Decision, line: Line, service_at: datetime, at: datetime) -> Charge:
    """Write down a charge: held where the decision has reasons, else ready to go."""
    count = Charge.objects.filter(exam=exam).count() + 1
    held = bool(decision.reasons)
    return Charge.objects.create(
        site_id=exam.site_id,
        exam=exam,
        number=f"{exam.accession}-{count}",
        state=ChargeState.HELD if held else ChargeState.READY,
        reasons=reasons_json(decision.reasons),
        service_at=service_at,
        made_at=at,
        gone_at=None if held else at,
        simulated=exam.simulated,
        **_line(line),
    )


def hold(charge: Charge, *, line: Line, reasons: tuple[Reason, ...]) -> None:
    """Say anew what a held charge waits for, and what it would be."""
    move(charge, ChargeAction.HOLD)
    charge.reasons = reasons_json(reasons)
    _write(charge, line)


def release(charge: Charge, *, line: Line, at: datetime, why: str = "", by: str = "") -> None:
    """Nothing holds it any more, or a person lets it go as it is."""
    move(charge, ChargeAction.RELEASE)
    charge.reasons, charge.gone_at = [], at
    charge.override_why, charge.override_by = why, by
    _write(charge, line)


def send_back(charge: Charge, *, reason: str) -> None:
    """Whoever is charged would not take it: it is held, with what they said."""
    move(charge, ChargeAction.HOLD)
    charge.reasons = [{"key": "refused there", "sentence": reason}]
    charge.save()


def accept(charge: Charge, *, at: datetime) -> None:
    """Whoever is charged has taken it."""
    move(charge, ChargeAction.ACCEPT)
    charge.accepted_at = at
    charge.save(update_fields=["state", "accepted_at"])


def credit(charge: Charge, *, at: datetime, why: str) -> None:
    """It no longer stands."""
    move(charge, ChargeAction.CREDIT)
    charge.credited_at, charge.credited_why = at, why[:200]
    charge.save(update_fields=["state", "credited_at", "credited_why"])


def reasons_json(reasons: tuple[Reason, ...]) -> list[dict[str, str]]:
    """As kept with a charge."""
    return [{"key": str(reason.key), "sentence": reason.sentence} for reason in reasons]


def _write(charge: Charge, line: Line) -> None:
    for name, value in _line(line).items():
        setattr(charge, name, value)
    charge.save()


def _line(line: Line) -> dict[str, object]:
    return {
        "code": line.code,
        "text": line.text,
        "modifiers": list(line.modifiers),
        "views": list(line.views),
        "repeated": line.repeated,
    }


def write_coverage(
    row: Coverage | None,
    *,
    site: Site,
    patient: Patient,
    number: str,
    authority: str,
    status: str,
    subscriber: str,
    payor: str,
    starts: date | None,
    ends: date | None,
    resource: dict[str, Any],
    at: datetime,
) -> Coverage:
    """Write down who pays for a patient's exams: a new row, or the one given brought to what is said now."""
    row = row or Coverage(site=site)
    row.patient = patient
    row.number, row.authority, row.status = number[:64], authority[:227], status
    row.subscriber, row.payor = subscriber[:64], payor[:250]
    row.starts, row.ends, row.resource, row.changed_at = starts, ends, resource, at
    row.save()
    return row


def give_coverages(
    *, from_: Patient, to: Patient, at: datetime, keys: Collection[int] | None = None
) -> list[int]:
    """Who pays for one record's exams pays for another's now; with `keys` those alone. The keys that went over.

    What the other record has under the same number already stays where it is: it is the same coverage.
    """
    mine = Coverage.objects.select_for_update().filter(patient=from_)
    if keys is not None:
        mine = mine.filter(pk__in=keys)
    there = set(
        Coverage.objects.filter(patient=to).exclude(number="").values_list("site_id", "authority", "number")
    )
    gone = [row.pk for row in mine.order_by("pk") if (row.site_id, row.authority, row.number) not in there]
    Coverage.objects.filter(pk__in=gone).update(patient=to, changed_at=at)
    return gone
