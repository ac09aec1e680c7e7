"""Deciding about an exam: by rule as soon as it comes, by a person where the rule holds it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import CLOCKS, ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey import late_order
from xraydesk.journey.cancel import cancel_exam, refuse_begun
from xraydesk.journey.errors import UnknownExam, WrongState
from xraydesk.journey.performing import tell
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.orders import actions, queries, rules
from xraydesk.orders.late_order_rules import Ask, Certain
from xraydesk.orders.models import Exam, ExamNote, Procedure
from xraydesk.orders.rules import Code, Finding, Level
from xraydesk.orders.sides import WORD_OF
from xraydesk.orders.states import Priority, TriageAction, TriageState
from xraydesk.patients.models import Patient
from xraydesk.rooms import actions as rooms
from xraydesk.rooms.models import Room, RoomNote

__all__ = [
    "accept_exam",
    "cancel_exam",
    "hold_exam",
    "is_another_exam",
    "reconsider_exam",
    "set_laterality",
    "set_priority",
    "set_procedure",
    "triage_exam",
    "write_exam_note",
    "write_room_note",
]

RULE = "rule"
"""Who decides where no person does."""


def triage_exam(*, exam_id: int, at: datetime) -> None:
    """Let the rules decide about an exam that waits for it: accepted, or held with reasons.

    What is decided already stays, so that running it again changes nothing. An order that certainly means an exam
    done before it came is joined to that one.
    """
    with transaction.atomic():
        if late_order.join_by_rule(exam_id=exam_id, at=at):
            return
        exam = _locked(exam_id)
        if exam.triage == TriageState.WAITING:
            _decide(exam, at=at)


def accept_exam(*, exam_id: int, at: datetime, by: str, why: str = "") -> Exam:
    """A person lets an exam go on, whatever the rules found. Raises UnknownExam, WrongState."""
    with transaction.atomic():
        exam = _locked(exam_id)
        findings = [*_kept(exam), Finding(Level.NOTE, Code.PERSON, "A person accepted it.", why)]
        _apply(exam, TriageAction.ACCEPT, at=at, by=by, findings=findings)
        _accepted(exam, at=at, by=by, why=why)
        return exam


def hold_exam(*, exam_id: int, at: datetime, by: str, why: str) -> Exam:
    """A person holds an exam, and says why; it leaves the worklist and keeps its place. Raises UnknownExam, AlreadyStarted, WrongState."""
    with transaction.atomic():
        exam = _locked(exam_id)
        refuse_begun([exam])
        hold(exam, Finding(Level.HOLD, Code.PERSON, why.strip() or "A person holds it."), at=at, by=by)
        return exam


def hold(exam: Exam, reason: Finding, *, at: datetime, by: str) -> None:
    """Hold a locked exam for one more reason, beside what the rules found."""
    found = [Finding.from_json(one) for one in exam.findings]
    kept = [f for f in found if f.code not in (reason.code, Code.CHANGED)]
    _apply(exam, TriageAction.HOLD, at=at, by=by, findings=[reason, *kept])
    _held(exam, at=at, by=by)


def reconsider_exam(*, exam_id: int, at: datetime, by: str) -> Exam:
    """A person lets the rules look again, at once. Raises UnknownExam, AlreadyStarted, WrongState."""
    with transaction.atomic():
        exam = _locked(exam_id)
        refuse_begun([exam])
        if exam.triage != TriageState.WAITING:
            _apply(exam, TriageAction.RECONSIDER, at=at, by=by)
        _decide(exam, at=at)
        return exam


def set_priority(*, exam_id: int, priority: Priority, at: datetime, by: str) -> Exam:
    """Make an exam more or less urgent; by when it is due follows. Raises UnknownExam, WrongState."""
    with transaction.atomic():
        exam = _standing(exam_id)
        was = exam.priority
        if was != priority:
            actions.set_priority(exam, priority, policies=policies_of(exam.site))
            tell(
                exam,
                FactKind.PRIORITY_CHANGED,
                at=at,
                by=by,
                data={"from": str(was), "to": priority.value},
            )
        return exam


def set_laterality(*, exam_id: int, laterality: str, at: datetime, by: str) -> Exam:
    """A person says which side is meant (`L`, `R`, `B`); an exam that the rules held is looked at again.

    Raises UnknownExam, AlreadyStarted, and WrongState where the exam is not done of that side.
    """
    with transaction.atomic():
        exam = _standing(exam_id)
        refuse_begun([exam])
        allowed = exam.procedure.laterality if exam.procedure else list(WORD_OF)
        if laterality not in WORD_OF or laterality not in allowed:
            raise WrongState(f"Exam {exam.accession} is not done of that side; choose one that the exam has.")
        if exam.laterality != laterality:
            actions.set_laterality(exam, laterality)
            changed_by_hand(exam, "laterality", at=at, by=by)
        return exam


def set_procedure(*, exam_id: int, code: str, system: str = "L", at: datetime, by: str) -> Exam:
    """A person says which of the department's exams is meant; an exam that the rules held is looked at again.

    Raises UnknownExam, AlreadyStarted, and WrongState where the department has no such procedure
    or the exam has a place already (its time and room were chosen for another procedure).
    """
    with transaction.atomic():
        exam = _standing(exam_id)
        refuse_begun([exam])
        procedure = Procedure.objects.filter(site=exam.site, code=code, system=system, retired=False).first()
        if procedure is None:
            raise WrongState(f"This department has no exam with the code {code}.")
        if exam.procedure_id != procedure.pk:
            if exam.bookings.filter(state="booked").exists():
                raise WrongState(f"Exam {exam.accession} has a place for another procedure; free it first.")
            actions.set_procedure(exam, procedure)
            changed_by_hand(exam, "code", at=at, by=by)
        return exam


def write_exam_note(*, exam_id: int, text: str, at: datetime, by: str) -> ExamNote:
    """Leave a word about an exam for whoever looks at it next. Raises UnknownExam, and WrongState where it is empty."""
    with transaction.atomic():
        exam = _locked(exam_id)
        if not text.strip():
            raise WrongState("The note is empty; write a word or leave it.")
        note = actions.write_note(exam, text=text, at=at, by=by)
        tell(exam, FactKind.NOTE_WRITTEN, at=at, by=by)
        return note


def _locked(exam_id: int) -> Exam:
    exam = queries.lock_exam(exam_id)
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    return exam


def _standing(exam_id: int) -> Exam:
    exam = _locked(exam_id)
    if exam.triage == TriageState.CANCELLED:
        raise WrongState(f"Exam {exam.accession} is cancelled; nothing was changed.")
    return exam


def _apply(
    exam: Exam, action: TriageAction, *, at: datetime, by: str, findings: list[Finding] | None = None
) -> None:
    try:
        actions.apply_triage(exam, action, at=at, by=by, findings=findings)
    except actions.NotPossible:
        raise WrongState(
            f"Exam {exam.accession} is {exam.triage} and cannot be put to “{action.value}”; nothing was changed."
        ) from None


def changed_by_hand(exam: Exam, part: str, *, at: datetime, by: str) -> None:
    """Tell that a person changed a locked exam, and let the rules look again at what they held."""
    tell(exam, FactKind.ORDER_CHANGED, at=at, by=by, data={"changed": [part]})
    if exam.triage == TriageState.HELD and exam.triaged_by == RULE:
        _apply(exam, TriageAction.RECONSIDER, at=at, by=by)
        _decide(exam, at=at)


def is_another_exam(*, exam_id: int, at: datetime, by: str) -> Exam:
    """A person says that an order means an exam still to be done, and none of those done without one; the rules look again.

    Raises UnknownExam, AlreadyStarted, and WrongState where nobody was asked.
    """
    with transaction.atomic():
        exam = _standing(exam_id)
        refuse_begun([exam])
        asked = [f for f in exam.findings if f.get("code") == Code.LATE and f["level"] in rules.HOLDING]
        if exam.triage != TriageState.HELD or not asked:
            raise WrongState(f"Nobody was asked whether exam {exam.accession} was done already.")
        said = Finding(Level.NOTE, Code.LATE, "A person said that it is another exam than those done before.")
        actions.apply_triage(exam, TriageAction.RECONSIDER, at=at, by=by, findings=[said])
        _decide(exam, at=at)
        return exam


def ask_again(exam: Exam, *, about: Exam, at: datetime, by: str) -> None:
    """Put the question before a person whether a locked exam, whose joining was taken back, was done already."""
    question = Finding(
        Level.ASK,
        Code.LATE,
        f"Somebody took back that it was done as exam {about.accession}. Say whether it is still to be done.",
    )
    kept = [f for one in exam.findings if (f := Finding.from_json(one)).code is not Code.LATE]
    _apply(exam, TriageAction.TAKE_BACK, at=at, by=by, findings=[question, *kept])
    _held(exam, at=at, by=by)


def _kept(exam: Exam) -> list[Finding]:
    """What the rules found, without what persons and senders said of it since."""
    found = [Finding.from_json(one) for one in exam.findings]
    return [f for f in found if f.code not in (Code.PERSON, Code.SENDER, Code.CHANGED, Code.APPOINTMENT)]


def _decide(exam: Exam, *, at: datetime) -> None:
    decision = judge(exam, at=at)
    findings = [*decision.findings, *_late(exam)]
    if not any(finding.level in rules.HOLDING for finding in findings):
        _apply(exam, TriageAction.ACCEPT, at=at, by=RULE, findings=findings)
        _accepted(exam, at=at, by=RULE)
    else:
        _apply(exam, TriageAction.HOLD, at=at, by=RULE, findings=findings)
        _held(exam, at=at, by=RULE)


def _late(exam: Exam) -> list[Finding]:
    """The question whether it was done already, before its order came; or what a person said to it."""
    said = [Finding.from_json(f) for f in exam.findings if f.get("code") == Code.LATE]
    if kept := [finding for finding in said if finding.level is Level.NOTE]:
        return kept
    match late_order.answer(exam):
        case Ask(sentence=sentence):
            return [Finding(Level.ASK, Code.LATE, sentence)]
        case Certain(why=why):
            return [Finding(Level.ASK, Code.LATE, f"It was done already without an order: {why}.")]
        case _:
            return []


def judge(exam: Exam, *, at: datetime) -> rules.Decision:
    """What the rules say of an exam now; writes nothing. `exam` comes with site, order, patient and procedure."""
    policies = policies_of(exam.site)
    procedure, order = exam.procedure, exam.order
    return rules.triage(
        exam=rules.ExamAsked(
            procedure=_procedure_asked(procedure) if procedure else None,
            code=exam.procedure_code,
            text=exam.procedure_text,
            laterality=exam.laterality,
            reason=exam.reason,
            clinical_information=exam.clinical_information,
            provider=order.provider_name or order.provider_id,
            patient_class=order.patient_class,
            ward=order.ward,
            requested_at=exam.requested_at,
        ),
        patient=_patient_seen(exam.patient),
        others=_open_alike(exam, window_hours=policies.duplicate_window_hours),
        policies=policies,
        at=at,
        today=clock.local_day(at, exam.site.timezone),
    )


def _procedure_asked(procedure: Procedure) -> rules.ProcedureAsked:
    return rules.ProcedureAsked(
        text=procedure.text,
        sides=tuple(procedure.laterality),
        sex=procedure.sex,
        age_min_years=procedure.age_min_years,
        age_max_years=procedure.age_max_years,
        pregnancy_check=procedure.pregnancy_check,
    )


def _patient_seen(patient: Patient) -> rules.PatientSeen:
    return rules.PatientSeen(
        has_name=bool(patient.family or patient.given),
        birth_date=patient.birth_date,
        sex=patient.sex,
        pregnancy=patient.pregnancy,
        deceased=patient.deceased,
    )


def _open_alike(exam: Exam, *, window_hours: int) -> list[rules.OpenExam]:
    """Exams alike that are still to be done. Of two that wait for triage, the one that came later is the duplicate."""
    done = StepExam.objects.filter(exam=OuterRef("pk"), voided=False, step__state=StepState.COMPLETED)
    found = queries.alike(exam, around=exam.requested_at or exam.created_at, window_hours=window_hours)
    open_exams = found.filter(~Exists(done), pk__lt=exam.pk)[: queries.ALIKE_MAX]
    return [rules.OpenExam(other.accession, other.requested_at or other.created_at) for other in open_exams]


def _accepted(exam: Exam, *, at: datetime, by: str, why: str = "") -> None:
    tell(exam, FactKind.EXAM_ACCEPTED, at=at, by=by, data={"why": why} if why else None)
    close_items(site_id=exam.site_id, key=held_key(exam.accession), at=at, by=by, how="accepted")


def held_key(accession: str) -> str:
    """The cause under which a held exam waits for a person."""
    return f"exam held:{accession}"


def _held(exam: Exam, *, at: datetime, by: str) -> None:
    """Tell of the hold and put it before a person, with the reasons of now where it was held before."""
    holding = [f for f in exam.findings if f["level"] in rules.HOLDING]
    reasons = " ".join(str(f["sentence"]) for f in holding)
    tell(exam, FactKind.EXAM_HELD, at=at, by=by, data={"reasons": [f["code"] for f in holding]})
    close_items(
        site_id=exam.site_id, key=held_key(exam.accession), at=at, by=by, how="held for other reasons"
    )
    is_late = [f["code"] for f in holding] == [Code.LATE]
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.LATE_ORDER if is_late else ItemKind.EXAM_HELD,
        key=held_key(exam.accession),
        at=at,
        until=_harm_at(exam, at=at),
        text=f"{exam.procedure_text or exam.procedure_code or 'An exam'} is held. {reasons}".strip(),
        accession=exam.accession,
        patient=exam.patient_id,
    )


def _harm_at(exam: Exam, *, at: datetime) -> datetime:
    """When a held exam does harm: when its clock runs out, or it is due, whichever comes first."""
    minutes = policies_of(exam.site).item_minutes.get(ItemKind.EXAM_HELD, CLOCKS[ItemKind.EXAM_HELD].minutes)
    until = at + timedelta(minutes=minutes)
    return max(at, min(until, exam.due_at)) if exam.due_at else until


def write_room_note(*, room_id: int, text: str, at: datetime, by: str) -> RoomNote:
    """Leave a word about a room for whoever works there next. Raises WrongState where it is empty or the room is unknown."""
    with transaction.atomic():
        room = Room.objects.filter(pk=room_id).first()
        if room is None:
            raise WrongState("There is no such room here.")
        if not text.strip():
            raise WrongState("The note is empty; write a word or leave it.")
        note = rooms.write_note(room, text=text, at=at, by=by)
        record(site_id=room.site_id, kind=FactKind.NOTE_WRITTEN, at=at, by=by, room=room.code)
        return note
