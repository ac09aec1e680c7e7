"""The rows behind patients, orders, and what comes of them, and what a value of each search parameter means among them."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, Q

from xraydesk.access.models import Site
from xraydesk.billing.models import Coverage
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.links.fhir import (
    patient_codec,
    report_codec,
    request_codec,
    rows,
    study_codec,
)
from xraydesk.links.fhir.conditions import (
    NOBODY,
    always,
    code_of_list,
    day,
    flag,
    folded_holds,
    given_begins,
    last_told,
    missing,
    moment,
    moment_of,
    name_begins,
    outer,
    reference,
    text_holds,
    text_is,
    token,
    token_of,
    updated,
)
from xraydesk.links.fhir.elements_codec import authority_of
from xraydesk.links.fhir.kind import LAST_TOLD, Parameter, Source
from xraydesk.links.fhir.parameters import (
    EXAM_UPDATED,
    by_id,
    coded,
    exam_number,
    leads_to,
    of_patient,
    patient_number,
    reversed_codes,
)
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient
from xraydesk.results.models import Finding, Report
from xraydesk.results.states import READ_STATES

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


def _coverage_number(site: Site, value: str) -> Q:
    """A number of a coverage, with or without its issuer."""
    system, number = token_of(value)
    whole = Q(number=number) if number else Q()
    return whole if system is None else whole & Q(authority=authority_of(system))


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


_PRIORITIES = {code: [priority.value] for code, priority in request_codec.PRIORITIES.items()}


PATIENT = Source(
    lambda site: Patient.objects.filter(site=site),
    rows.patients,
    {
        **by_id(),
        "identifier": patient_number(),
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
        **by_id(),
        "identifier": exam_number(),
        **of_patient("patient", "subject"),
        "subject": leads_to("Patient", "patient", "subject"),
        "status": Parameter("token", coded("request-status", _request_status)),
        "intent": Parameter("token", coded("request-intent", always("order"))),
        "priority": Parameter("token", coded("request-priority", token("priority", _PRIORITIES))),
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
        "_lastUpdated": Parameter("date", EXAM_UPDATED),
    },
    computed={LAST_TOLD: last_told("ServiceRequest", facts="accession", by="accession", made="created_at")},
)


STUDY = Source(
    lambda site: Exam.objects.filter(_has_image(), site=site),
    rows.studies,
    {
        **by_id(),
        "identifier": exam_number(),
        **of_patient("patient", "subject"),
        "subject": leads_to("Patient", "patient", "subject"),
        "based-on": leads_to("ServiceRequest", "pk", "basedOn"),
        "basedon": leads_to("ServiceRequest", "pk", "basedOn"),
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
        **by_id(),
        "identifier": exam_number("exam"),
        **of_patient("exam__patient", "subject"),
        "subject": leads_to("Patient", "exam__patient", "subject"),
        "based-on": leads_to("ServiceRequest", "exam", "basedOn"),
        "status": Parameter(
            "token", coded("diagnostic-report-status", token("state", report_codec.REPORT_STATES))
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
        **by_id(),
        **of_patient("exam__patient", "subject"),
        "subject": leads_to("Patient", "exam__patient", "subject"),
        "based-on": leads_to("ServiceRequest", "exam", "basedOn"),
        "status": Parameter(
            "token", coded("event-status", token("state", reversed_codes(report_codec.FINDING_STATUS)))
        ),
        "sent": Parameter("date", moment("opened_at")),
        "_lastUpdated": Parameter(
            "date",
            updated("Communication", Finding, facts="accession", by="exam__accession", made="found_at"),
        ),
    },
)


COVERAGE = Source(
    lambda site: Coverage.objects.filter(site=site),
    rows.coverages,
    {
        **by_id(),
        "identifier": Parameter("token", _coverage_number),
        **of_patient("patient", "beneficiary"),
        "patient": Parameter(
            "reference", _beneficiary, "beneficiary", ("Patient",), columns={"Patient": "patient"}
        ),
        "beneficiary": Parameter(
            "reference", _beneficiary, "beneficiary", ("Patient",), columns={"Patient": "patient"}
        ),
        "status": Parameter("token", coded("fm-status", token("status"))),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)
