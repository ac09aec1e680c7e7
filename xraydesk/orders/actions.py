"""The only writers of orders, exams and their notes. Call inside a transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db.models import Max, Q

from xraydesk.access.models import Site
from xraydesk.lib.prepared import Question, ask, insert, next_keys, rows_of, rows_question
from xraydesk.lib.text import shortened
from xraydesk.orders import rules
from xraydesk.orders.asked import asked, numbers_asked, order_values
from xraydesk.orders.models import CodeMapping, Exam, ExamNote, Joining, NumberGiven, Order, Procedure
from xraydesk.orders.numbers import Numbers, Taken, assign, own_number
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import TRANSITIONS, OrderState, Priority, TriageAction, TriageState
from xraydesk.patients.models import Merge, Patient
from xraydesk.siteplan.policies import Policies

EXAMS_AN_ORDER_MAX = 50
"""An order that asks for more is refused."""

TRIAL_KEYS_FROM, TRIAL_KEYS = 9_000_000_000, 900_000_000
"""Keys of exams that are written on trial and undone; no department has so many."""

NOTE_LENGTH_MAX = 500
WHY_LENGTH_MAX = 200


_on_trial: ContextVar[bool] = ContextVar("orders on trial", default=False)


class NotPossible(Exception):
    """The exam is not in a state in which this can be done."""

    def __init__(self, exam: Exam, action: TriageAction) -> None:
        super().__init__(f"{exam.accession} is {exam.triage}: it cannot {action.value}")
        self.exam = exam
        self.action = action


def create_order(
    *,
    site: Site,
    patient: Patient,
    requisition: Requisition,
    source: str,
    policies: Policies,
    at: datetime,
    simulated: bool,
) -> tuple[Order, list[Exam]]:
    """Write down a new order and its exams, each with the numbers it keeps for good.

    The caller holds the lock of the placer number (`lock_name`); the database's unique
    constraint stands behind it.
    """
    order = Order(
        site=site,
        patient=patient,
        placer=requisition.placer,
        placer_authority=requisition.placer_authority,
        source=source,
        received_at=at,
        details=dict(requisition.details),
        simulated=simulated,
        **order_values(requisition),
    )
    insert(order)
    exams = add_exams(
        order=order, site=site, asked_for=requisition.exams, policies=policies, at=at, sequence=1
    )
    return order, exams


def add_exams(
    *,
    order: Order,
    site: Site,
    asked_for: Sequence[RequestedExam],
    policies: Policies,
    at: datetime,
    sequence: int,
) -> list[Exam]:
    """Add exams to an order, numbered from `sequence` on."""
    keys = _next_exam_keys(len(asked_for))
    numbers = assign(asked=asked_for, prefix=site.code, running=keys, taken=_taken(site, asked_for))
    offered = offered_procedures(site, [(e.code, e.system) for e in asked_for], source=order.source)
    exams = [
        _new_exam(order, exam, key, its, offered, policies=policies, at=at, sequence=sequence + place)
        for place, (exam, key, its) in enumerate(zip(asked_for, keys, numbers, strict=True))
    ]
    return [insert(exam) for exam in exams]


def give_number(*, site: Site, authority: str, placer: str, at: datetime) -> str:
    """A filler number for an order that is still to come; nobody else gets it. The caller holds `lock_name`."""
    given, _ = NumberGiven.objects.get_or_create(
        site=site,
        placer_authority=authority,
        placer=placer,
        defaults={"number": own_number(site.code, _next_exam_keys(1)[0]), "at": at},
    )
    return given.number


def lock_name(*, site_id: int, authority: str, placer: str) -> str:
    """The name of the lock that makes one order of two equal messages at once."""
    return f"order:{site_id}:{authority}:{placer}"


def number_locks(*, site_id: int, asked_for: Sequence[RequestedExam]) -> list[str]:
    """The names of the locks under which a sender's number is found free and taken; at most two an exam."""
    return [
        f"number:{site_id}:{number}"
        for exam in asked_for
        for number in (exam.accession, exam.study_instance_uid)
        if number
    ]


@contextmanager
def on_trial() -> Iterator[None]:
    """What is written inside will be undone: new exams are given keys that no real one gets, and use none of those up."""
    token = _on_trial.set(True)
    try:
        yield
    finally:
        _on_trial.reset(token)


def _next_exam_keys(count: int) -> list[int]:
    if _on_trial.get():
        # A sequence is not rolled back. Others on trial at the same time are as good as never met.
        first = TRIAL_KEYS_FROM + secrets.randbelow(TRIAL_KEYS)
        return list(range(first, first + count))
    # The keys come first because our accession numbers are made of them. A sequence is never
    # waited for, where a counter in the site's row would let one order through at a time.
    return next_keys(Exam, count)


def _taken(site: Site, asked_for: Sequence[RequestedExam]) -> Taken:
    question = question_of_taken(site=site, asked_for=asked_for)
    rows = ask(question) if question else []
    return Taken({r[0] for r in rows}, {r[1] for r in rows}, {r[2] for r in rows})


def question_of_taken(*, site: Site, asked_for: Sequence[RequestedExam]) -> Question | None:
    """The numbers of the exams that have one of those a sender gave already; None where it gave none."""
    accessions = [e.accession for e in asked_for if e.accession]
    uids = [e.study_instance_uid for e in asked_for if e.study_instance_uid]
    steps = [e.scheduled_step_id for e in asked_for if e.scheduled_step_id]
    if not (accessions or uids or steps):
        return None
    return Question(
        "SELECT accession, study_instance_uid, scheduled_step_id FROM orders_exam WHERE site_id = $1 AND"
        " (accession = ANY($2::text[]) OR study_instance_uid = ANY($3::text[]) OR scheduled_step_id = ANY($4::text[]))",
        [site.pk, accessions, uids, steps],
        frozenset({"orders_exam"}),
    )


def offered_procedures(
    site: Site, wanted: Sequence[tuple[str, str]], *, source: str
) -> dict[tuple[str, str], Procedure]:
    """The procedures on offer that (code, system) as a sender writes them may mean, by (code, system).

    What the department's own codes do not answer is looked up among those that a person mapped for this sender.
    """
    found = rows_of(Procedure, PROCEDURES_ON_OFFER, _codes_of(site, wanted))
    offered = {(procedure.code, procedure.system): procedure for procedure in found}
    unknown = {
        (code, system)
        for code, system in wanted
        if code and rules.procedure_meant(code=code, system=system, offered=offered) is None
    }
    if unknown:
        mapped = CodeMapping.objects.select_related("procedure").filter(
            site=site,
            source=source,
            code__in=[c for c, _ in unknown],
            ended_at=None,
            procedure__retired=False,
        )
        offered |= {(m.code, m.system): m.procedure for m in mapped if (m.code, m.system) in unknown}
    return offered


PROCEDURES_ON_OFFER = "site_id = $1 AND code = ANY($2::text[]) AND NOT retired"


def _codes_of(site: Site, wanted: Sequence[tuple[str, str]]) -> list[object]:
    return [site.pk, [code for code, _ in wanted]]


def question_of_procedures(*, site: Site, wanted: Sequence[tuple[str, str]]) -> Question:
    """What `offered_procedures` asks first."""
    return rows_question(Procedure, PROCEDURES_ON_OFFER, _codes_of(site, wanted))


def _new_exam(
    order: Order,
    exam: RequestedExam,
    key: int,
    numbers: Numbers,
    offered: Mapping[tuple[str, str], Procedure],
    *,
    policies: Policies,
    at: datetime,
    sequence: int,
) -> Exam:
    made = Exam(
        id=key,
        site_id=order.site_id,
        order=order,
        patient_id=order.patient_id,
        sequence=sequence,
        accession=numbers.accession,
        filler=exam.filler[:64] or numbers.accession,
        study_instance_uid=numbers.study_instance_uid,
        requested_procedure_id=numbers.requested_procedure_id,
        scheduled_step_id=numbers.scheduled_step_id,
        created_at=at,
        simulated=order.simulated,
    )
    made.asked = numbers_asked(exam)
    wish = asked(exam)
    set_wish(made, wish, frozenset(wish), exam.requested_at, offered=offered, policies=policies)
    return made


def set_wish(
    exam: Exam,
    wish: Mapping[str, str],
    parts: frozenset[str],
    requested_at: datetime | None,
    *,
    offered: Mapping[tuple[str, str], Procedure],
    policies: Policies,
) -> None:
    """Set what is asked for, in those parts that changed, on an exam not yet written."""
    exam.asked = {**exam.asked, **{part: wish[part] for part in wish if part in parts}}
    if parts & {"code", "system", "text"}:
        _set_procedure(exam, offered)
    if "laterality" in parts:
        exam.laterality = wish["laterality"]
    if "priority" in parts:
        exam.priority = Priority(wish["priority"])
    if "reason" in parts:
        exam.reason = wish["reason"]
    if "clinical_information" in parts:
        exam.clinical_information = wish["clinical_information"]
    if "requested_at" in parts:
        exam.requested_at = requested_at
    exam.due_at = rules.due_at(
        priority=Priority(exam.priority),
        requested_at=exam.requested_at,
        received_at=exam.created_at,
        policies=policies,
    )


def _set_procedure(exam: Exam, offered: Mapping[tuple[str, str], Procedure]) -> None:
    code, system, text = exam.asked["code"], exam.asked["system"], exam.asked["text"]
    meant = rules.procedure_meant(code=code, system=system, offered=offered)
    exam.procedure = offered[meant] if meant else None
    exam.procedure_code = code
    exam.procedure_system = system or (meant[1] if meant else "")
    exam.procedure_text = text or (offered[meant].text if meant else "")


def save_exam(exam: Exam) -> None:
    """Write an exam's changed wish."""
    exam.save()


def change_order(order: Order, changed: Mapping[str, str]) -> None:
    """Write what changed of an order itself (see `asked.changed_values`)."""
    for field, value in changed.items():
        setattr(order, field, value)
    if changed:
        order.save(update_fields=list(changed))


def set_order_state(order: Order, state: OrderState) -> None:
    """Write whether the order stands."""
    if order.state != state:
        order.state = state
        order.save(update_fields=["state"])


_OF_THE_ORDER = (
    "asked", "procedure_id", "procedure_code", "procedure_text", "procedure_system", "laterality", "priority",
    "reason", "clinical_information", "requested_at", "due_at",
)  # fmt: skip
"""What an exam takes over from an order that came late."""

_OWN = ("sequence", "filler", *_OF_THE_ORDER)
_MOMENTS = ("requested_at", "due_at")


def join_to_order(
    *, done: Exam, late: Exam, merge: Merge | None, was_asked: bool, why: str, at: datetime, by: str
) -> Joining:
    """Let an exam that was done without an order stand in the place of the one whose order came late.

    `done` takes over the order, what was asked and its place among the order's exams, and keeps its own numbers;
    `late` must be cancelled, and points to it. The order that the desk made for `done` is over.
    """
    own = done.order
    before = {name: getattr(done, name) for name in _OWN}
    sequence, last = late.sequence, late.order.exams.aggregate(last=Max("sequence"))["last"] or 0
    late.sequence, late.joined_to = last + 1, done
    late.save(update_fields=["sequence", "joined_to"])
    done.order, done.sequence = late.order, sequence
    if late.filler and late.filler != late.accession:
        done.filler = late.filler
    _write_own(done, {name: getattr(late, name) for name in _OF_THE_ORDER})
    set_order_state(own, OrderState.COMPLETED)
    moments = {name: value.isoformat() for name in _MOMENTS if (value := before[name])}
    return Joining.objects.create(
        site_id=done.site_id,
        done=done,
        late=late,
        order=own,
        merge=merge,
        before=before | moments,
        was_asked=was_asked,
        at=at,
        by=by,
        why=shortened(why, WHY_LENGTH_MAX),
    )


def part_from_order(joining: Joining, *, done: Exam, late: Exam, at: datetime, by: str) -> None:
    """Give an exam its own order and values back, and the order its exam; both exams are locked."""
    sequence, before = done.sequence, joining.before
    moments = {name: datetime.fromisoformat(before[name]) for name in _MOMENTS if before[name]}
    done.order = joining.order
    _write_own(done, before | moments)
    late.sequence, late.joined_to = sequence, None
    late.save(update_fields=["sequence", "joined_to"])
    set_order_state(joining.order, OrderState.ACTIVE)
    joining.undone_at, joining.undone_by = at, by
    joining.save(update_fields=["undone_at", "undone_by"])


def _write_own(done: Exam, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(done, name, value)
    done.save(update_fields=["order", *(name.removesuffix("_id") for name in _OWN)])


def move_orders(*, patient: Patient, visit_number: str, patient_class: str, ward: str, bed: str) -> int:
    """Let the patient be fetched from where they lie now: ward and bed of the stay's open orders; the number of them.

    Orders of a stay without a number are those of the patient that name a ward, or an inpatient.
    """
    open_orders = Order.objects.filter(patient=patient, state=OrderState.ACTIVE)
    if visit_number:
        open_orders = open_orders.filter(Q(visit_number=visit_number) | Q(visit_number="", patient_class="I"))
    else:
        open_orders = open_orders.filter(~Q(ward="") | Q(patient_class="I"))
    values: dict[str, Any] = {"ward": ward, "bed": bed}
    if patient_class:
        values["patient_class"] = patient_class
    return open_orders.update(**values)


def orders_to_move(
    *, patient: Patient, visit: str | None = None, account: str | None = None
) -> tuple[list[int], list[int]]:
    """The orders of a record that go over to another one, and their exams: all, or those of a stay or an account.

    The exams are locked, in one order, as whoever books or begins them does.
    """
    orders = Order.objects.filter(patient=patient)
    if visit is not None:
        orders = orders.filter(visit_number=visit)
    if account is not None:
        orders = orders.filter(Q(account=account) | Q(visit_number=account))
    keys = list(orders.order_by("id").values_list("pk", flat=True))
    exams = Exam.objects.select_for_update(of=("self",)).filter(order__in=keys).order_by("id")
    return keys, list(exams.values_list("pk", flat=True))


def give_to_patient(*, orders: Sequence[int], exams: Sequence[int], from_: Patient, to: Patient) -> None:
    """Let orders and exams be another record's, as far as they are still `from_`'s."""
    Order.objects.filter(pk__in=orders, patient=from_).update(patient=to)
    Exam.objects.filter(pk__in=exams, patient=from_).update(patient=to)


def renumber_visit(*, patient: Patient, before: str, after: str) -> int:
    """The orders of a stay carry its new number; the number of them."""
    return Order.objects.filter(patient=patient, visit_number=before).update(visit_number=after)


def renumber_account(*, patient: Patient, before: str, after: str) -> int:
    """The orders of an account carry its new number; the number of them."""
    return Order.objects.filter(patient=patient, account=before).update(account=after)


def apply_triage(
    exam: Exam,
    action: TriageAction,
    *,
    at: datetime,
    by: str,
    findings: Sequence[rules.Finding] | None = None,
    why: str = "",
) -> bool:
    """Take one triage step by the table of transitions; False where the exam stands there already, unchanged.

    Raises NotPossible for a pair that the table does not have.
    """
    state = TRANSITIONS.get((TriageState(exam.triage), action))
    if state is None:
        raise NotPossible(exam, action)
    was = (exam.triage, exam.findings)
    exam.triage = state
    if findings is not None:
        exam.findings = [finding.as_json() for finding in findings]
    exam.triaged_by, exam.triaged_at = by, at
    fields = ["triage", "findings", "triaged_by", "triaged_at"]
    if action is TriageAction.CANCEL:
        exam.cancelled_at, exam.cancelled_why = at, shortened(why, WHY_LENGTH_MAX)
        exam.booking_blocked = ""
        fields += ["cancelled_at", "cancelled_why", "booking_blocked"]
    if action is TriageAction.TAKE_BACK:
        exam.cancelled_at, exam.cancelled_why = None, ""
        fields += ["cancelled_at", "cancelled_why"]
    exam.save(update_fields=fields)
    return (exam.triage, exam.findings) != was


def set_priority(exam: Exam, priority: Priority, *, policies: Policies) -> None:
    """Write another priority, and by when the exam is due then."""
    exam.priority = priority
    exam.due_at = rules.due_at(
        priority=priority, requested_at=exam.requested_at, received_at=exam.created_at, policies=policies
    )
    exam.save(update_fields=["priority", "due_at"])


def set_booking_blocked(exam: Exam, why: str) -> bool:
    """Write in words why the exam has no place yet, or nothing once it has one; True where that is new."""
    words = shortened(why, WHY_LENGTH_MAX)
    if exam.booking_blocked == words:
        return False
    exam.booking_blocked = words
    exam.save(update_fields=["booking_blocked"])
    return True


def set_laterality(exam: Exam, laterality: str) -> None:
    """Write the side that a person decided on."""
    exam.laterality = laterality
    exam.save(update_fields=["laterality"])


def set_procedure(exam: Exam, procedure: Procedure) -> None:
    """Write which of the department's exams is meant; what was asked for stays beside it."""
    exam.procedure = procedure
    exam.procedure_code, exam.procedure_system = procedure.code, procedure.system
    exam.procedure_text = procedure.text
    exam.save(update_fields=["procedure", "procedure_code", "procedure_system", "procedure_text"])


def set_mapped_procedure(exam: Exam, procedure: Procedure) -> None:
    """Write which of the department's exams a sender's code means; the code itself stays as the sender knows it."""
    exam.procedure = procedure
    exam.procedure_text = exam.procedure_text or procedure.text
    exam.save(update_fields=["procedure", "procedure_text"])


def write_mapping(
    *, site: Site, source: str, code: str, system: str, procedure: Procedure, at: datetime, by: str
) -> CodeMapping:
    """A sender's code means one of the department's exams from now on; an earlier meaning ends."""
    standing = CodeMapping.objects.filter(site=site, source=source, code=code, system=system, ended_at=None)
    standing.update(ended_at=at, ended_by=by)
    return CodeMapping.objects.create(
        site=site, source=source, code=code, system=system, procedure=procedure, made_at=at, made_by=by
    )


def end_mapping(mapping_id: int, *, at: datetime, by: str) -> bool:
    """A sender's code means nothing known here any more; False where that was so."""
    return bool(CodeMapping.objects.filter(pk=mapping_id, ended_at=None).update(ended_at=at, ended_by=by))


def write_note(exam: Exam, *, text: str, at: datetime, by: str) -> ExamNote:
    """Leave a word about an exam."""
    return ExamNote.objects.create(
        site_id=exam.site_id, exam=exam, at=at, by=by, text=shortened(text.strip(), NOTE_LENGTH_MAX)
    )
