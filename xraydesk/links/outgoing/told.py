"""What the desk knows of an exam, as the messages that go out need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from xraydesk.billing.models import Charge
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.links.hl7.appointment import AppointmentTold
from xraydesk.links.hl7.charge import ChargeTold
from xraydesk.links.hl7.outgoing_header import OrderTold, PatientTold, name_parts
from xraydesk.links.hl7.report_out import DOCUMENTS_OUT_BYTES_MAX, DocumentTold, ReportTold
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority
from xraydesk.patients.models import Patient
from xraydesk.results.models import Report
from xraydesk.results.queries import documents_named
from xraydesk.results.states import ReportState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

PRIORITIES = {Priority.STAT: "S", Priority.URGENT: "A", Priority.ROUTINE: "R"}


def order_of(exam: Exam) -> OrderTold:
    """The exam's numbers and procedure."""
    order = exam.order
    return OrderTold(
        placer=order.placer,
        placer_authority=order.placer_authority,
        filler=exam.filler or exam.accession,
        accession=exam.accession,
        code=exam.procedure_code,
        text=exam.procedure_text,
        system=exam.procedure_system,
        priority=PRIORITIES[Priority(exam.priority)],
        provider_number=order.provider_id,
        provider_name=order.provider_name,
    )


def patient_of(exam: Exam) -> PatientTold:
    """Whose exam it is, and where they lie."""
    order = exam.order
    return replace(
        _patient(exam.patient),
        patient_class=order.patient_class,
        ward=order.ward,
        bed=order.bed,
        visit_number=order.visit_number,
    )


def record_of(patient_id: int | None) -> PatientTold | None:
    """A record with its own numbers, also one that went into another; None where there is none."""
    patient = Patient.objects.filter(pk=patient_id or 0).first()
    return _patient(patient) if patient else None


def _patient(patient: Patient) -> PatientTold:
    numbers = patient.identifiers.order_by("sort", "id")[:10]
    return PatientTold(
        identifiers=tuple((n.value, n.authority, n.type) for n in numbers),
        family=patient.family,
        given=patient.given,
        middle=patient.middle,
        birth_date=patient.birth_date,
        sex=patient.sex,
    )


def place_told(fact: Fact) -> Mapping[str, Any]:
    """The place that a fact carries: of a move the new one."""
    moved = fact.data.get("to")
    return moved if isinstance(moved, dict) else fact.data


def appointment_of(exam: Exam, fact: Fact) -> AppointmentTold | None:
    """The place that a fact tells of, else the last one that the exam had; None where it never had one."""
    zone = exam.site.timezone
    told = place_told(fact)
    if isinstance(told.get("start"), str) and isinstance(told.get("end"), str):
        start, end = datetime.fromisoformat(told["start"]), datetime.fromisoformat(told["end"])
        room, technologist = str(told.get("room", "")), str(told.get("technologist") or "")
    else:
        booking = (
            Booking.objects.filter(exam=exam)
            .exclude(state=BookingState.HELD)
            .select_related("room", "technologist")
            .order_by("-id")
            .first()
        )
        if booking is None:
            return None
        start, end, room = booking.during.lower, booking.during.upper, booking.room.code
        technologist = booking.technologist.code if booking.technologist else ""
    name = Room.objects.filter(site=exam.site_id, code=room).values_list("name", flat=True).first() or room
    return AppointmentTold(
        start=clock.in_zone(start, zone),
        minutes=max(1, (end - start) // timedelta(minutes=1)),
        room=room,
        room_name=name,
        technologist=technologist,
        reason=str(fact.data.get("why", "")) if isinstance(fact.data.get("why"), str) else "",
    )


def what_and_when(fact: Fact) -> tuple[FactKind, datetime]:
    """What a fact tells of, and when that was: of what is told again, what happened then."""
    kind = FactKind(fact.kind)
    if kind is not FactKind.TOLD_AGAIN:
        return kind, fact.at
    return FactKind(fact.data["told"]), datetime.fromisoformat(fact.data["was_at"])


def report_of(exam: Exam) -> ReportTold | None:
    """The exam's report as it stands."""
    report = Report.objects.filter(exam=exam).first()
    if report is None:
        return None
    return ReportTold(
        state=ReportState(report.state),
        text=report.text,
        impression=report.impression,
        said_at=clock.in_zone(report.said_at, exam.site.timezone),
        radiologist_id=report.radiologist_id,
        radiologist_name=report.radiologist_name,
        study_instance_uid=exam.study_instance_uid,
        flagged=report.category == 1,
        documents=_documents_of(report),
    )


def _documents_of(report: Report) -> tuple[DocumentTold, ...]:
    """The documents that a report names; none where they are larger together than a message may be."""
    named = [one for one in documents_named(report) if one.released_at is None]
    if sum(one.size_bytes for one in named) > DOCUMENTS_OUT_BYTES_MAX:
        return ()
    return tuple(DocumentTold(one.kind, one.title, bytes(one.content)) for one in named)


def charge_of(exam: Exam, fact: Fact, *, credit: bool) -> ChargeTold | None:
    """The charge that a fact tells of."""
    charge = Charge.objects.filter(site=exam.site_id, pk=fact.data.get("charge")).first()
    if charge is None or not charge.code:
        return None
    zone = exam.site.timezone
    return ChargeTold(
        number=charge.number,
        credit=credit,
        service_at=clock.in_zone(charge.service_at, zone),
        posted_at=clock.in_zone(fact.at, zone),
        code=charge.code,
        text=charge.text,
        system="L",
        modifiers=tuple(charge.modifiers),
        quantity=charge.quantity,
        room=fact.room,
        filler=exam.filler or exam.accession,
        placer=exam.order.placer,
        placer_authority=exam.order.placer_authority,
        procedure_code=exam.procedure_code,
        procedure_text=exam.procedure_text,
        provider_number=exam.order.provider_id,
        provider_name=name_parts(exam.order.provider_name),
    )
