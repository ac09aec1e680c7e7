"""An order comes after its exam was done without one: they are joined, so that nothing is done or charged twice.

The exam keeps its own numbers and takes over the order; what the order had made is cancelled and points to it.
By rule where nothing else can be meant (`orders.late_order_rules`), else as a person says.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from xraydesk.attention.actions import close_items, close_items_of_exam
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.queries import of_exam
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey.cancel import ENDS_WITH_THE_EXAM, refuse_begun
from xraydesk.journey.errors import Refused, UnknownExam, WrongState
from xraydesk.journey.performing import lock_exams, planned_booking, tell
from xraydesk.journey.told import order_told
from xraydesk.journey.unscheduled import DESK_AUTHORITY, is_without_order, unscheduled_key
from xraydesk.orders import actions, late_order_rules
from xraydesk.orders.late_order_rules import ASKED_MAX, Ask, Certain, DoneWithout, LateOrder
from xraydesk.orders.models import Exam
from xraydesk.orders.numbers import own_number
from xraydesk.orders.rules import Code
from xraydesk.orders.states import TriageAction, TriageState
from xraydesk.patients.models import Merge, Patient
from xraydesk.scheduling import actions as scheduling

BY_RULE = "rule"
CANDIDATES_MAX = 20
"""So many exams without an order, or orders without an exam, of one patient are looked at."""

TOLD_AGAIN_MAX = 20
"""So much of an exam's history is told again under its order."""

TOLD = (
    FactKind.EXAM_BEGUN,
    FactKind.EXAM_ENDED,
    FactKind.EXAM_DISCONTINUED,
    FactKind.REPORT_RECEIVED,
)
"""What was told under a number that nobody else knew, and is told again once the exam has its order."""


class SeveralExams(Refused):
    """More than one exam may be meant: a person chooses one of them."""


def answer(exam: Exam) -> Certain | Ask | None:
    """Whether an exam's order means one that was done already; None where it does not, or a person has said so."""
    if is_without_order(exam.order) or any(f.get("code") == Code.LATE for f in exam.findings if _is_said(f)):
        return None
    return late_order_rules.meant(
        _as_asked(exam), [_as_done(one, exam) for one in done_without_order(exam.patient)]
    )


def _is_said(finding: dict[str, str]) -> bool:
    """True of a person's word, not of the question that the rules put."""
    return finding.get("level") not in ("ask", "hold")


def done_without_order(patient: Patient) -> QuerySet[Exam]:
    """A patient's exams that a machine began without an order, the newest first; at most CANDIDATES_MAX."""
    begun = StepExam.objects.filter(
        voided=False, step__state__in=(StepState.IN_PROGRESS, StepState.COMPLETED)
    )
    return (
        Exam.objects.filter(
            site=patient.site_id,
            patient=patient,
            order__placer_authority=DESK_AUTHORITY,
            pk__in=begun.filter(exam__patient=patient).values("exam"),
        )
        .filter(Q(order__source__startswith="modality:"))
        .exclude(triage=TriageState.CANCELLED)
        .select_related("procedure", "order", "site")
        .order_by("-id")[:CANDIDATES_MAX]
    )


def orders_to_join(done: Exam) -> list[Exam]:
    """The patient's exams whose order may be that of an exam done without one: not begun, not far away in time."""
    if not is_without_order(done.order):
        return []
    near = (done.created_at - ASKED_MAX, done.created_at + ASKED_MAX)
    started = StepExam.objects.filter(exam__patient=done.patient_id, voided=False)
    found = Exam.objects.filter(
        Q(requested_at__range=near) | Q(requested_at=None, created_at__range=near),
        site=done.site_id,
        patient=done.patient_id,
    ).exclude(triage=TriageState.CANCELLED)
    others = found.exclude(pk=done.pk).exclude(pk__in=started.values("exam")).select_related("order")
    return [one for one in others.order_by("id")[:CANDIDATES_MAX] if not is_without_order(one.order)]


def _as_asked(exam: Exam) -> LateOrder:
    procedure = exam.procedure
    return LateOrder(
        code=procedure.code if procedure else "",
        body_part=procedure.body_part if procedure else "",
        has_sides=bool(procedure and procedure.laterality),
        side=exam.laterality,
        wanted_at=exam.requested_at or exam.created_at,
        has_own_number=exam.accession != own_number(exam.site.code, exam.pk),
    )


def _as_done(exam: Exam, late: Exam) -> DoneWithout:
    procedure = exam.procedure
    shown = set(
        Image.objects.filter(exam=exam, state__in=(ImageState.MATCHED, ImageState.SENT))
        .filter(laterality__in=("L", "R", "B"))
        .values_list("laterality", flat=True)
    )
    waits = Item.objects.filter(site=exam.site_id, key=unscheduled_key(exam.accession), closed_at=None)
    return DoneWithout(
        exam_id=exam.pk,
        accession=exam.accession,
        code=procedure.code if procedure else "",
        body_part=procedure.body_part if procedure else "",
        side=_side(shown),
        begun_at=exam.created_at,
        is_settled=not waits.exists(),
        was_parted=exam.joinings.filter(late=late).exclude(undone_at=None).exists(),
    )


def _side(shown: set[str]) -> str:
    return "B" if {"L", "R"} <= shown else next(iter(shown)) if len(shown) == 1 else ""


@transaction.atomic
def join_by_rule(*, exam_id: int, at: datetime) -> bool:
    """Join an exam that waits for triage to the one that its order certainly means; False where none is certain."""
    waiting = Exam.objects.select_related("site", "order", "patient", "procedure").filter(pk=exam_id)
    exam = waiting.filter(triage=TriageState.WAITING).first()
    if exam is None or not isinstance(found := answer(exam), Certain):
        return False
    locked = {one.pk: one for one in lock_exams([exam_id, found.exam_id])}
    late, done = locked[exam_id], locked[found.exam_id]
    # Looked at again under the locks: another order may have been joined, or a person have decided, meanwhile.
    if late.triage != TriageState.WAITING or answer(late) != found:
        return False
    _join(late, done, at=at, by=BY_RULE, why=found.why)
    return True


@transaction.atomic
def join_order(
    *, exam_id: int, done_id: int | None, at: datetime, by: str, merge: Merge | None = None
) -> Exam:
    """A person says that an order is that of an exam done before it; the exam, which has the order now.

    `done_id` None means the only one that the rules ask about; `merge` is how its patient was identified just now.

    Raises UnknownExam, AlreadyStarted where the ordered exam has begun itself, SeveralExams, and WrongState where
    one of the two was decided about meanwhile or they are not of one patient.
    """
    done_id = done_id or _only_one(exam_id)
    locked = {one.pk: one for one in lock_exams([exam_id, done_id])}
    if len(locked) != 2:
        raise WrongState("An exam cannot be joined to itself. Nothing was changed.")
    late, done = locked[exam_id], locked[done_id]
    refuse_begun([late])
    if late.site_id != done.site_id or late.patient_id != done.patient_id:
        raise WrongState("The two exams are of different patients. Nothing was changed.")
    if late.triage == TriageState.CANCELLED or is_without_order(late.order):
        raise WrongState(f"Exam {late.accession} has no order that stands. Nothing was changed.")
    if not is_without_order(done.order):
        raise WrongState(f"Exam {done.accession} has an order already. Nothing was changed.")
    _join(late, done, at=at, by=by, why="a person said so", merge=merge)
    return done


def _only_one(exam_id: int) -> int:
    exam = Exam.objects.select_related("site", "order", "patient", "procedure").filter(pk=exam_id).first()
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    match answer(exam):
        case Certain(exam_id=meant) | Ask(exam_ids=(meant,)):
            return meant
        case Ask():
            raise SeveralExams(
                "Several exams were done without an order: choose one of them on the exam's page."
            )
        case _:
            raise WrongState(
                f"No exam without an order fits that of {exam.accession} any more. Nothing was changed."
            )


def _join(late: Exam, done: Exam, *, at: datetime, by: str, why: str, merge: Merge | None = None) -> None:
    """Both are locked. What was told of `done` before is told again, now that others know its number."""
    _give_up_place(late, at=at, by=by)
    words = f"It was done already, as exam {done.accession}."
    actions.apply_triage(late, TriageAction.CANCEL, at=at, by=by, why=words)
    close_items_of_exam(
        site_id=late.site_id,
        accession=late.accession,
        kinds=ENDS_WITH_THE_EXAM,
        at=at,
        by=by,
        how=f"it is the order of exam {done.accession}",
    )
    closed = close_items(
        site_id=done.site_id,
        key=unscheduled_key(done.accession),
        at=at,
        by=by,
        how=f"its order {late.order.placer} came",
    )
    actions.join_to_order(done=done, late=late, merge=merge, was_asked=bool(closed), why=why, at=at, by=by)
    tell(late, FactKind.EXAM_JOINED, at=at, by=by, data={"exam": done.accession, "why": why})
    data = {"placer": done.order.placer, "exam": late.accession, "why": why} | order_told(done)
    tell(done, FactKind.ORDER_JOINED, at=at, by=by, data=data)
    tell_again(done, at=at, by=by)


def tell_again(done: Exam, *, at: datetime, by: str) -> None:
    """Let others hear under its order of now what they heard of an exam under another."""
    before = of_exam(site_id=done.site_id, accession=done.accession).filter(kind__in=TOLD)
    for fact in before.order_by("id")[:TOLD_AGAIN_MAX]:
        tell(
            done,
            FactKind.TOLD_AGAIN,
            at=at,
            by=by,
            data={"told": fact.kind, "was_at": fact.at.isoformat()},
        )


def _give_up_place(late: Exam, *, at: datetime, by: str) -> None:
    booking = planned_booking(late)
    if booking is None:
        return
    # Told as a place that is free again, so that whoever was told of an appointment hears that there is none.
    why = "it was done already"
    tell(late, FactKind.BOOKING_RELEASED, at=at, by=by, room=booking.room, data={"why": why})
    scheduling.cancel(booking, at=at, why=why)
