"""CDS Hooks: an EHR asks what triage would say before an order is signed, and whether a time is free before it is booked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from xraydesk.access.actions import record_reads
from xraydesk.journey import ahead
from xraydesk.journey.advise import advise
from xraydesk.journey.errors import Refused
from xraydesk.journey.triage import judge
from xraydesk.lib import clock
from xraydesk.links.fhir import hooks_codec, interactions, request_codec, shape_codec
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.conditions import exam_identifier
from xraydesk.links.fhir.elements_codec import may_be_planned, read_moment
from xraydesk.links.fhir.hooks_codec import Card
from xraydesk.links.fhir.hooks_sign_in import member_of_call
from xraydesk.links.fhir.http import body_of, fhir, only
from xraydesk.links.fhir.own_codes import in_own_codes
from xraydesk.links.fhir.replies import Refusal, refuse
from xraydesk.links.fhir.writing import offered_codes, patient_meant, read_patient, source_of
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import Requisition
from xraydesk.patients import queries as patients
from xraydesk.patients.demographics import Demographics
from xraydesk.patients.models import Patient
from xraydesk.patients.rules import Match, facts_said, identifiers_that_count

FREE_TOLD_MAX = 3


def services(request: HttpRequest) -> HttpResponse:
    """What is offered; for anybody."""
    return JsonResponse(hooks_codec.services())


@csrf_exempt
def service(request: HttpRequest, hook: str) -> HttpResponse:
    """The cards for one call of a hook, by an EHR that signed it or a program with a token."""
    if not getattr(request, "member", None):
        request.member = member_of_call(request)  # type: ignore[attr-defined]
    return _answered(request, hook=hook)


@fhir
def _answered(request: HttpRequest, caller: Caller, *, hook: str) -> HttpResponse:
    only(request, "POST")
    interactions.kind_for(caller, "ServiceRequest", "read")
    told = body_of(request)
    if hook not in [name for name, _ in hooks_codec.SERVICES]:
        raise refuse(404, "not-found", "There is no such service here; see cds-services.")
    context = told.get("context") if isinstance(told, dict) else None
    if not isinstance(context, dict) or told.get("hook") != hook:
        raise refuse(400, "structure", f"Send a call of the hook {hook} with its context.")
    at = clock.now()
    answered = (
        _booking(caller, told, context, at=at)
        if hook == "appointment-book"
        else _ordering(caller, told, context, at=at)
    )
    return JsonResponse(hooks_codec.cards(answered, link=request.build_absolute_uri("/triage")))


def _ordering(
    caller: Caller, told: Mapping[str, Any], context: Mapping[str, Any], *, at: datetime
) -> list[Card]:
    """What triage would say of those drafts that are of this department; of others nothing."""
    site = caller.member.site
    meant: list[tuple[str, Requisition]] = []
    for draft in hooks_codec.drafts(context):
        resource = {"subject": {"reference": "Patient/0"}, "intent": "order", **draft, "status": "active"}
        if shape_codec.issues_of(resource, "ServiceRequest"):
            continue
        resource = {**in_own_codes(site, resource)}
        try:
            asked = request_codec.read_request(
                {**resource, "intent": "order"},
                patient=Demographics(()),
                offered=offered_codes(caller, resource),
            )
        except request_codec.Unfit:
            continue
        meant.append((str(draft.get("id", "")), asked))
    if not meant:
        # Nobody is looked up for orders that are none of this department's.
        return []
    patient = _patient(caller, told, context, at=at)
    found: list[Card] = []
    for about, asked in meant:
        for advice in advise(site=site, patient=patient, requisition=asked, source=source_of(caller), at=at):
            card = hooks_codec.card_of(advice.text, advice.decision, about=about)
            found += [card] if card else []
    return found


def _patient(caller: Caller, told: Mapping[str, Any], context: Mapping[str, Any], *, at: datetime) -> Patient:
    """Who is meant: by number; as the EHR tells of them where they are not here yet; by our own id where this is the server it is of.

    Raises Refusal (412) where nothing tells who it is: silence would look as if nothing spoke against the order.
    """
    site = caller.member.site
    prefetch = told.get("prefetch")
    resource = prefetch.get("patient") if isinstance(prefetch, dict) else None
    if isinstance(resource, dict) and not shape_codec.issues_of(resource, "Patient"):
        said = read_patient(site, resource)
        numbers = identifiers_that_count(said.identifiers, authority=site.assigning_authority)
        matching = patients.match(site=site, identifiers=numbers)
        if matching.match is not Match.ONE or caller.patient not in (None, matching.patient_id):
            return Patient(pk=0, site=site, created_at=at, **facts_said(said))
        found = Patient.objects.get(pk=matching.patient_id or 0)
    else:
        try:
            found = patient_meant(
                caller,
                {"reference": _here(caller, told, f"Patient/{context.get('patientId')}")},
                "context.patientId",
            )
        except Refusal:
            words = "Nothing tells who the patient is: send prefetch.patient with a number of theirs."
            raise refuse(412, "required", words, "prefetch.patient") from None
    _log(caller, found.pk, "", at=at)
    return found


def _here(caller: Caller, told: Mapping[str, Any], reference: str) -> str:
    """A reference to something of this server; empty where it may be one of the EHR's own, whose ids mean others here."""
    server = told.get("fhirServer")
    is_ours = isinstance(server, str) and server.rstrip("/") == caller.base
    return reference if is_ours or reference.startswith(f"{caller.base}/") else ""


def _log(caller: Caller, patient: int, accession: str, *, at: datetime) -> None:
    record_reads(
        member=caller.member,
        records=[(patient, accession)],
        what="FHIR operation CDS Hooks",
        reason=caller.reason,
        at=at,
    )


def _booking(
    caller: Caller, told: Mapping[str, Any], context: Mapping[str, Any], *, at: datetime
) -> list[Card]:
    """What holds an order up whose place is about to be booked, and whether the time is free."""
    found: list[Card] = []
    for wanted in hooks_codec.appointments(context):
        exam = _ordered(caller, told, wanted)
        if exam is None:
            continue
        _log(caller, exam.patient_id, exam.accession, at=at)
        about = str(wanted.get("id", ""))
        card = hooks_codec.card_of(exam.procedure_text, judge(exam, at=at), about=about)
        found += [card] if card else []
        found += _time(exam, _start(wanted), about=about, at=at)
    return found


def _ordered(caller: Caller, told: Mapping[str, Any], wanted: Mapping[str, Any]) -> Exam | None:
    """The exam of the order that a place is for: by a number of it (`basedOn.identifier`), else by our own id; None where it is not here."""
    reference, number = hooks_codec.based_on(wanted)
    exams = Exam.objects.filter(site=caller.member.site)
    if caller.patient is not None:
        exams = exams.filter(patient=caller.patient)
    key = caller.key_in(_here(caller, told, reference), "ServiceRequest")
    if key is not None:
        exams = exams.filter(pk=key)
    elif number:
        exams = exams.filter(exam_identifier()(caller.member.site, number))
    else:
        return None
    found = list(exams.select_related("site", "order", "patient", "procedure")[:2])
    return found[0] if len(found) == 1 else None


def _start(wanted: Mapping[str, Any]) -> datetime | None:
    try:
        start = read_moment(str(wanted.get("start", "")))
    except ValueError:
        return None
    return start if start is not None and start.tzinfo is not None and may_be_planned(start) else None


def _time(exam: Exam, start: datetime | None, *, about: str, at: datetime) -> list[Card]:
    if start is None:
        return []
    wish = ahead.Wish(exam_ids=(exam.pk,))
    try:
        offers = ahead.find_slots(
            site=exam.site, wish=wish, at=at, since=start, count=FREE_TOLD_MAX, sooner=False
        )
    except Refused:
        return []
    if any(offer.start == start for offer in offers):
        return []
    zone = exam.site.timezone
    free = [f"- {clock.in_zone(offer.start, zone):%a %d %b %H:%M}" for offer in offers]
    detail = "\n".join(["The next free times:", *free]) if free else "Nothing is free in the days looked at."
    return [Card(f"{exam.procedure_text}: that time is not free.", detail, "warning", about)]
