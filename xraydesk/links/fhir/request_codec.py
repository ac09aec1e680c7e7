"""FHIR R4 ServiceRequest: one exam. Written from what the desk knows, and read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xraydesk.links.fhir.answers_codec import Issue
from xraydesk.links.fhir.elements_codec import (
    CODES_PREFIX,
    DICOM_UID_SYSTEM,
    OID_PREFIX,
    PUBLIC_CODES,
    Coded,
    Resource,
    authority_of,
    codings,
    filled,
    identifier,
    instant,
    may_be_planned,
    own_concept,
    read_moment,
    reference,
    uid_identifier,
    words_of,
)
from xraydesk.links.fhir.overlay_codec import Part, alike
from xraydesk.orders.requisition import BOOKED_BY_SENDER, RequestedExam, Requisition
from xraydesk.orders.sides import LETTER_OF, sides_named
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Demographics
from xraydesk.siteplan.link_plan import OrderControl

REQUEST_STATUS = {
    "cancelled": "revoked",
    "discontinued": "revoked",
    "held": "on-hold",
    "ended": "completed",
    "read": "completed",
}
"""Stage to ServiceRequest.status; any other stage is `active`."""

PRIORITIES = {"": Priority.ROUTINE, "routine": Priority.ROUTINE, "urgent": Priority.URGENT}
PRIORITIES |= {"asap": Priority.URGENT, "stat": Priority.STAT}
INTENTS = ("order", "original-order", "instance-order", "filler-order", "reflex-order")
"""Intents that ask for something to be done now; a plan or a proposal asks for nothing yet."""

CONTROLS = {
    "active": OrderControl.NEW,
    "on-hold": OrderControl.HOLD,
    "revoked": OrderControl.CANCEL,
    "entered-in-error": OrderControl.CANCEL,
}
"""What a status asks of an order that is here."""

SIDE_WORDS = {"L": "left", "R": "right", "B": "bilateral"}


class Unfit(ValueError):
    """A resource has the right shape, but not what can be done here; `issue` names the element."""

    def __init__(self, code: str, words: str, path: str) -> None:
        super().__init__(words)
        self.issue = Issue(code, words, path)


@dataclass(frozen=True)
class RequestFacts:
    """What a ServiceRequest resource tells of one exam."""

    id: str
    patient_id: str
    placer: str
    placer_authority: str
    accession: str
    study_instance_uid: str
    stage: str
    priority: str
    code: str
    code_system: str
    text: str
    body_part: str
    laterality: str
    authored_at: datetime
    wished_at: datetime | None
    provider_name: str
    reason: str
    provider_id: str = ""
    clinical_information: str = ""
    codes: Sequence[Coded] = ()
    """What the exam is in tables of others."""
    body_codes: Sequence[Coded] = ()


def service_request(facts: RequestFacts) -> Resource:
    """A ServiceRequest resource of one exam."""
    site = " ".join(p for p in (SIDE_WORDS.get(facts.laterality), facts.body_part.lower()) if p)
    provider = filled(
        identifier=filled(value=facts.provider_id), display=facts.provider_name or facts.provider_id
    )
    return filled(
        resourceType="ServiceRequest",
        id=facts.id,
        identifier=[
            identifier(facts.placer, facts.placer_authority, "PLAC"),
            identifier(facts.accession, kind="ACSN"),
            uid_identifier(facts.study_instance_uid),
        ],
        status=REQUEST_STATUS.get(facts.stage, "active"),
        intent="order",
        priority=facts.priority,
        code=own_concept(facts.code, facts.code_system, facts.text, facts.codes),
        subject=reference("Patient", facts.patient_id),
        occurrenceDateTime=instant(facts.wished_at),
        authoredOn=instant(facts.authored_at),
        requester=provider,
        reasonCode=[{"text": facts.reason}] if facts.reason else [],
        bodySite=[filled(coding=codings(facts.body_codes), text=site)] if site else [],
        note=[{"text": facts.clinical_information}] if facts.clinical_information else [],
    )


def read_request(
    resource: Mapping[str, Any],
    *,
    patient: Demographics,
    offered: Collection[tuple[str, str]],
    standing: str = "",
) -> Requisition:
    """The order that a ServiceRequest asks for, of a patient who was found already.

    `offered` are the codes on the department's list with their systems; one of the request's must be among them.
    A number that the sender did not give is left empty. `standing` is the status of one that is here already: the
    same again asks for no other. Raises Unfit.
    """
    if resource["intent"] not in INTENTS:
        raise Unfit("not-supported", "Only what is to be done is taken, no plan.", "ServiceRequest.intent")
    said = resource["status"]
    control = OrderControl.CHANGE if said == standing else CONTROLS.get(said)
    if control is None:
        raise Unfit("not-supported", "An order here is active, on hold or revoked.", "ServiceRequest.status")
    if resource.get("doNotPerform"):
        raise Unfit("not-supported", "Ask for what is to be done.", "ServiceRequest.doNotPerform")
    if "occurrenceTiming" in resource:
        raise Unfit("not-supported", "Send one request an exam.", "ServiceRequest.occurrenceTiming")
    code, system = read_code(resource, offered)
    if not may_be_planned(read_wish(resource)):
        raise Unfit("value", "Nobody plans for that year.", "ServiceRequest.occurrence[x]")
    numbers = read_numbers(resource)
    provider_id, provider_name = read_requester(resource)
    return Requisition(
        control=control,
        patient=patient,
        placer=numbers.placer,
        placer_authority=numbers.placer_authority,
        exams=(
            RequestedExam(
                code=code,
                text=words_of(resource.get("code")),
                system=system,
                laterality=read_side(resource),
                accession=numbers.accession,
                study_instance_uid=numbers.study_instance_uid,
                priority=PRIORITIES[resource.get("priority", "")],
                requested_at=read_wish(resource),
                requested_at_as_sent=resource.get("occurrenceDateTime", ""),
                reason=read_reason(resource),
                clinical_information=read_notes(resource),
            ),
        ),
        provider_id=provider_id,
        provider_name=provider_name,
        details=dict(BOOKED_BY_SENDER),
    )


def read_code(resource: Mapping[str, Any], offered: Collection[tuple[str, str]]) -> tuple[str, str]:
    """The one of the department's own procedures that is asked for, as (code, system). Raises Unfit."""
    codings = [c for c in resource.get("code", {}).get("coding", ()) if c.get("code")]
    for coding in codings:
        told = coding.get("system", "")
        own = told.removeprefix(CODES_PREFIX)
        for code, system in offered:
            if code == coding["code"] and (own in ("", system) or not told.startswith(PUBLIC_CODES)):
                return code, system
    named = ", ".join(str(c["code"])[:40] for c in codings) or "no code"
    raise Unfit("code-invalid", f"This department offers no exam by {named}.", "ServiceRequest.code")


@dataclass(frozen=True)
class RequestNumbers:
    """The numbers that a sender gave a request; empty where it gave none."""

    placer: str = ""
    placer_authority: str = ""
    accession: str = ""
    study_instance_uid: str = ""


def read_numbers(resource: Mapping[str, Any]) -> RequestNumbers:
    """The numbers of a request: by their type and system, and the first without either is the placer's."""
    placer, authority, accession, uid = "", "", "", ""
    for one in resource.get("identifier", ()):
        value, system = one.get("value", ""), one.get("system", "")
        kinds = {c.get("code") for c in one.get("type", {}).get("coding", ())}
        if system == DICOM_UID_SYSTEM:
            uid = value.removeprefix(OID_PREFIX)
        elif "ACSN" in kinds:
            accession = value
        elif not placer and "FILL" not in kinds:
            placer, authority = value, authority_of(system)
    return RequestNumbers(placer, authority, accession, uid)


def read_requester(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Who asks: their number (else the id of the record that is referred to), and their name."""
    told = resource.get("requester", {})
    named = told.get("reference", "")
    inside = _contained(resource, named)
    own = next((one["value"] for one in inside.get("identifier", ()) if one.get("value")), "")
    number = told.get("identifier", {}).get("value") or (
        "" if named.startswith("#") else named.rpartition("/")[2]
    )
    return number or own, told.get("display") or _name_of(inside)


def _contained(resource: Mapping[str, Any], named: str) -> Mapping[str, Any]:
    """The resource within that `#id` means; nothing where there is none."""
    within = (one for one in resource.get("contained", ()) if f"#{one.get('id')}" == named)
    return next(within, {})


def _name_of(person: Mapping[str, Any]) -> str:
    """What somebody within is called: a Practitioner by their name, a PractitionerRole by whom it names."""
    names = person.get("name", ())
    if isinstance(names, str) or not names:
        return names or words_of(person.get("practitioner"))
    said = names[0]
    return str(said.get("text") or " ".join([*said.get("given", ()), said.get("family", "")]).strip())


def read_wish(resource: Mapping[str, Any]) -> datetime | None:
    """When it is wished for; None where only a day, or nothing, is said."""
    start = resource.get("occurrencePeriod", {}).get("start", "")
    return read_moment(resource.get("occurrenceDateTime", start))


def read_reason(resource: Mapping[str, Any]) -> str:
    """Why it is asked for."""
    return "; ".join(words for words in map(words_of, resource.get("reasonCode", ())) if words)


def read_notes(resource: Mapping[str, Any]) -> str:
    """What else is said for whoever does it."""
    return "\n".join(note["text"] for note in resource.get("note", ()))


def read_side(resource: Mapping[str, Any]) -> str:
    """The side that is meant, by the words of the body site; empty where they name none or contradict."""
    return LETTER_OF[sides_named(" ".join(map(words_of, resource.get("bodySite", ()))))]


def _same_code(own: Resource, sent: Resource) -> bool:
    """Whether the department's own code, the first, is among those that were sent, or only others stand there that mean it."""
    there = [(c.get("system", ""), c.get("code")) for c in sent.get("code", {}).get("coding", ())]
    told = own["code"].get("coding", ())
    return not told or any(code == told[0]["code"] for _, code in there) or _means(told[1:], there)


def _means(others: Sequence[Resource], there: Sequence[tuple[str, Any]]) -> bool:
    return any((other["system"], other["code"]) in there for other in others)


PARTS = (
    Part(("status",), alike(lambda r: r["status"])),
    Part(("priority",), alike(lambda r: PRIORITIES[r.get("priority", "")])),
    Part(("code",), _same_code),
    Part(("subject",), alike(lambda r: r["subject"].get("reference"))),
    Part(("occurrenceDateTime", "occurrencePeriod"), alike(read_wish)),
    Part(("requester",), alike(read_requester)),
    Part(("reasonCode",), alike(read_reason)),
    Part(("note",), alike(read_notes)),
    Part(("bodySite",), alike(read_side)),
)
"""What a ServiceRequest says, one thing after the other."""
