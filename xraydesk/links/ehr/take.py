"""A resource that was fetched from an EHR becomes what a message would: an order, a patient, a coverage, or something for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction

from xraydesk.access.members import Member
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.actions import close_items
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.actions import heard
from xraydesk.journey.cancel import cancel_after_start_key
from xraydesk.journey.errors import AlreadyStarted, Refused
from xraydesk.journey.receive import receive_order
from xraydesk.lib import exact_json, locks
from xraydesk.links import messages
from xraydesk.links.ehr import counterparts
from xraydesk.links.ehr.request_rules import steps_asked
from xraydesk.links.ehr.searchset_codec import id_of, remote_id, version_of
from xraydesk.links.fhir import request_codec, rows, shape_codec, writing
from xraydesk.links.fhir.answers_codec import Issue
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.elements_codec import CODES_PREFIX
from xraydesk.links.fhir.replies import Refusal
from xraydesk.links.hl7.apply import DONE_STATES, Effect, Waiting, waits
from xraydesk.links.models import Message
from xraydesk.links.states import MessageState
from xraydesk.orders.models import Exam
from xraydesk.patients.queries import by_identifier
from xraydesk.siteplan.link_plan import EhrPlan, OrderControl, Pulls

log = structlog.get_logger(__name__)

CODE_LENGTH_MAX = 64
"""A code or system that is longer cannot be kept with an exam."""

ISSUES_TOLD_MAX = 3
PATIENTS_NAMED_MAX = 20
SERVERS_OWN = ("id", "meta", "text")
"""Elements that say nothing of the thing itself, but of the record that the EHR keeps of it."""


@dataclass(frozen=True)
class Fetched:
    """A resource as it came, and where it stands there."""

    site: Site
    ehr: EhrPlan
    kind: Pulls
    resource: Mapping[str, Any]

    @property
    def remote_id(self) -> str:
        """Its id there; empty where it has none."""
        return id_of(self.resource)

    @property
    def version(self) -> str:
        """Its version there."""
        return version_of(self.resource)

    @property
    def about(self) -> str:
        """The key of what waits for a person because of it, whatever its version."""
        return f"ehr:{self.ehr.name}:{self.kind}/{self.remote_id}"

    @property
    def named(self) -> str:
        """How what waits for this patient names them."""
        return f"{self.ehr.name}/Patient/{self.remote_id}"

    def patients_named(self) -> tuple[str, ...]:
        """Whose records it hangs on: the numbers of a patient, or how an order or coverage names whose it is."""
        if self.kind is Pulls.PATIENTS:
            numbers = self.resource.get("identifier")
            values = (
                [n.get("value") for n in numbers if isinstance(n, dict)] if isinstance(numbers, list) else []
            )
            return tuple(value for value in values if isinstance(value, str) and value)
        told = self.resource.get("subject" if self.kind is Pulls.REQUESTS else "beneficiary")
        reference = told.get("reference") if isinstance(told, dict) else None
        remote = remote_id(reference, "Patient", self.ehr.base)
        return (f"{self.ehr.name}/Patient/{remote}",) if remote else ()

    @property
    def caller(self) -> Caller:
        """Who is named as having written it."""
        name = self.ehr.name
        return Caller(Member(who=f"link:{name}", name=name, site=self.site, role=Role.SYSTEM), by_token=True)

    def patient_key(self, told: Any) -> int | None:
        """The patient here whom a reference of the EHR's means, where they were fetched before."""
        remote = remote_id(
            told.get("reference") if isinstance(told, dict) else None, "Patient", self.ehr.base
        )
        row = counterparts.of_remote(self.site, self.ehr.name, Pulls.PATIENTS, remote) if remote else None
        return row.key if row else None


@dataclass(frozen=True)
class Taken:
    """What became of a resource, and the key of the row that it is here."""

    effect: Effect
    key: int | None = None


def is_new(one: Fetched) -> bool:
    """True where this version was not taken in yet."""
    row = counterparts.of_remote(one.site, one.ehr.name, one.kind, one.remote_id)
    return row is None or row.heard != one.version


def is_of_somebody_known(one: Fetched) -> bool:
    """True for an order, and for what concerns a patient who has a record here: the desk fetches nobody else's."""
    match one.kind:
        case Pulls.REQUESTS:
            return True
        case Pulls.COVERAGES:
            return one.patient_key(one.resource.get("beneficiary")) is not None
        case Pulls.PATIENTS:
            if counterparts.of_remote(one.site, one.ehr.name, one.kind, one.remote_id) is not None:
                return True
            if shape_codec.issues_of(one.resource, one.kind):
                return False
            said = writing.read_patient(one.site, one.resource)
            return any(
                by_identifier(site=one.site, value=number.value, authority=number.authority) is not None
                for number in said.identifiers
                if number.authority
            )


def take_in(one: Fetched, *, at: datetime) -> bool:
    """Keep a resource with what became of it, in one transaction; False where this version was taken in before.

    What cannot be applied waits for a person, with the element that says why.
    """
    raw = exact_json.written(one.resource).encode()
    arrived = messages.Arrived(
        raw=raw,
        link=one.ehr.name,
        control_id=f"{one.kind}/{one.remote_id}/{one.version}",
        type=str(one.kind),
        charset="utf-8",
    )
    with transaction.atomic():
        locks.take([one.about])
        if one.remote_id and not is_new(one):
            return False
        earlier = messages.lock_and_find(site=one.site, arrived=arrived)
        if earlier and not one.remote_id:
            return False
        taken = _take(one, at)
        if earlier:
            messages.keep_again(earlier=earlier[-1], effect=taken.effect, answers=(), at=at)
        else:
            messages.keep(site=one.site, arrived=arrived, effect=taken.effect, answers=(), at=at)
        _note(one, taken, at=at, how="a later version was applied")
        _take_waiting(one, taken, at)
    return True


def _note(one: Fetched, taken: Taken, *, at: datetime, how: str) -> None:
    if one.remote_id:
        counterparts.note_heard(
            one.site, one.ehr.name, one.kind, one.remote_id, version=one.version, key=taken.key, at=at
        )
    if taken.effect.waiting is None:
        close_items(site_id=one.site.pk, key=one.about, at=at, by=f"link:{one.ehr.name}", how=how)


def _take_waiting(one: Fetched, taken: Taken, at: datetime) -> None:
    """A patient could be read: their orders and coverages that waited for it are read again."""
    if one.kind is not Pulls.PATIENTS or taken.key is None:
        return
    waiting = Item.objects.filter(
        site=one.site, kind=ItemKind.MESSAGE_NOT_APPLIED, closed_at=None, data__patients__contains=[one.named]
    )
    keys = waiting.exclude(message=None).values("message")
    for message in Message.objects.filter(pk__in=keys).order_by("id")[: messages.WAITING_AT_ONCE_MAX]:
        with suppress(messages.NotReplayable):
            take_again(message, one.ehr, at=at, by="rule", how="read again: its patient could be read")


def take_again(message: Message, ehr: EhrPlan, *, at: datetime, by: str, how: str = "replayed") -> Message:
    """Apply once more what waits for a person, in the caller's transaction.

    Raises NotReplayable where it was applied, or a later version was fetched since.
    """
    if message.state in DONE_STATES:
        raise messages.NotReplayable(f"Message {message.pk} is {message.state} already; nothing was changed.")
    one = Fetched(message.site, ehr, Pulls(message.type), exact_json.read(bytes(message.raw).decode()))
    locks.take([one.about])
    if one.remote_id and is_new(one):
        raise messages.NotReplayable(
            f"{ehr.name} sent a later version than message {message.pk}: look at that one."
        )
    taken = _take(one, at)
    _note(one, taken, at=at, how=how)
    after = messages.keep_replayed(message, taken.effect, at=at, by=by, how=how)
    _take_waiting(one, taken, at)
    return after


def _take(one: Fetched, at: datetime) -> Taken:
    """Apply it, or say why not. Nobody waits for an answer to it."""
    taken = _applied(one, at)
    return replace(taken, effect=replace(taken.effect, answered=False))


def _applied(one: Fetched, at: datetime) -> Taken:
    """Apply it, or say why not; what was begun is undone then."""
    if not one.remote_id:
        return Taken(_waits(one, [Issue("required", "it has no id that FHIR allows", f"{one.kind}.id")]))
    if wrong := shape_codec.issues_of(one.resource, one.kind):
        return Taken(_waits(one, wrong))
    if unknown := shape_codec.not_understood(one.resource, one.kind):
        return Taken(_waits(one, unknown))
    try:
        with heard() as facts, transaction.atomic():
            taken = TAKERS[one.kind](one, at)
    except Refusal as refusal:
        return Taken(_waits(one, refusal.issues))
    except request_codec.Unfit as unfit:
        return Taken(_waits(one, [unfit.issue]))
    except _TooLate as late:
        return Taken(late.effect, late.key)
    except Refused as error:
        return Taken(_waits(one, writing.refused_by_step(error, str(one.kind)).issues))
    except (OperationalError, InterfaceError):
        raise
    except (
        Exception
    ) as error:  # the edge of the protocol: it is kept, a person sees it, and what is behind it goes on
        log.exception("resource of an EHR not applied", type=str(one.kind), site=one.site.code)
        words = f"The desk failed while applying it ({type(error).__name__}). It is kept: replay it once the cause is mended"
        return Taken(_waits(one, [Issue("exception", words)]))
    return replace(taken, effect=replace(taken.effect, facts=tuple(facts)))


def _waits(one: Fetched, issues: list[Issue] | tuple[Issue, ...]) -> Effect:
    told = "; ".join(f"{i.path}: {i.words}" if i.path else i.words for i in issues[:ISSUES_TOLD_MAX])
    sentence = f"{one.kind} from {one.ehr.name} could not be applied. {told}"
    effect = waits(ItemKind.MESSAGE_NOT_APPLIED, sentence)
    waiting = Waiting(
        ItemKind.MESSAGE_NOT_APPLIED, sentence, one.about, patients=one.patients_named()[:PATIENTS_NAMED_MAX]
    )
    return replace(effect, waiting=waiting)


class _TooLate(Exception):
    """An order was to be changed or cancelled that had begun: the exam goes on, and a person hears of it."""

    def __init__(self, effect: Effect, key: int) -> None:
        super().__init__()
        self.effect, self.key = effect, key


def _own(one: Fetched) -> dict[str, Any]:
    return {name: value for name, value in one.resource.items() if name not in SERVERS_OWN}


def _take_patient(one: Fetched, at: datetime) -> Taken:
    row = counterparts.of_remote(one.site, one.ehr.name, one.kind, one.remote_id)
    written = writing.write_patient(one.caller, _own(one), row.key if row else None, at)
    return Taken(Effect(MessageState.APPLIED, patient=written.key), written.key)


def _take_coverage(one: Fetched, at: datetime) -> Taken:
    patient = one.patient_key(one.resource["beneficiary"])
    row = counterparts.of_remote(one.site, one.ehr.name, one.kind, one.remote_id)
    resource = _own(one) | {"beneficiary": _translated(one.resource["beneficiary"], patient)}
    written = writing.write_coverage_resource(one.caller, resource, row.key if row else None, at)
    return Taken(Effect(MessageState.APPLIED, patient=patient), written.key)


def _translated(told: Mapping[str, Any], patient: int | None) -> dict[str, Any]:
    """A reference as it is here. An id of the EHR's never stands for one of ours."""
    kept = {name: value for name, value in told.items() if name != "reference"}
    return kept if patient is None else kept | {"reference": f"Patient/{patient}"}


def _take_request(one: Fetched, at: datetime) -> Taken:
    row = counterparts.of_remote(one.site, one.ehr.name, one.kind, one.remote_id)
    exam = Exam.objects.select_related("order").filter(pk=row.key).first() if row and row.key else None
    standing = rows.requests(one.site, [exam.pk])[0].resource["status"] if exam else ""
    steps = steps_asked(one.resource["status"], standing)
    if not steps or one.resource["intent"] not in request_codec.INTENTS:
        return Taken(Effect(MessageState.IGNORED, accession=exam.accession if exam else ""))
    subject = _translated(one.resource["subject"], one.patient_key(one.resource["subject"]))
    resource = _own(one) | {"subject": subject}
    patient = writing.patient_meant(one.caller, subject, "ServiceRequest.subject")
    offered = writing.offered_codes(one.caller, resource) or _codes_as_sent(resource)
    if exam:
        offered.append((exam.procedure_code, exam.procedure_system))
    asked = request_codec.read_request(
        resource | {"status": "active"}, patient=writing.whose(patient), offered=offered
    )
    # The desk books what it fetched as it does what came by HL7: by the site's policies.
    asked = replace(asked, details={})
    if not asked.placer:
        asked = replace(asked, placer=one.remote_id, placer_authority=one.ehr.name)
    for control in steps:
        wish = writing.of_order(asked, exam, control) if exam else replace(asked, control=control)
        try:
            received = receive_order(
                site=one.site,
                requisition=wish,
                link=writing.link_of(one.caller),
                at=at,
                by=one.caller.member.who,
                simulated=one.site.simulated,
            )
        except AlreadyStarted as error:
            if exam is None:
                raise
            raise _TooLate(_too_late(one, exam, control, error), exam.pk) from error
    done = exam or received.exams[0]
    writing.keep_as_sent(one.site, "ServiceRequest", done.pk, resource, at=at, by=one.caller.member.who)
    return Taken(Effect(MessageState.APPLIED, accession=done.accession, patient=patient.pk), done.pk)


def _codes_as_sent(resource: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Codes that nobody mapped yet, as they are: what becomes of such an order the site's policies say, as with HL7."""
    codings = resource.get("code", {}).get("coding", ())
    found = [(c.get("code", ""), c.get("system", "").removeprefix(CODES_PREFIX)) for c in codings]
    return [one for one in found if one[0] and max(map(len, one)) <= CODE_LENGTH_MAX]


def _too_late(one: Fetched, exam: Exam, control: OrderControl, error: AlreadyStarted) -> Effect:
    kind, key = ItemKind.MESSAGE_NOT_APPLIED, one.about
    if control is OrderControl.CANCEL:
        kind, key = ItemKind.CANCEL_AFTER_START, cancel_after_start_key(exam.accession)
    item = Waiting(kind, str(error), key, exam.accession)
    return Effect(MessageState.WAITING, waiting=item, accession=exam.accession, patient=exam.patient_id)


TAKERS: dict[Pulls, Callable[[Fetched, datetime], Taken]] = {
    Pulls.PATIENTS: _take_patient,
    Pulls.COVERAGES: _take_coverage,
    Pulls.REQUESTS: _take_request,
}
