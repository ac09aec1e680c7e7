"""What triage would say of an order that was not sent yet; writes nothing, and uses up no number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.journey.policy import policies_of
from xraydesk.journey.triage import judge
from xraydesk.orders import actions
from xraydesk.orders.asked import asked, order_values
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import Requisition
from xraydesk.orders.rules import Decision
from xraydesk.patients.models import Patient

AFTER_ALL = 2**62
"""A key after all that are given: the order that is not there yet comes last, so that it is the duplicate of others."""


@dataclass(frozen=True)
class Advice:
    """One exam that is thought of, and what the rules would say."""

    text: str
    decision: Decision


def advise(
    *, site: Site, patient: Patient, requisition: Requisition, source: str, at: datetime
) -> list[Advice]:
    """What the rules would say of each exam of an order, were it sent now by `source`. `patient` may be nobody's row yet."""
    order = Order(
        pk=AFTER_ALL, site=site, patient=patient, placer="", received_at=at, **order_values(requisition)
    )
    offered = actions.offered_procedures(
        site, [(exam.code, exam.system) for exam in requisition.exams], source=source
    )
    found = []
    for wanted in requisition.exams:
        exam = Exam(pk=AFTER_ALL, site=site, order=order, patient=patient, created_at=at)
        wish = asked(wanted)
        actions.set_wish(
            exam,
            wish,
            frozenset(wish),
            wanted.requested_at,
            offered=offered,
            policies=policies_of(site),
        )
        found.append(Advice(exam.procedure_text or exam.procedure_code, judge(exam, at=at)))
    return found
