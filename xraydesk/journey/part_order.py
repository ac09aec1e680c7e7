"""A person joined the wrong order to an exam done without one, or a rule did: the two are parted again.

What is taken back is just what the joining did (`orders.models.Joining`): the exam is without an order as before,
and the order's own exam waits for a person to say whether it is still to be done. Where its patient was identified
with the order, that goes back too.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.billing.models import Charge
from xraydesk.billing.states import ChargeState
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import StepExam
from xraydesk.journey import late_order, triage
from xraydesk.journey.errors import UnknownExam, WrongState
from xraydesk.journey.merge import hold_records, merge_by_hand, undo_merge
from xraydesk.journey.performing import lock_exams, tell
from xraydesk.journey.told import order_told
from xraydesk.journey.unscheduled import is_without_order, unscheduled_key
from xraydesk.orders import actions
from xraydesk.orders.late_order_rules import ASKED_MAX, Since, in_the_way
from xraydesk.orders.models import Exam, Joining
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient
from xraydesk.results.models import Report
from xraydesk.results.states import ReportState

ORDERS_SHOWN_MAX = 10
"""So many orders that may be an unidentified patient's are offered; any other one is found by its number."""


def standing_of(exam: Exam) -> Joining | None:
    """The joining that stands for an exam, whether it is the one that was done or the one that its order made."""
    found = Joining.objects.filter(site=exam.site_id, undone_at=None).select_related(
        "done__order", "late", "merge"
    )
    return (found.filter(done=exam) | found.filter(late=exam)).first()


def what_forbids(joining: Joining) -> list[str]:
    """What has followed since and forbids to take it back, in sentences; none where nothing does."""
    done = joining.done
    gone = Charge.objects.filter(exam=done, state__in=(ChargeState.READY, ChargeState.ACCEPTED)).first()
    asked = Item.objects.filter(
        site=joining.site_id, accession=done.accession, kind=ItemKind.CANCEL_AFTER_START, closed_at=None
    )
    performed = StepExam.objects.filter(exam=done, voided=False).exists()
    return in_the_way(
        Since(
            exam=done.accession,
            placer=done.order.placer,
            charge=gone.number if gone else "",
            has_report=Report.objects.filter(exam=done).exclude(state=ReportState.CANCELLED).exists(),
            is_cancel_asked=asked.exists(),
            is_open_again=not performed,
        )
    )


@transaction.atomic
def part_order(*, exam_id: int, at: datetime, by: str) -> Joining:
    """Take back that an order is that of an exam done before it; `exam_id` is either of the two.

    Raises UnknownExam, and WrongState where nothing stands to be taken back, or what followed forbids it.
    """
    exam = Exam.objects.select_related("site").filter(pk=exam_id).first()
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    found = standing_of(exam)
    if found is None:
        raise _nothing_stands(exam)
    both = (found.done_id, found.late_id)
    if found.merge is not None:
        merge = found.merge
        hold_records(
            site=exam.site,
            patients=(merge.stays_id, merge.goes_id),
            exams={*both, *merge.moved.get("exams", ())},
        )
    locked = {one.pk: one for one in lock_exams(both)}
    # Looked at again under the locks: somebody else may have taken it back, or charged it, meanwhile.
    joining = Joining.objects.filter(pk=found.pk, undone_at=None).select_related("done__order").first()
    if joining is None:
        raise _nothing_stands(exam)
    if forbids := what_forbids(joining):
        raise WrongState(f"This cannot be taken back now. {' '.join(forbids)} Nothing was changed.")
    _part(joining, done=locked[joining.done_id], late=locked[joining.late_id], at=at, by=by)
    if joining.merge_id:
        undo_merge(merge_id=joining.merge_id, at=at, by=by)
    return joining


def _nothing_stands(exam: Exam) -> WrongState:
    return WrongState(f"Exam {exam.accession} is joined to no other any more. Nothing was changed.")


def _part(joining: Joining, *, done: Exam, late: Exam, at: datetime, by: str) -> None:
    """Both are locked. What was told of `done` under the order is told again under the number it had before."""
    placer = done.order.placer
    actions.part_from_order(joining, done=done, late=late, at=at, by=by)
    tell(late, FactKind.EXAM_PARTED, at=at, by=by, data={"exam": done.accession})
    triage.ask_again(late, about=done, at=at, by=by)
    tell(
        done,
        FactKind.ORDER_PARTED,
        at=at,
        by=by,
        data={"placer": placer, "exam": late.accession} | order_told(done),
    )
    late_order.tell_again(done, at=at, by=by)
    if joining.was_asked:
        raise_item(
            site_id=done.site_id,
            kind=ItemKind.UNSCHEDULED_EXAM,
            key=unscheduled_key(done.accession),
            at=at,
            text=f"Exam {done.accession} is without an order again: order {placer} was not its own. "
            "Get one, or confirm that none is needed.",
            accession=done.accession,
            patient=done.patient_id,
        )


def is_unidentified(patient: Patient) -> bool:
    """True of a record that nobody but a machine has named: no stay, and no order but those that the desk made for it."""
    if patient.merged_into_id is not None or patient.visits.exists():
        return False
    orders = list(patient.orders.all()[: late_order.CANDIDATES_MAX])
    return bool(orders) and all(is_without_order(order) for order in orders)


def may_be_identified(done: Exam) -> bool:
    """True of an exam done without an order for somebody whom nobody has identified."""
    return (
        is_without_order(done.order)
        and done.triage != TriageState.CANCELLED
        and is_unidentified(done.patient)
    )


def orders_that_may_be(done: Exam) -> list[Exam]:
    """Exams of other patients, ordered after this one began and not begun, that ask for the same part; the first first."""
    if not may_be_identified(done):
        return []
    started = StepExam.objects.filter(voided=False, exam__site=done.site_id)
    found = (
        Exam.objects.filter(
            site=done.site_id,
            created_at__range=(done.created_at, done.created_at + ASKED_MAX),
            joined_to=None,
        )
        .exclude(patient=done.patient_id)
        .exclude(triage=TriageState.CANCELLED)
        .exclude(pk__in=started.values("exam"))
        .select_related("order", "procedure")
    )
    if done.procedure is not None:
        found = found.filter(procedure__body_part=done.procedure.body_part)
    rows = found.order_by("id")[:ORDERS_SHOWN_MAX]
    return [one for one in rows if not is_without_order(one.order)]


@transaction.atomic
def identify_by_order(*, exam_id: int, done_id: int, at: datetime, by: str) -> Exam:
    """A person says that an order is that of an exam done for somebody unidentified, who is the order's patient then.

    The two records become one and the order is joined, together; taking the joining back parts both. Raises
    UnknownExam, WrongState where the patient of `done_id` is identified, and what merging and joining raise.
    """
    found = Exam.objects.select_related("site", "order", "patient").in_bulk({exam_id, done_id})
    if len(found) != 2:
        raise UnknownExam("There are no two such exams here.")
    late, done = found[exam_id], found[done_id]
    known, unknown = late.patient_id, done.patient_id
    theirs = set(Exam.objects.filter(order__patient=unknown).values_list("pk", flat=True))
    hold_records(site=done.site, patients=(known, unknown), exams={late.pk, done.pk, *theirs})
    done.patient.refresh_from_db()
    if late.site_id != done.site_id or not is_unidentified(done.patient):
        raise WrongState(
            f"The patient of exam {done.accession} is identified already. Nothing was changed; compare the two records."
        )
    merge = merge_by_hand(
        site=done.site,
        stays_id=known,
        goes_id=unknown,
        at=at,
        by=by,
        why=f"identified by order {late.order.placer}",
    )
    return late_order.join_order(exam_id=late.pk, done_id=done.pk, at=at, by=by, merge=merge)
