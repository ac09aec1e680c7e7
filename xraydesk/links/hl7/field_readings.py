"""What is read in a message of each field that a link's rules can take from elsewhere, today and then; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xraydesk.links.hl7 import order
from xraydesk.links.hl7.patient import read_identifiers, read_phone, read_visit
from xraydesk.links.hl7.reader import NOWHERE, Message, Segment
from xraydesk.links.hl7.refusals import NeedsPerson, Rejected
from xraydesk.orders.states import Priority
from xraydesk.siteplan.link_plan import LinkField, OrderControl

ORDER_TYPES = frozenset({"ORM", "OMG", "OMI"})

PATIENT = 0
"""Stands in place of an exam's number where a field is of the patient or the stay."""


@dataclass(frozen=True)
class FieldCompared:
    """One field of a message: which exam of it (from 1; 0 for the patient and the stay), what is read today, what then."""

    exam: int
    name: LinkField
    today: str
    then: str

    @property
    def differs(self) -> bool:
        """True where the rules that are tried change what is read."""
        return self.today != self.then


def compared(today: Message, then: Message, zone: str) -> tuple[FieldCompared, ...]:
    """The fields that two readings of one message find anything in, in the order of the message."""
    before, now = read_fields(today, zone), read_fields(then, zone)
    return tuple(
        FieldCompared(exam, name, before.get((exam, name), ""), now.get((exam, name), ""))
        for exam, name in sorted({**before, **now}, key=_place)
    )


def _place(key: tuple[int, LinkField]) -> tuple[int, int]:
    return key[0], list(LinkField).index(key[1])


def read_fields(message: Message, zone: str) -> dict[tuple[int, LinkField], str]:
    """What is read of each field, by exam and field; those that are empty are left out. `zone` is where times are from."""
    found = {(PATIENT, name): value for name, value in _of_patient(message, zone).items()}
    exams = [(group, ipc) for group in order.groups_of(message) for ipc in group.ipcs or [NOWHERE]]
    for number, (group, ipc) in enumerate(exams, start=1):
        found |= {(number, name): value for name, value in _of_exam(group, ipc).items()}
    return {key: value for key, value in found.items() if value}


def why_refused(message: Message, zone: str, words: Mapping[str, OrderControl] | None = None) -> str:
    """Why an order would be refused or would wait, in a sentence; "" where it can be read, and for all that is no order.

    `zone` and `words` as of `order.read_requisitions`.
    """
    if message.header.get(9, 1) not in ORDER_TYPES:
        return ""
    try:
        order.read_number_requests(message) or order.read_requisitions(message, zone=zone, words=words)
    except Rejected as error:
        return error.sentence
    except NeedsPerson as error:
        return str(error)
    return ""


def _of_patient(message: Message, zone: str) -> dict[LinkField, str]:
    pid, visit = message.first("PID"), message.first("PV1")
    stay = read_visit(pid, visit, zone)
    numbers = [f"{i.value} of {i.authority}" if i.authority else i.value for i in read_identifiers(pid)]
    return {
        LinkField.PATIENT_ID: ", ".join(numbers),
        LinkField.PHONE: read_phone(pid),
        LinkField.VISIT_NUMBER: stay.number,
        LinkField.ACCOUNT: stay.account,
        LinkField.PATIENT_CLASS: stay.patient_class,
        LinkField.WARD: stay.ward,
    }


def _of_exam(group: order.Group, ipc: Segment) -> dict[LinkField, str]:
    placer, issuer = order.placer_of(group)
    code, text, system = order.read_procedure(group.obr, ipc)
    said = order.priority_code(group)
    return {
        LinkField.ACCESSION: order.accession_of(group.obr, ipc),
        LinkField.STUDY_INSTANCE_UID: order.study_uid_of(group, ipc),
        LinkField.PLACER: f"{placer} of {issuer}" if issuer else placer,
        LinkField.FILLER: order.filler_of(group),
        LinkField.PROCEDURE_CODE: code,
        LinkField.PROCEDURE_TEXT: text,
        LinkField.PROCEDURE_SYSTEM: system,
        LinkField.LATERALITY: order.read_laterality(group.obr),
        LinkField.PRIORITY: f"{order.PRIORITIES.get(said.upper(), Priority.ROUTINE)} ({said})"
        if said
        else "",
        LinkField.REQUESTED_AT: order.start_as_sent(group),
        LinkField.REASON: order.read_reason(group.obr),
        LinkField.CLINICAL_INFORMATION: order.read_clinical_information(group.obr),
        LinkField.TRANSPORT: order.read_transport(group.obr),
    }
