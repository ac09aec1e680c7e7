"""A request by paper or phone, typed in at the desk, as an order like any other. Pure.

For the walk-in, and for the day on which the EHR is down (row 54 of the faults).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Demographics, Identifier, Name, VisitDetails
from xraydesk.siteplan.link_plan import OrderControl

FORM_AUTHORITY = "DESK"
"""Issuer of the placer numbers of forms, and of numbers of patients who have none yet."""


@dataclass(frozen=True)
class ExamOnForm:
    """One exam ticked on the form: the department's own code, and the side where it has one."""

    code: str
    text: str = ""
    system: str = "L"
    laterality: str = ""


@dataclass(frozen=True)
class OrderForm:
    """What the form says, read and checked as data. `key` tells two presses of one button from two forms.

    `patient_number` is empty for somebody whom nobody knows a number of; the desk gives one then.
    """

    key: str
    exams: tuple[ExamOnForm, ...]
    patient_number: str = ""
    patient_authority: str = ""
    family: str = ""
    given: str = ""
    birth_date: date | None = None
    sex: str = ""
    phone: str = ""
    patient_class: str = "O"
    ward: str = ""
    bed: str = ""
    priority: Priority = Priority.ROUTINE
    requested_at: datetime | None = None
    reason: str = ""
    provider_name: str = ""
    provider_phone: str = ""
    transport: str = ""


def placer_number(number: int) -> str:
    """A number of the block reserved for forms: `F` and six digits or more."""
    return f"F{number:06d}"


def requisition_of(form: OrderForm, *, placer: str) -> Requisition:
    """The order that a form asks for, under a placer number of the reserved block.

    A patient without a number is known by the form's own, so that a later merge can bring
    the two together.
    """
    known = Identifier(form.patient_number.strip(), form.patient_authority.strip(), "MR")
    own = Identifier(placer, FORM_AUTHORITY, "PI")
    return Requisition(
        control=OrderControl.NEW,
        patient=Demographics(
            identifiers=(known if known.value else own,),
            name=Name(form.family.strip(), form.given.strip()),
            birth_date=form.birth_date,
            sex=form.sex,
            phone=form.phone.strip(),
            visit=VisitDetails(
                patient_class=form.patient_class, ward=form.ward.strip(), bed=form.bed.strip()
            ),
        ),
        placer=placer,
        placer_authority=FORM_AUTHORITY,
        exams=tuple(
            RequestedExam(
                code=exam.code,
                text=exam.text,
                system=exam.system,
                laterality=exam.laterality,
                priority=form.priority,
                requested_at=form.requested_at,
                reason=form.reason.strip(),
            )
            for exam in form.exams
        ),
        provider_name=form.provider_name.strip(),
        provider_phone=form.provider_phone.strip(),
        transport=form.transport,
        details={"form": form.key},
    )
