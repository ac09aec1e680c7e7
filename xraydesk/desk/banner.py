"""The patient banner: who this is, what to mind, and that the look was logged."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.access.actions import record_read
from xraydesk.access.members import Member
from xraydesk.attention.models import Item
from xraydesk.lib import clock
from xraydesk.patients.models import Alert, Patient, PatientIdentifier, Visit
from xraydesk.patients.queries import current_visit

NUMBERS_SHOWN_MAX = 6


@dataclass(frozen=True)
class Banner:
    """What stands above every page about one patient."""

    patient: Patient
    numbers: list[PatientIdentifier]
    alerts: list[Alert]
    visit: Visit | None

    @property
    def number(self) -> str:
        """The number the patient is known by here."""
        return self.numbers[0].value if self.numbers else ""


def banner_of(patient: Patient) -> Banner:
    """The banner of one patient; three queries."""
    return Banner(
        patient=patient,
        numbers=list(patient.identifiers.order_by("sort", "id")[:NUMBERS_SHOWN_MAX]),
        alerts=list(patient.alerts.order_by("kind", "text")),
        visit=current_visit(patient),
    )


def looked_at(member: Member, patient: Patient, *, what: str, accession: str = "") -> None:
    """Log that a member opened a page about a patient."""
    record_read(member=member, patient=patient.pk, accession=accession, what=what, at=clock.now())


def open_items(*, site_id: int, accession: str) -> list[Item]:
    """What waits for a person about one exam, the least time left first."""
    return list(
        Item.objects.filter(site_id=site_id, accession=accession, closed_at=None).order_by("until")[:20]
    )
