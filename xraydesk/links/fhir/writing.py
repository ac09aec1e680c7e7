"""Writing what an EHR sends: a resource is read, one step of the journey is called, and what was sent is kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from xraydesk.access.models import Site
from xraydesk.billing.actions import write_coverage
from xraydesk.billing.models import Coverage
from xraydesk.journey.cancel import cancel_exam
from xraydesk.journey.errors import AlreadyStarted, IncompleteOrder, PatientConflict, Refused, WrongState
from xraydesk.journey.order_by_program import order_by_program
from xraydesk.journey.receive import receive_patient_event
from xraydesk.lib import locks
from xraydesk.lib.ids import new_secret
from xraydesk.links.fhir import coverage_codec, patient_codec, request_codec, rows
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import CODES_PREFIX, Resource
from xraydesk.links.fhir.issuers import kept_as
from xraydesk.links.fhir.own_codes import in_own_codes
from xraydesk.links.fhir.replies import Refusal, refuse
from xraydesk.links.messages import FHIR_LINK
from xraydesk.links.models import SentResource
from xraydesk.orders.actions import offered_procedures
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.patients import queries as patients
from xraydesk.patients.demographics import Demographics, Identifier, VisitDetails
from xraydesk.patients.events import PatientEvent
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import OrderControl

NOBODYS_AUTHORITY = "DESK"
"""Issuer of the numbers of patients whose sender gave none."""

LINK_LENGTH_MAX = 64


@dataclass(frozen=True)
class Written:
    """The key of a row, and whether it is new. `gone` is what is told of a row that is there no more."""

    key: int
    created: bool
    gone: Resource | None = None
    once: Resource | None = None
    """An extension that this answer alone bears."""


Writer = Callable[[Caller, Mapping[str, Any], int | None, datetime], Written]
"""Writes a resource of the right shape, a new one where the key is None; inside the caller's transaction. Raises Refusal."""


def link_of(caller: Caller) -> str:
    """The name under which what a program sends is kept."""
    return f"{FHIR_LINK}{caller.member.name}"[:LINK_LENGTH_MAX]


def refused_by_step(error: Refused, kind: str) -> Refusal:
    """What a step of the journey refused, as HTTP and FHIR say it."""
    match error:
        case PatientConflict():
            path = "Patient.identifier" if kind == "Patient" else f"{kind}.subject"
            return refuse(409, "conflict", str(error), path)
        case AlreadyStarted() | WrongState():
            return refuse(409, "conflict", str(error), f"{kind}.status")
        case IncompleteOrder():
            return refuse(422, "required", str(error), f"{kind}.identifier")
        case _:
            return refuse(422, "business-rule", str(error), kind)


def keep_as_sent(
    site: Site, kind: str, key: int, resource: Mapping[str, Any], *, at: datetime, by: str
) -> None:
    """Keep a resource as it was sent, so that it can be answered so."""
    SentResource.objects.update_or_create(
        site=site, kind=kind, key=key, defaults={"resource": dict(resource), "at": at, "by": by}
    )


def read_patient(site: Site, resource: Mapping[str, Any]) -> Demographics:
    """What a Patient says, its numbers under the names by which the site keeps them."""
    said = patient_codec.read_patient(resource)
    return replace(said, identifiers=kept_as(site, said.identifiers))


def write_patient(caller: Caller, resource: Mapping[str, Any], key: int | None, at: datetime) -> Written:
    """Make a patient, or bring one up to date; a number that is known is that patient, so that none becomes two."""
    member = caller.member
    said = read_patient(member.site, resource)
    if key is not None:
        said = replace(said, identifiers=(*_numbers_of(key), *said.identifiers))
    elif not said.identifiers:
        said = replace(said, identifiers=(Identifier(new_secret(9), NOBODYS_AUTHORITY, "PI"),))
    try:
        found = receive_patient_event(
            site=member.site,
            event=PatientEvent.UPDATE,
            patient=said,
            link=link_of(caller),
            at=at,
            by=member.who,
            simulated=member.site.simulated,
        )
    except Refused as error:
        raise refused_by_step(error, "Patient") from error
    if key is not None and found.pk != key:
        raise refuse(409, "conflict", "These numbers are of another patient.", "Patient.identifier")
    keep_as_sent(member.site, "Patient", found.pk, resource, at=at, by=member.who)
    return Written(found.pk, key is None and found.created_at == at)


def _numbers_of(patient: int) -> tuple[Identifier, ...]:
    row = Patient.objects.get(pk=patient)
    listed = row.identifiers.order_by("sort", "id")[:1]
    return tuple(Identifier(i.value, i.authority, i.type) for i in listed)


def patient_meant(caller: Caller, told: Mapping[str, Any], path: str) -> Patient:
    """The patient that a reference names, by id here or by number. Raises Refusal."""
    site = caller.member.site
    named = told.get("reference", "")
    key = caller.key_in(named, "Patient")
    listed = patient_codec.read_identifiers([told["identifier"]] if "identifier" in told else [])
    numbers = kept_as(site, listed)
    found: Patient | None = None
    if key is not None:
        found = Patient.objects.select_related("merged_into").filter(site=site, pk=key).first()
    elif numbers:
        found = patients.by_identifier(site=site, value=numbers[0].value, authority=numbers[0].authority)
    found = found.merged_into or found if found else None
    if found is None or (caller.patient is not None and found.pk != caller.patient):
        raise refuse(422, "not-found", "There is no such patient here; send the Patient first.", path)
    return found


def source_of(caller: Caller) -> str:
    """How orders name the program that sent them; codes are mapped for it by this name."""
    return f"link:{link_of(caller)}"


def offered_codes(caller: Caller, resource: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The department's codes that a request may mean, its own and those that a person mapped for this sender."""
    codings = resource.get("code", {}).get("coding", ())
    codes = [(c.get("code", ""), c.get("system", "").removeprefix(CODES_PREFIX)) for c in codings]
    return [*offered_procedures(caller.member.site, codes, source=source_of(caller))]


def write_request(caller: Caller, resource: Mapping[str, Any], key: int | None, at: datetime) -> Written:
    """Make an order of one exam, change it, hold it, release it or cancel it."""
    member = caller.member
    patient = patient_meant(caller, resource["subject"], "ServiceRequest.subject")
    exam = Exam.objects.select_related("order").get(pk=key) if key is not None else None
    status = rows.requests(member.site, [exam.pk])[0].resource["status"] if exam else ""
    meant = in_own_codes(member.site, resource)
    offered = offered_codes(caller, meant)
    if exam:
        offered.append((exam.procedure_code, exam.procedure_system))
    try:
        asked = request_codec.read_request(meant, patient=whose(patient), offered=offered, standing=status)
        received = _apply(caller, asked, exam, status, at=at)
    except request_codec.Unfit as unfit:
        raise Refusal(422, unfit.issue) from unfit
    except Refused as error:
        raise refused_by_step(error, "ServiceRequest") from error
    keep_as_sent(member.site, "ServiceRequest", received.pk, resource, at=at, by=member.who)
    return Written(received.pk, exam is None and received.created_at == at)


def whose(patient: Patient) -> Demographics:
    """Who an order is of, by one number, and where they are now."""
    visit = patients.current_visit(patient)
    return Demographics(
        identifiers=_numbers_of(patient.pk),
        visit=VisitDetails(visit.number, visit.patient_class, visit.ward, visit.bed)
        if visit
        else VisitDetails(),
    )


def _apply(caller: Caller, asked: Requisition, exam: Exam | None, status: str, *, at: datetime) -> Exam:
    member = caller.member
    if exam is None:
        if asked.control is not OrderControl.NEW:
            raise refuse(422, "business-rule", "A new order is active.", "ServiceRequest.status")
        received = order_by_program(
            site=member.site, requisition=asked, link=link_of(caller), at=at, by=member.who
        )
        return received.exams[0]
    if status == "revoked" and asked.control in (OrderControl.NEW, OrderControl.HOLD):
        words = "This order was cancelled. What is wanted after all is a new order, under another number."
        raise refuse(409, "conflict", words, "ServiceRequest.status")
    if asked.control is OrderControl.CANCEL:
        return cancel_exam(exam_id=exam.pk, at=at, by=member.who, why="cancelled by the sender")
    released = asked.control is OrderControl.NEW and status == "on-hold"
    steps = [OrderControl.RELEASE] if released else []
    steps.append(OrderControl.HOLD if asked.control is OrderControl.HOLD else OrderControl.CHANGE)
    for control in steps:
        order_by_program(
            site=member.site,
            requisition=of_order(asked, exam, control),
            link=link_of(caller),
            at=at,
            by=member.who,
        )
    return exam


def of_order(asked: Requisition, exam: Exam, control: OrderControl) -> Requisition:
    """What is asked of one exam of an order that is here, under the numbers that it has here."""
    wish: RequestedExam = replace(asked.exams[0], accession=exam.accession, study_instance_uid="")
    return replace(
        asked,
        control=control,
        placer=exam.order.placer,
        placer_authority=exam.order.placer_authority,
        exams=(wish,),
    )


def write_coverage_resource(
    caller: Caller, resource: Mapping[str, Any], key: int | None, at: datetime
) -> Written:
    """Keep who pays for a patient's exams; the same number of the same patient again is the same one."""
    member = caller.member
    patient = patient_meant(caller, resource["beneficiary"], "Coverage.beneficiary")
    said = coverage_codec.read_coverage(resource)
    locks.take([f"coverage:{member.site.pk}:{patient.pk}:{said.authority}:{said.number}"])
    row = Coverage.objects.filter(pk=key).first() if key is not None else None
    if row is None and said.number:
        row = Coverage.objects.filter(
            site=member.site, patient=patient, authority=said.authority, number=said.number
        ).first()
    written = write_coverage(
        row,
        site=member.site,
        patient=patient,
        number=said.number,
        authority=said.authority,
        status=said.status,
        subscriber=said.subscriber,
        payor=said.payor,
        starts=said.starts,
        ends=said.ends,
        resource=dict(resource),
        at=at,
    )
    return Written(written.pk, row is None)
