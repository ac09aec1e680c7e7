"""The rows behind each type, and what a value of each search parameter means among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, Q

from xraydesk.access.models import RecordRead, Site
from xraydesk.billing.models import Coverage
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.links.fhir import (
    patient_codec,
    plan_codec,
    plan_rows,
    report_codec,
    request_codec,
    rows,
    slots,
    study_codec,
    task_codec,
)
from xraydesk.links.fhir.conditions import (
    NOBODY,
    Condition,
    actor,
    always,
    anything,
    by_key,
    code_of_list,
    day,
    exam_identifier,
    flag,
    folded_holds,
    given_begins,
    last_told,
    missing,
    moment,
    moment_of,
    name_begins,
    outer,
    patient_identifier,
    reference,
    text_begins,
    text_holds,
    text_is,
    token,
    token_of,
    updated,
)
from xraydesk.links.fhir.elements_codec import authority_of, read_reference
from xraydesk.links.fhir.kind import LAST_TOLD, Parameter, Source
from xraydesk.links.models import Subscription
from xraydesk.orders.models import CodeTable, Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient
from xraydesk.results.models import Finding, Report
from xraydesk.results.states import READ_STATES
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.staff.models import Technologist
from xraydesk.transport.models import TransportJob


def _reverse(codes: Mapping[str, str]) -> dict[str, list[str]]:
    """FHIR's code to the values that it stands for."""
    found: dict[str, list[str]] = {}
    for value, code in codes.items():
        found.setdefault(code, []).append(value)
    return found


def _to(kind: str, column: str, element: str, *, lacking: Q | None = None) -> Parameter:
    """A reference to one type, whose key is in a column of the row; `lacking` describes rows that have none."""
    return Parameter(
        "reference",
        reference(column, kind),
        element,
        (kind,),
        {"missing": missing(NOBODY if lacking is None else lacking)},
        {kind: column},
    )


def _patient(column: str, element: str) -> dict[str, Parameter]:
    """`patient`, and `patient.identifier`, as EHRs ask."""
    return {
        "patient": _to("Patient", column, element),
        "patient.identifier": Parameter("token", patient_identifier(column)),
    }


def _named(column: str) -> Parameter:
    """A name that is no patient's."""
    return Parameter(
        "string",
        text_begins(column),
        modified={"exact": text_is(column), "contains": text_holds(column)},
    )


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


def _coded(table: str, inner: Condition) -> Condition:
    """A code of one of FHIR's own tables: whoever names another table means something else."""

    def condition(site: Site, value: str) -> Q:
        return inner(site, value) if token_of(value)[0] in (None, f"http://hl7.org/fhir/{table}") else NOBODY

    return condition


def _coverage_number(site: Site, value: str) -> Q:
    """A number of a coverage, with or without its issuer."""
    system, number = token_of(value)
    whole = Q(number=number) if number else Q()
    return whole if system is None else whole & Q(authority=authority_of(system))


def _slot(site: Site, value: str) -> Q:
    """The booking that has the place of a slot."""
    name = slots.read_name(read_reference(value, "Slot") or value)
    return Q(room=name.room, during__startswith=name.start) if name else Q(pk__in=())


def _requester(site: Site, value: str) -> Q:
    """Who asked, by number, by `system|number`, or by the id of their record at the sender."""
    return Q(order__provider_id=token_of(value)[1].rpartition("/")[2])


def _beneficiary(site: Site, value: str) -> Q:
    """Whose coverage: the record that stands, or one that went into it."""
    here, merged = reference("pk", "Patient"), reference("merged_into", "Patient")
    return Q(patient__in=Patient.objects.filter(here(site, value) | merged(site, value)).values("pk"))


def _has_image(**of: Any) -> Q:
    return Q(Exists(_images.filter(**outer("exam"), **of)))


def _modality(site: Site, value: str) -> Q:
    if token_of(value)[0] not in (None, study_codec.DCM_SYSTEM):
        return NOBODY
    return _has_image(modality=token_of(value)[1])


ACTORS = {"Patient": "patient", "Location": "room", "Practitioner": "technologist"}
_PRIORITIES = {code: [priority.value] for code, priority in request_codec.PRIORITIES.items()}
_EXAM_UPDATED = updated("ServiceRequest", Exam, facts="accession", by="accession", made="created_at")

PATIENT = Source(
    lambda site: Patient.objects.filter(site=site),
    rows.patients,
    {
        **_id(),
        "identifier": Parameter("token", patient_identifier()),
        "name": Parameter(
            "string",
            name_begins(),
            modified={
                "exact": text_is("family", "given", "middle"),
                "contains": folded_holds("name_folded"),
                "missing": missing(Q(name_folded="")),
            },
        ),
        "family": Parameter(
            "string",
            name_begins(first=True),
            modified={
                "exact": text_is("family"),
                "contains": text_holds("family"),
                "missing": missing(Q(family="")),
            },
        ),
        "given": Parameter(
            "string",
            given_begins,
            modified={
                "exact": text_is("given"),
                "contains": text_holds("given"),
                "missing": missing(Q(given="")),
            },
        ),
        "birthdate": Parameter("date", day("birth_date"), modified={"missing": missing(Q(birth_date=None))}),
        "gender": Parameter(
            "token",
            token(
                "sex",
                {code: [sex] for sex, code in patient_codec.GENDERS.items()},
                systems=("http://hl7.org/fhir/administrative-gender",),
            ),
            modified={"missing": missing(Q(sex=""))},
        ),
        "phone": Parameter("token", token("phone"), modified={"missing": missing(Q(phone=""))}),
        "active": Parameter("token", flag("merged_into__isnull")),
        "deceased": Parameter("token", flag("deceased")),
        "_lastUpdated": Parameter(
            "date", updated("Patient", Patient, facts="patient", by="pk", made="created_at")
        ),
    },
    computed={LAST_TOLD: last_told("Patient", facts="patient", by="pk", made="created_at")},
)

REQUEST = Source(
    lambda site: Exam.objects.filter(site=site),
    rows.requests,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier()),
        **_patient("patient", "subject"),
        "subject": _to("Patient", "patient", "subject"),
        "status": Parameter("token", _coded("request-status", _request_status)),
        "intent": Parameter("token", _coded("request-intent", always("order"))),
        "priority": Parameter("token", _coded("request-priority", token("priority", _PRIORITIES))),
        "code": Parameter("token", code_of_list("procedure_code", "procedure_system")),
        "occurrence": Parameter(
            "date", moment("requested_at"), modified={"missing": missing(Q(requested_at=None))}
        ),
        "authored": Parameter("date", moment("created_at")),
        "requester": Parameter(
            "reference",
            _requester,
            "requester",
            modified={
                "identifier": _requester,
                "missing": missing(Q(order__provider_id="", order__provider_name="")),
            },
        ),
        "_lastUpdated": Parameter("date", _EXAM_UPDATED),
    },
    computed={LAST_TOLD: last_told("ServiceRequest", facts="accession", by="accession", made="created_at")},
)

APPOINTMENT = Source(
    plan_rows.standing_bookings,
    plan_rows.appointments,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier("exam")),
        **_patient("patient", "participant"),
        "date": Parameter("date", moment("during__startswith")),
        "status": Parameter("token", _coded("appointmentstatus", _appointment_status)),
        "actor": Parameter(
            "reference",
            actor(ACTORS),
            "participant",
            ("Patient", "Location", "Practitioner"),
            columns=ACTORS,
        ),
        "location": _to("Location", "room", "participant", lacking=Q(room=None)),
        "practitioner": _to("Practitioner", "technologist", "participant", lacking=Q(technologist=None)),
        "based-on": _to("ServiceRequest", "exam", "basedOn"),
        "service-type": Parameter("token", code_of_list("exam__procedure_code", "exam__procedure_system")),
        "slot": Parameter("reference", _slot, "slot", ("Slot",)),
        "_lastUpdated": Parameter(
            "date", updated("Appointment", Booking, facts="accession", by="exam__accession", made="booked_at")
        ),
    },
    computed={LAST_TOLD: last_told("Appointment", facts="accession", by="exam__accession", made="booked_at")},
)

SLOT = Source(
    lambda site: Room.objects.none(),
    lambda site, keys: [],
    {
        **_id(),
        "status": Parameter("token", anything),
        "start": Parameter("date", moment("during__startswith")),
        "service-type": Parameter("token", anything),
        "schedule": _to("Schedule", "pk", "schedule"),
    },
)

STUDY = Source(
    lambda site: Exam.objects.filter(_has_image(), site=site),
    rows.studies,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier()),
        **_patient("patient", "subject"),
        "subject": _to("Patient", "patient", "subject"),
        "based-on": _to("ServiceRequest", "pk", "basedOn"),
        "basedon": _to("ServiceRequest", "pk", "basedOn"),
        "started": Parameter(
            "date", moment_of(lambda site: rows.images_of_exam().filter(site=site), "acquired", "exam")
        ),
        "modality": Parameter("token", _modality),
        "_lastUpdated": Parameter(
            "date", updated("ImagingStudy", Exam, facts="accession", by="accession", made="created_at")
        ),
    },
    computed={LAST_TOLD: last_told("ImagingStudy", facts="accession", by="accession", made="created_at")},
)

REPORT = Source(
    lambda site: Report.objects.filter(site=site),
    rows.reports,
    {
        **_id(),
        "identifier": Parameter("token", exam_identifier("exam")),
        **_patient("exam__patient", "subject"),
        "subject": _to("Patient", "exam__patient", "subject"),
        "based-on": _to("ServiceRequest", "exam", "basedOn"),
        "status": Parameter(
            "token", _coded("diagnostic-report-status", token("state", report_codec.REPORT_STATES))
        ),
        "code": Parameter("token", code_of_list("exam__procedure_code", "exam__procedure_system")),
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
        "subject": _to("Patient", "exam__patient", "subject"),
        "based-on": _to("ServiceRequest", "exam", "basedOn"),
        "status": Parameter(
            "token", _coded("event-status", token("state", _reverse(report_codec.FINDING_STATUS)))
        ),
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
        "focus": _to("ServiceRequest", "exam", "focus"),
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
        "focus": _to("ServiceRequest", "pk", "focus"),
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
        "identifier": Parameter("token", _coverage_number),
        **_patient("patient", "beneficiary"),
        "patient": Parameter(
            "reference", _beneficiary, "beneficiary", ("Patient",), columns={"Patient": "patient"}
        ),
        "beneficiary": Parameter(
            "reference", _beneficiary, "beneficiary", ("Patient",), columns={"Patient": "patient"}
        ),
        "status": Parameter("token", _coded("fm-status", token("status"))),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)

LOCATION = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.locations,
    {
        **_id(),
        "identifier": Parameter("token", token("code")),
        "name": _named("name"),
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
        "name": _named("name"),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)

SCHEDULE = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.schedules,
    {
        **_id(),
        "actor": _to("Location", "pk", "actor"),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)

AUDIT = Source(
    lambda site: RecordRead.objects.filter(site=site),
    rows.audit_events,
    {
        **_id(),
        "patient": _to("Patient", "patient", "entity"),
        "date": Parameter("date", moment("at")),
        "agent-name": Parameter("string", text_begins("who")),
        "_lastUpdated": Parameter("date", moment("at")),
    },
)


def _map_url(site: Site, value: str) -> Q:
    head, _, rest = value.partition(":map:")
    of, _, system = rest.partition(":")
    return Q(of=of, system=system) if head == f"urn:xraydesk:{site.code}" else NOBODY


CONCEPT_MAP = Source(
    lambda site: CodeTable.objects.filter(site=site),
    rows.concept_maps,
    {
        **_id(),
        "url": Parameter("uri", _map_url),
        "status": Parameter("token", _coded("publication-status", always("active"))),
        "version": Parameter("token", token("version")),
        "target-system": Parameter("uri", text_is("system")),
        "_lastUpdated": Parameter("date", moment("at")),
    },
)

SUBSCRIPTION = Source(
    lambda site: Subscription.objects.filter(site=site),
    rows.subscriptions,
    {
        **_id(),
        "status": Parameter("token", _coded("subscription-status", token("state"))),
        "criteria": Parameter("string", text_begins("topic"), modified={"exact": text_is("topic")}),
        "url": Parameter("uri", text_is("endpoint")),
        "_source": Parameter("uri", text_is("who")),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)
