"""What happened is put on its way to the EHRs that are written to by FHIR: the thing as it stands, under one number, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock, exact_json, locks
from xraydesk.links.ehr import counterparts, push_codec
from xraydesk.links.fhir import plan_rows, rows
from xraydesk.links.fhir.changes import APPOINTMENTS, FINDINGS, STUDIES
from xraydesk.links.fhir.elements_codec import identifier
from xraydesk.links.fhir.issuers import told_as
from xraydesk.links.models import Message
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.outgoing.tell import EARLIER_MAX
from xraydesk.links.states import Direction, MessageState
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import exam_of
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import PatientIdentifier
from xraydesk.results.models import Finding, Report
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.link_plan import EhrPlan, Pushes
from xraydesk.siteplan.reading import from_json

FOLLOWS: dict[Pushes, tuple[FactKind, ...]] = {
    Pushes.APPOINTMENTS: APPOINTMENTS,
    Pushes.STUDIES: STUDIES,
    Pushes.REPORTS: (FactKind.REPORT_RECEIVED,),
    Pushes.COMMUNICATIONS: FINDINGS,
}
"""What each thing that is written follows from."""

STUDY_NOT_TOLD = ("series",)
"""The EHR is told that there are images and how many; where they are, the archive knows."""


def tell_ehrs(fact: Fact) -> None:
    """Queue what a fact means to each EHR that is written to. Safe to run again: a fact is told once an EHR and type.

    What is told is the thing as it stands, so that facts which react late or in another order end in the same.
    """
    if not fact.accession or not fact.site.plan or fact.recorded_at < clock.now() - EARLIER_MAX:
        return
    for ehr in from_json(fact.site.plan).ehrs:
        wanted = [one for one in ehr.sends if FactKind(fact.kind) in FOLLOWS[one]]
        exam = exam_of(site_id=fact.site_id, accession=fact.accession) if wanted else None
        if exam is None or (ehr.only_its_orders and not _ordered_there(exam, ehr)):
            continue
        # As with HL7: the numbers of an EHR's messages ascend in the order in which they are committed.
        locks.take([f"outlink:{fact.site_id}:{ehr.name}"])
        queued = [_queue(exam, fact, ehr, what) for what in wanted]
        if any(queued):
            defer_sending(site_id=fact.site_id, outlink=ehr.name)


def _ordered_there(exam: Exam, ehr: EhrPlan) -> bool:
    return counterparts.of_row(exam.site, ehr.name, "ServiceRequest", exam.pk) is not None


def _queue(exam: Exam, fact: Fact, ehr: EhrPlan, what: Pushes) -> bool:
    found = RESOURCES[what](exam, fact)
    if found is None:
        return False
    own, resource = found
    kind = str(resource["resourceType"])
    number = push_codec.own_number(exam.site.code, kind, own)
    told = push_codec.for_ehr(resource, number, lambda k, key: _named(exam, ehr, k, key))
    raw = exact_json.written(told).encode()
    mine = Message.objects.filter(site=exam.site_id, direction=Direction.OUT, link=ehr.name, type=kind)
    if mine.filter(fact=fact.pk).exists():
        return False
    waiting = (
        mine.filter(accession=exam.accession, state=MessageState.QUEUED, attempts=0).order_by("-id").first()
    )
    digest = hashlib.sha256(raw).hexdigest()
    if what is Pushes.STUDIES and waiting is not None:
        # Images come by the dozen: what waits still is told as it stands now, and not once an image.
        still = Message.objects.filter(pk=waiting.pk, state=MessageState.QUEUED)
        if still.update(raw=raw, body_sha256=digest):
            return False
    Message.objects.create(
        site_id=exam.site_id,
        direction=Direction.OUT,
        link=ehr.name,
        control_id=f"{kind}{fact.pk}",
        type=kind,
        at=clock.now(),
        state=MessageState.QUEUED,
        raw=raw,
        charset="utf-8",
        body_sha256=digest,
        accession=exam.accession,
        patient=exam.patient_id,
        fact=fact.pk,
        simulated=fact.simulated,
    )
    return True


def _named(exam: Exam, ehr: EhrPlan, kind: str, key: str) -> Mapping[str, Any]:
    """What something of this exam is at the EHR: its own record where it was fetched or written, else a number that it knows."""
    site = exam.site
    if kind in ("Patient", "ServiceRequest"):
        row = counterparts.of_row(site, ehr.name, kind, int(key))
        if row is not None:
            return {"reference": f"{kind}/{row.remote_id}"}
        number = _patient_number(site, int(key)) if kind == "Patient" else _placer(exam)
        return {"type": kind, "identifier": number} if number else {}
    if kind in ("ImagingStudy", "DiagnosticReport"):
        own = exam.accession
        written = counterparts.of_own(site, ehr.name, kind, own)
        if written is not None:
            return {"reference": f"{kind}/{written.remote_id}"}
        return {"type": kind, "identifier": push_codec.own_number(site.code, kind, own)}
    return {}


def _patient_number(site: Site, patient: int) -> dict[str, Any]:
    row = PatientIdentifier.objects.filter(patient=patient).order_by("sort", "id").first()
    if row is None:
        return {}
    (one,) = told_as(site, [Identifier(row.value, row.authority, row.type)])
    return identifier(one.value, one.authority, one.type)


def _placer(exam: Exam) -> dict[str, Any]:
    return identifier(exam.order.placer, exam.order.placer_authority, "PLAC")


Found = tuple[str, Mapping[str, Any]] | None
"""The value of our number, and the resource as the desk serves it; None where there is nothing to tell."""


def _appointment(exam: Exam, fact: Fact) -> Found:
    """The place that an exam has, else the last one that it had: one appointment an exam, whatever becomes of it."""
    bookings = Booking.objects.filter(exam=exam).exclude(state=BookingState.HELD)
    booking = bookings.filter(state__in=(BookingState.BOOKED, BookingState.DONE)).order_by("-id").first()
    booking = booking or bookings.order_by("-id").first()
    shown = plan_rows.appointments(exam.site, [booking.pk]) if booking else []
    return (exam.accession, shown[0].resource) if shown else None


def _study(exam: Exam, fact: Fact) -> Found:
    ended = Fact.objects.filter(
        site=exam.site_id,
        accession=exam.accession,
        kind__in=(FactKind.EXAM_ENDED, FactKind.EXAM_DISCONTINUED, FactKind.OUTSIDE_TAKEN),
    )
    shown = rows.studies(exam.site, [exam.pk]) if ended.exists() else []
    if not shown:
        told_before = Message.objects.filter(
            site=exam.site_id, direction=Direction.OUT, type="ImagingStudy", accession=exam.accession
        )
        return (exam.accession, rows.withdrawn_study(exam)) if told_before.exists() else None
    told = {name: value for name, value in shown[0].resource.items() if name not in STUDY_NOT_TOLD}
    return exam.accession, told


def _report(exam: Exam, fact: Fact) -> Found:
    report = Report.objects.filter(exam=exam).first()
    shown = rows.reports(exam.site, [report.pk]) if report else []
    return (exam.accession, shown[0].resource) if shown else None


def _communication(exam: Exam, fact: Fact) -> Found:
    finding = Finding.objects.filter(exam=exam, pk=fact.data.get("finding") or 0).first()
    shown = rows.findings(exam.site, [finding.pk]) if finding else []
    return (f"{exam.accession}-{finding.pk}", shown[0].resource) if finding and shown else None


RESOURCES = {
    Pushes.APPOINTMENTS: _appointment,
    Pushes.STUDIES: _study,
    Pushes.REPORTS: _report,
    Pushes.COMMUNICATIONS: _communication,
}
