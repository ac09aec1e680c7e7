"""A modality begins what nobody ordered: an exam is made, so that its images and dose have a place."""

from __future__ import annotations

import hashlib
from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.header import ScheduledReference, StepReport
from xraydesk.journey.policy import policies_of
from xraydesk.journey.told import order_told
from xraydesk.orders.actions import apply_triage, create_order
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import TriageAction
from xraydesk.patients.actions import NoIdentifier, SeveralPatients, find_or_create
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import OrderControl

DESK_AUTHORITY = "DESK"
"""Issuer of the numbers that the desk gives where nobody else has: placers from the block U…, unknown patients."""

OUTSIDE_SOURCE = "outside:"
"""Begins the source of the orders that the desk makes itself for what another house did."""

WITHOUT_ORDER = "Exam without an order"


def is_without_order(order: Order) -> bool:
    """True of an order that the desk made itself for what a machine began."""
    return order.placer_authority == DESK_AUTHORITY and order.source.startswith("modality:")


def is_done_elsewhere(order: Order) -> bool:
    """True of an order that stands for a study of another house: nothing of it is planned or charged here."""
    return order.placer_authority == DESK_AUTHORITY and order.source.startswith(OUTSIDE_SOURCE)


def unscheduled_key(accession: str) -> str:
    """The key of the item about an exam without an order."""
    return f"unscheduled:{accession}"


def make_exam(
    *, site: Site, report: StepReport, reference: ScheduledReference, at: datetime, by: str
) -> Exam:
    """An accepted exam, with an order of the desk's own, for a step that references none known here.

    The patient is found by number; where the step names none, or the number is of somebody
    with another name or birth date, one is made that a person identifies later. Call inside
    the transaction of the step.
    """
    number = _own_number(report, reference)
    patient, is_known = _patient(site, report, number=number, at=at)
    requisition = Requisition(
        control=OrderControl.NEW,
        patient=Demographics(identifiers=()),
        placer=number,
        placer_authority=DESK_AUTHORITY,
        exams=(
            RequestedExam(
                code=report.procedure_code,
                text=report.procedure_text or WITHOUT_ORDER,
                accession=reference.accession,
                study_instance_uid=reference.study_instance_uid,
                requested_procedure_id=reference.requested_procedure_id,
                scheduled_step_id=reference.scheduled_step_id,
            ),
        ),
    )
    _, (exam,) = create_order(
        site=site,
        patient=patient,
        requisition=requisition,
        source=by,
        policies=policies_of(site),
        at=at,
        simulated=site.simulated,
    )
    apply_triage(exam, TriageAction.ACCEPT, at=at, by="rule", findings=())
    record(
        site_id=site.pk,
        kind=FactKind.UNSCHEDULED_STEP,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data=order_told(exam),
        simulated=exam.simulated,
    )
    _ask_a_person(exam, report, is_known=is_known, at=at)
    return exam


def _own_number(report: StepReport, reference: ScheduledReference) -> str:
    """A number of the desk's block, the same again for the same step and reference."""
    text = "\n".join([report.sop_instance_uid, reference.accession, reference.study_instance_uid])
    return "U" + hashlib.sha256(text.encode()).hexdigest()[:15].upper()


def _patient(site: Site, report: StepReport, *, number: str, at: datetime) -> tuple[Patient, bool]:
    """The patient that the step names, and True; or one under our own number, and False."""
    parts = (report.patient_name.split("=")[0].split("^") + [""] * 5)[:5]
    said = Demographics(
        identifiers=(Identifier(report.patient_id, report.patient_id_issuer),),
        name=Name(*(part.strip() for part in parts)),
        birth_date=report.patient_birth_date,
        sex=report.patient_sex,
    )
    try:
        found = find_or_create(
            site=site,
            said=said,
            authority=site.assigning_authority,
            at=at,
            simulated=site.simulated,
            vouched=False,
        )
    except (NoIdentifier, SeveralPatients):
        unknown = Demographics(
            identifiers=(Identifier(number, DESK_AUTHORITY),),
            name=said.name,
            birth_date=said.birth_date,
            sex=said.sex,
        )
        made = find_or_create(
            site=site, said=unknown, authority=DESK_AUTHORITY, at=at, simulated=site.simulated
        )
        return made.patient, False
    return found.patient, True


def _ask_a_person(exam: Exam, report: StepReport, *, is_known: bool, at: datetime) -> None:
    who = "" if is_known else " Its patient could not be told by number: say who it is."
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.UNSCHEDULED_EXAM,
        key=unscheduled_key(exam.accession),
        at=at,
        text=f"Exam {exam.accession} was begun on {report.ae_title or 'a machine'} without an order. "
        f"Get one, or confirm that none is needed.{who}",
        accession=exam.accession,
        patient=exam.patient_id,
    )
