"""What is served: each type with what it is searched by. The CapabilityStatement is made of this table, and so is the page in docs/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, Q, QuerySet

from xraydesk.access.models import RecordRead, Site
from xraydesk.billing.models import Coverage
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.links.fhir import plan_codec, plan_rows, report_codec, request_codec, rows, slots, task_codec
from xraydesk.links.fhir.conditions import (
    Condition,
    actor,
    always,
    anything,
    by_key,
    day,
    exam_identifier,
    flag,
    moment,
    moment_of,
    name_begins,
    outer,
    patient_identifier,
    reference,
    text_begins,
    token,
    token_of,
    updated,
)
from xraydesk.links.fhir.elements_codec import read_reference
from xraydesk.links.fhir.rows import Loader, Shown
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient
from xraydesk.results.models import Finding, Report
from xraydesk.results.states import READ_STATES
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.staff.models import Technologist
from xraydesk.transport.models import TransportJob


@dataclass(frozen=True)
class Parameter:
    """One search parameter: its type, what a value of it means, and for a reference where it stands and may lead."""

    type: str
    condition: Condition
    element: str = ""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The rows behind a type, what they are searched by, and how resources are made of them. Most types have one."""

    rows: Callable[[Site], QuerySet[Any]]
    shown: Loader
    parameters: Mapping[str, Parameter]
    prefix: str = ""


IHE_SCHEDULING = "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/"
VALIDATE = {"validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}


@dataclass(frozen=True)
class Kind:
    """One resource type. `sorts` maps what `_sort` may name to a column that is never empty."""

    name: str
    says: str
    sources: tuple[Source, ...]
    sorts: Mapping[str, str] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=lambda: dict(VALIDATE))
    finder: Callable[[Site, Mapping[str, Sequence[Sequence[str]]], int], list[Shown]] | None = None
    """Finds what no rows are kept of; its parameters are read as any other's."""
    of_access: bool = False
    """True for the log of access: not for everybody who may read."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What it is searched by."""
        return self.sources[0].parameters


def _reverse(codes: Mapping[str, str]) -> dict[str, list[str]]:
    """FHIR's code to the values that it stands for."""
    found: dict[str, list[str]] = {}
    for value, code in codes.items():
        found.setdefault(code, []).append(value)
    return found


def _patient(column: str, element: str, kind: str = "reference") -> dict[str, Parameter]:
    """`patient`, and `patient.identifier`, as EHRs ask."""
    return {
        "patient": Parameter(kind, reference(column, "Patient"), element, ("Patient",)),
        "patient.identifier": Parameter("token", patient_identifier(column)),
    }


def _id(prefix: str = "") -> dict[str, Parameter]:
    return {"_id": Parameter("token", by_key(prefix))}


_images = Image.objects.filter(state__in=rows.SHOWN)
_steps = StepExam.objects.filter(voided=False)


def _request_status(site: Site, value: str) -> Q:
    """The stage of an exam as a condition: the same order of what counts first as `journey.stage.stage_of`."""
    steps = _steps.filter(**outer("exam"))
    under_way = Exists(steps.filter(step__state=StepState.IN_PROGRESS))
    ended = Exists(steps.filter(step__state=StepState.COMPLETED)) | Exists(
        Report.objects.filter(**outer("exam"), state__in=READ_STATES)
    )
    stopped = Exists(steps.filter(step__state=StepState.DISCONTINUED))
    completed = ~Q(under_way) & Q(ended)
    revoked = ~Q(under_way) & ~Q(ended) & (Q(stopped) | Q(triage=TriageState.CANCELLED))
    on_hold = ~Q(under_way) & ~Q(ended) & ~Q(stopped) & Q(triage=TriageState.HELD)
    meant = {
        "completed": completed,
        "revoked": revoked,
        "on-hold": on_hold,
        "active": ~(completed | revoked | on_hold),
    }
    return meant.get(token_of(value)[1], Q(pk__in=()))


def _appointment_status(site: Site, value: str) -> Q:
    status = token_of(value)[1]
    if status == "arrived":
        return Q(state="booked", arrived_at__isnull=False)
    states = _reverse(plan_codec.BOOKING_STATUS).get(status, [])
    fits = Q(state__in=states)
    return fits & Q(arrived_at=None) if status == "booked" else fits


def _slot(site: Site, value: str) -> Q:
    """The booking that has the place of a slot."""
    name = slots.read_name(read_reference(value, "Slot") or value)
    return Q(room=name.room, during__startswith=name.start) if name else Q(pk__in=())


def _requester(site: Site, value: str) -> Q:
    """Who asked, by number, by `system|number`, or by the id of their record at the sender."""
    return Q(order__provider_id=token_of(value)[1].rpartition("/")[2])


def _beneficiary(site: Site, value: str) -> Q:
    """Whose coverage: the record that stands, or one that went into it."""
    here, merged = reference("patient", "Patient"), reference("patient__merged_into", "Patient")
    return here(site, value) | merged(site, value)


def _has_image(**of: Any) -> Q:
    return Q(Exists(_images.filter(**outer("exam"), **of)))


def _modality(site: Site, value: str) -> Q:
    return _has_image(modality=token_of(value)[1])


_PRIORITIES = {code: [priority.value] for code, priority in request_codec.PRIORITIES.items()}
_EXAM_UPDATED = updated("ServiceRequest", Exam, facts="accession", by="accession", made="created_at")

PATIENT = Source(
    lambda site: Patient.objects.filter(site=site),
    rows.patients,
    {
        **_id(),
        "identifier": Parameter("token", patient_identifier()),
        "name": Parameter("string", name_begins()),
        "family": Parameter("string", name_begins(first=True)),
        "given": Parameter("string", text_begins("given")),
        "birthdate": Parameter("date", day("birth_date")),
        "gender": Parameter(
            "token", token("sex", {"female": "F", "male": "M", "other": "O", "unknown": "U"})
        ),
        "phone": Parameter("token", token("phone")),
        "active": Parameter("token", flag("merged_into__isnull")),
        "deceased": Parameter("token", flag("deceased")),
        "_lastUpdated": Parameter(
            "date", updated("Patient", Patient, facts="patient", by="pk", made="created_at")
        ),
    },
)

REQUEST = Source(
    lambda site: Exam.objects.filter(site=site),
    rows.requests,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier()),
        **_patient("patient", "subject"),
        "subject": Parameter("reference", reference("patient", "Patient"), "subject", ("Patient",)),
        "status": Parameter("token", _request_status),
        "intent": Parameter("token", always("order")),
        "priority": Parameter("token", token("priority", _PRIORITIES)),
        "code": Parameter("token", token("procedure_code")),
        "occurrence": Parameter("date", moment("requested_at")),
        "authored": Parameter("date", moment("created_at")),
        "requester": Parameter("reference", _requester, "requester"),
        "_lastUpdated": Parameter("date", _EXAM_UPDATED),
    },
)

APPOINTMENT = Source(
    plan_rows.standing_bookings,
    plan_rows.appointments,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier("exam")),
        **_patient("patient", "participant"),
        "date": Parameter("date", moment("during__startswith")),
        "status": Parameter("token", _appointment_status),
        "actor": Parameter(
            "reference",
            actor({"Patient": "patient", "Location": "room", "Practitioner": "technologist"}),
            "participant",
            ("Patient", "Location", "Practitioner"),
        ),
        "location": Parameter("reference", reference("room", "Location"), "participant", ("Location",)),
        "practitioner": Parameter(
            "reference", reference("technologist", "Practitioner"), "participant", ("Practitioner",)
        ),
        "based-on": Parameter(
            "reference", reference("exam", "ServiceRequest"), "basedOn", ("ServiceRequest",)
        ),
        "service-type": Parameter("token", token("exam__procedure_code")),
        "slot": Parameter("reference", _slot, "slot", ("Slot",)),
        "_lastUpdated": Parameter(
            "date", updated("Appointment", Booking, facts="accession", by="exam__accession", made="booked_at")
        ),
    },
)

SLOT = Source(
    lambda site: Room.objects.none(),
    lambda site, keys: [],
    {
        **_id(),
        "status": Parameter("token", anything),
        "start": Parameter("date", moment("during__startswith")),
        "service-type": Parameter("token", anything),
        "schedule": Parameter("reference", reference("pk", "Schedule"), "schedule", ("Schedule",)),
    },
)

STUDY = Source(
    lambda site: Exam.objects.filter(_has_image(), site=site),
    rows.studies,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier()),
        **_patient("patient", "subject"),
        "subject": Parameter("reference", reference("patient", "Patient"), "subject", ("Patient",)),
        "based-on": Parameter("reference", reference("pk", "ServiceRequest"), "basedOn", ("ServiceRequest",)),
        "basedon": Parameter("reference", reference("pk", "ServiceRequest"), "basedOn", ("ServiceRequest",)),
        "started": Parameter(
            "date", moment_of(lambda: rows.images_of_exam().filter(**outer("exam")), "acquired")
        ),
        "modality": Parameter("token", _modality),
        "_lastUpdated": Parameter(
            "date", updated("ImagingStudy", Exam, facts="accession", by="accession", made="created_at")
        ),
    },
)

REPORT = Source(
    lambda site: Report.objects.filter(site=site),
    rows.reports,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier("exam")),
        **_patient("exam__patient", "subject"),
        "subject": Parameter("reference", reference("exam__patient", "Patient"), "subject", ("Patient",)),
        "based-on": Parameter(
            "reference", reference("exam", "ServiceRequest"), "basedOn", ("ServiceRequest",)
        ),
        "status": Parameter("token", token("state", report_codec.REPORT_STATES)),
        "code": Parameter("token", token("exam__procedure_code")),
        "issued": Parameter("date", moment("said_at")),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)

COMMUNICATION = Source(
    lambda site: Finding.objects.filter(site=site),
    rows.findings,
    {
        **_id(),
        **_patient("exam__patient", "subject"),
        "subject": Parameter("reference", reference("exam__patient", "Patient"), "subject", ("Patient",)),
        "based-on": Parameter(
            "reference", reference("exam", "ServiceRequest"), "basedOn", ("ServiceRequest",)
        ),
        "status": Parameter("token", token("state", _reverse(report_codec.FINDING_STATUS))),
        "sent": Parameter("date", moment("opened_at")),
        "_lastUpdated": Parameter(
            "date",
            updated("Communication", Finding, facts="accession", by="exam__accession", made="found_at"),
        ),
    },
)

TRANSPORT = Source(
    lambda site: TransportJob.objects.filter(site=site),
    plan_rows.transport_tasks,
    {
        **_id(plan_rows.TRANSPORT_PREFIX),
        **_patient("patient", "for"),
        "focus": Parameter("reference", reference("exam", "ServiceRequest"), "focus", ("ServiceRequest",)),
        "code": Parameter("token", always("transport")),
        "status": Parameter("token", token("state", _reverse(task_codec.TRANSPORT_STATUS))),
        "authored-on": Parameter("date", moment("asked_at")),
        "_lastUpdated": Parameter(
            "date", updated("Task", TransportJob, facts="accession", by="exam__accession", made="asked_at")
        ),
    },
    plan_rows.TRANSPORT_PREFIX,
)

TRIAGE = Source(
    lambda site: Exam.objects.filter(site=site),
    plan_rows.triage_tasks,
    {
        **_id(plan_rows.TRIAGE_PREFIX),
        **_patient("patient", "for"),
        "focus": Parameter("reference", reference("pk", "ServiceRequest"), "focus", ("ServiceRequest",)),
        "code": Parameter("token", always("triage")),
        "status": Parameter("token", token("triage", _reverse(task_codec.TRIAGE_STATUS))),
        "authored-on": Parameter("date", moment("created_at")),
        "_lastUpdated": Parameter("date", _EXAM_UPDATED),
    },
    plan_rows.TRIAGE_PREFIX,
)

COVERAGE = Source(
    lambda site: Coverage.objects.filter(site=site),
    rows.coverages,
    {
        **_id(),
        "identifier": Parameter("token", lambda site, value: Q(number=token_of(value)[1])),
        **_patient("patient", "beneficiary"),
        "patient": Parameter("reference", _beneficiary, "beneficiary", ("Patient",)),
        "beneficiary": Parameter("reference", _beneficiary, "beneficiary", ("Patient",)),
        "status": Parameter("token", token("status")),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)

LOCATION = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.locations,
    {
        **_id(),
        "identifier": Parameter("token", token("code")),
        "name": Parameter("string", text_begins("name")),
        "status": Parameter(
            "token",
            lambda site, value: {
                "active": Q(retired=False, state=Room.State.READY),
                "suspended": Q(retired=False, state=Room.State.DOWN),
                "inactive": Q(retired=True),
            }.get(token_of(value)[1], Q(pk__in=())),
        ),
    },
)

PRACTITIONER = Source(
    lambda site: Technologist.objects.filter(site=site),
    plan_rows.practitioners,
    {
        **_id(),
        "identifier": Parameter("token", token("code")),
        "name": Parameter("string", text_begins("name")),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)

SCHEDULE = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.schedules,
    {
        **_id(),
        "actor": Parameter("reference", reference("pk", "Location"), "actor", ("Location",)),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)

AUDIT = Source(
    lambda site: RecordRead.objects.filter(site=site),
    rows.audit_events,
    {
        **_id(),
        "patient": Parameter("reference", reference("patient", "Patient"), "entity", ("Patient",)),
        "date": Parameter("date", moment("at")),
        "agent-name": Parameter("string", text_begins("who")),
        "_lastUpdated": Parameter("date", moment("at")),
    },
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "Patient",
            "a patient, with every number and its issuer",
            (PATIENT,),
            {"name": "name_folded", "family": "name_folded"},
            ("create", "update"),
            VALIDATE
            | {
                "match": "http://hl7.org/fhir/OperationDefinition/Patient-match",
                "everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
            },
        ),
        Kind(
            "ServiceRequest",
            "one exam, not one order: its placer number, accession and study UID are identifiers",
            (REQUEST,),
            {"authored": "created_at"},
            ("create", "update"),
        ),
        Kind(
            "Appointment",
            "a place in the plan, with its room, technologist and patient; those that are over stay",
            (APPOINTMENT,),
            {"date": "during__startswith"},
            ("update",),
            VALIDATE | {name: f"{IHE_SCHEDULING}appointment-{name}" for name in ("find", "hold", "book")},
        ),
        Kind(
            "Slot",
            "a free place for a procedure (`service-type`); found anew each time",
            (SLOT,),
            finder=slots.found_slots,
        ),
        Kind("Schedule", "the plan of one room", (SCHEDULE,)),
        Kind(
            "ImagingStudy",
            "the images of an exam that belong to it; quarantined ones are none of it",
            (STUDY,),
        ),
        Kind(
            "DiagnosticReport",
            "what was read of an exam, in its last version, with its whole text",
            (REPORT,),
            {"issued": "said_at"},
        ),
        Kind(
            "Communication",
            "a critical result: whom it is for, and each attempt to tell them",
            (COMMUNICATION,),
        ),
        Kind("Task", "a porter's job (`transport`), or a decision in triage (`triage`)", (TRANSPORT, TRIAGE)),
        Kind("Coverage", "who pays, as it was sent", (COVERAGE,), writes=("create", "update")),
        Kind("Location", "a room or a portable unit, with its hours", (LOCATION,), {"name": "name"}),
        Kind("Practitioner", "somebody who makes x-ray images", (PRACTITIONER,), {"name": "name"}),
        Kind("AuditEvent", "who looked at whose record (IHE BALP)", (AUDIT,), {"date": "at"}, of_access=True),
    )
}
"""What is served; `/metadata` lists just this."""
