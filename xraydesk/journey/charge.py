"""What an exam is charged for follows what was done: held where something is missing, credited where it falls away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item, reword_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.billing import actions
from xraydesk.billing.models import Charge
from xraydesk.billing.rules import (
    Decision,
    Done,
    DoneView,
    Line,
    Offer,
    Reason,
    Standing,
    Step,
    Why,
    decide,
    step_for,
)
from xraydesk.billing.states import LIVE, ChargeState
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.header import DOCUMENTS
from xraydesk.imaging.models import Image, PerformedStep, StepExam
from xraydesk.imaging.queries import standing_steps, views_of
from xraydesk.imaging.states import FINAL_STEP_STATES, ImageState, StepState, deciding_step
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.journey.unscheduled import is_done_elsewhere, is_without_order
from xraydesk.lib.prepared import rows_with
from xraydesk.lib.text import shortened
from xraydesk.orders.models import Exam, Procedure
from xraydesk.orders.queries import lock_exam, of_same_part
from xraydesk.orders.states import TriageState
from xraydesk.results.queries import report_state
from xraydesk.results.states import READ_STATES

STANDING_IMAGES = (ImageState.MATCHED, ImageState.SENT)
UNDECIDED_IMAGES = (ImageState.QUARANTINED, ImageState.HELD)
REPORT_OVERDUE = timedelta(hours=24)
"""A charge that waits for its report so long is put before a person."""

AT_ONCE_MAX = 500
"""So many are looked at in one round; the next round takes the others."""

BY_RULE = "rule"
TAKEN_BACK = "taken back by a person"


class UnknownCharge(Refused):
    """There is no such charge here."""


@transaction.atomic
def review_charge(*, exam_id: int, at: datetime, by: str = BY_RULE) -> Charge | None:
    """Bring an exam's charge to what was done; the charge that stands afterwards, None where there is none.

    Changes nothing where it stands so already, so that it may run as often as it likes.
    """
    exam = lock_exam(exam_id)
    if exam is None or is_done_elsewhere(exam.order):
        return None
    steps = standing_steps(exam.pk)
    state = deciding_step(StepState(step.state) for step in steps)
    charges = rows_with(Charge, "exam_id = $1", [exam.pk])
    standing = next((charge for charge in charges if charge.state in LIVE), None)
    if standing is None and state in (None, StepState.IN_PROGRESS):
        return None
    step = next((s for s in steps if s.state == state), None)
    decision = decide(_done(exam, steps, state, charges))
    return _follow(exam, standing, decision, service_at=_service_at(step, at), at=at, by=by)


def _service_at(step: PerformedStep | None, at: datetime) -> datetime:
    return (step.ended_at or step.started_at) if step else at


def _done(exam: Exam, steps: list[PerformedStep], state: StepState | None, charges: Sequence[Charge]) -> Done:
    step = next((s for s in steps if s.state == state), None)
    rows = views_of(exam.pk)
    others = of_same_part(exam.procedure) if exam.procedure else ()
    return Done(
        offer=_offer(exam.procedure) if exam.procedure else None,
        others=tuple(_offer(p) for p in others),
        side=exam.laterality,
        step=state,
        views=tuple(DoneView(view, side) for kept, view, side in rows if kept in STANDING_IMAGES),
        undecided_images=sum(1 for kept, _, _ in rows if kept in UNDECIDED_IMAGES),
        missing_images=_missing_images(exam, steps),
        portable_room=bool(step and step.room and step.room.kind == "portable"),
        read=report_state(exam.pk) in READ_STATES,
        needs_report=policies_of(exam.site).charge_needs_report,
        cancelled=exam.triage == TriageState.CANCELLED,
        has_order=not is_without_order(exam.order),
        taken_back=_taken_back(charges),
    )


def _missing_images(exam: Exam, steps: Iterable[PerformedStep]) -> int:
    """How many images machines told of in their last word on a step of this exam alone, that never came here."""
    told = {
        uid
        for step in steps
        if step.state in FINAL_STEP_STATES
        for uid in set(step.referenced_images).difference(step.attributes.get(DOCUMENTS, ()))
    }
    if not told or StepExam.objects.filter(step__in=steps).exclude(exam=exam).exists():
        return 0
    came = Image.objects.filter(site=exam.site_id, sop_instance_uid__in=told)
    return len(told) - came.values("sop_instance_uid").distinct().count()


def _taken_back(charges: Sequence[Charge]) -> Line | None:
    """The charge that a person took back, where it was the last one that went."""
    last = next((charge for charge in reversed(charges) if charge.state == ChargeState.CREDITED), None)
    return _line_of(last) if last is not None and last.credited_why == TAKEN_BACK else None


def _offer(procedure: Procedure) -> Offer:
    return Offer(
        code=procedure.code,
        text=procedure.text,
        charge_code=procedure.charge_code,
        body_part=procedure.body_part,
        views=tuple(procedure.views),
        sides=tuple(procedure.laterality),
        portable="portable" in procedure.room_kinds,
    )


def _line_of(charge: Charge) -> Line:
    return Line(charge.code, charge.text, tuple(charge.modifiers), tuple(charge.views), charge.repeated)


def _standing(charge: Charge) -> Standing:
    known = set(Why)
    reasons = tuple(Reason(Why(r["key"]), r["sentence"]) for r in charge.reasons if r["key"] in known)
    return Standing(ChargeState(charge.state), _line_of(charge), reasons, overridden=bool(charge.override_by))


def _follow(
    exam: Exam, charge: Charge | None, decision: Decision, *, service_at: datetime, at: datetime, by: str
) -> Charge | None:
    line = decision.line
    match step_for(decision, _standing(charge) if charge else None):
        case Step.CREATE if line is not None:
            charge = _make(exam, decision, line, service_at=service_at, at=at, by=by)
        case Step.HOLD if charge is not None and line is not None:
            actions.hold(charge, line=line, reasons=decision.reasons)
            _tell_held(charge, exam, at=at, by=by)
        case Step.RELEASE if charge is not None and line is not None:
            actions.release(charge, line=line, at=at)
            _tell_ready(charge, exam, at=at, by=by)
        case Step.CREDIT if charge is not None:
            _credit(charge, exam, at=at, by=by, why="there is nothing to charge any more")
            charge = None
        case Step.REPLACE if charge is not None and line is not None:
            _credit(charge, exam, at=at, by=by, why="what was done is charged anew")
            charge = _make(exam, decision, line, service_at=service_at, at=at, by=by)
        case _:
            pass
    _keep_item(exam, charge, decision, at=at)
    return charge


def _make(
    exam: Exam, decision: Decision, line: Line, *, service_at: datetime, at: datetime, by: str
) -> Charge:
    charge = actions.insert(exam=exam, decision=decision, line=line, service_at=service_at, at=at)
    if charge.state == ChargeState.HELD:
        _tell_held(charge, exam, at=at, by=by)
    else:
        _tell_ready(charge, exam, at=at, by=by)
    return charge


def _credit(charge: Charge, exam: Exam, *, at: datetime, by: str, why: str) -> None:
    actions.credit(charge, at=at, why=why)
    _tell(charge, exam, FactKind.CHARGE_CREDITED, at=at, by=by, why=why, gone=charge.gone_at is not None)


def _tell_held(charge: Charge, exam: Exam, *, at: datetime, by: str) -> None:
    _tell(charge, exam, FactKind.CHARGE_HELD, at=at, by=by, why=[r["sentence"] for r in charge.reasons])


def _tell_ready(charge: Charge, exam: Exam, *, at: datetime, by: str) -> None:
    _tell(charge, exam, FactKind.CHARGE_READY, at=at, by=by, code=charge.code)


def _tell(charge: Charge, exam: Exam, kind: FactKind, *, at: datetime, by: str, **data: object) -> None:
    record(
        site_id=exam.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data={"charge": charge.pk, **data},
        simulated=exam.simulated,
    )


def charge_key(accession: str) -> str:
    """The key of the item about an exam whose charge is held."""
    return f"charge:{accession}"


def _keep_item(exam: Exam, charge: Charge | None, decision: Decision, *, at: datetime) -> None:
    """Put before a person what only a person can mend; take it away once it is mended."""
    key = charge_key(exam.accession)
    held = charge is not None and charge.state == ChargeState.HELD
    wrong = [reason.sentence for reason in decision.reasons if reason.is_discrepancy] if held else []
    if not wrong:
        if not held or (
            Item.objects.filter(site=exam.site_id, key=key, closed_at=None).exists()
            and not _overdue(charge, at)
        ):
            close_items(site_id=exam.site_id, key=key, at=at, by=BY_RULE, how="its cause was mended")
        return
    text = f"Exam {exam.accession} cannot be charged: {' '.join(wrong)}"
    _raise(exam, text, at=at)


def _raise(exam: Exam, text: str, *, at: datetime) -> None:
    key = charge_key(exam.accession)
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.CHARGE_HELD,
        key=key,
        at=at,
        text=text,
        accession=exam.accession,
        patient=exam.patient_id,
    )
    reword_item(site_id=exam.site_id, key=key, text=text)


def _overdue(charge: Charge | None, at: datetime) -> bool:
    return charge is not None and charge.made_at < at - REPORT_OVERDUE


@transaction.atomic
def flag_charges_waiting(*, site: Site, at: datetime) -> int:
    """Put charges that have waited a day for a report or an order before a person; the number put."""
    late = Charge.objects.filter(site=site, state=ChargeState.HELD, made_at__lt=at - REPORT_OVERDUE).exclude(
        reasons__contains=[{"key": Why.TAKEN_BACK}]
    )
    open_keys = Item.objects.filter(site=site, kind=ItemKind.CHARGE_HELD, closed_at=None).values_list(
        "accession", flat=True
    )
    found = (
        late.exclude(exam__accession__in=list(open_keys))
        .select_related("exam")
        .order_by("made_at")[:AT_ONCE_MAX]
    )
    for charge in found:
        accession = charge.exam.accession
        _raise(
            charge.exam,
            f"Exam {accession} was done a day ago and has no {_lacks(charge)}: ask for it, or charge it as done.",
            at=at,
        )
    return len(found)


def _lacks(charge: Charge) -> str:
    """What a charge waits for, in a word."""
    return "order" if any(reason["key"] == Why.NO_ORDER for reason in charge.reasons) else "report"


@transaction.atomic
def charge_as_done(*, charge_id: int, why: str, at: datetime, by: str) -> Charge:
    """A person lets a held charge go as it was done, and says why.

    Raises UnknownCharge, and WrongState where it is not held, has no code, or no reason is given.
    """
    charge, exam = _locked(charge_id)
    reason = " ".join(why.split())
    if not reason:
        raise WrongState("Say why it may be charged as it was done. Nothing was changed.")
    if charge.state != ChargeState.HELD:
        raise WrongState(f"The charge of exam {exam.accession} is {charge.state}. Nothing was changed.")
    if not charge.code:
        raise WrongState(
            f"Exam {exam.accession} has no charge code: correct its procedure first. Nothing was changed."
        )
    actions.release(charge, line=_line_of(charge), at=at, why=shortened(reason, 200), by=by)
    _tell_ready(charge, exam, at=at, by=by)
    close_items(site_id=exam.site_id, key=charge_key(exam.accession), at=at, by=by, how="charged as done")
    return charge


@transaction.atomic
def take_back_charge(*, charge_id: int, at: datetime, by: str) -> Charge | None:
    """A person takes a charge back: it is credited, and waits until something is corrected, or a person charges it as done.

    Raises UnknownCharge, and WrongState where it does not stand any more.
    """
    charge, exam = _locked(charge_id)
    if charge.state not in LIVE:
        raise WrongState(f"The charge of exam {exam.accession} is {charge.state} already.")
    _credit(charge, exam, at=at, by=by, why=TAKEN_BACK)
    return review_charge(exam_id=exam.pk, at=at, by=by)


@transaction.atomic
def charge_answered(
    *, site_id: int, number: str, credit: bool, accepted: bool, why: str, at: datetime, by: str
) -> None:
    """Whoever is charged has answered: taken, or refused with words that a person reads.

    A number that is not known here, or stands no more, changes nothing. The answer to a credit changes
    nothing where it was taken.
    """
    found = Charge.objects.filter(site=site_id, number=number).values_list("pk", flat=True).first()
    if found is None:
        return
    charge, exam = _locked(found)
    if accepted and not credit and charge.state == ChargeState.READY:
        actions.accept(charge, at=at)
        _tell(charge, exam, FactKind.CHARGE_ACCEPTED, at=at, by=by)
    elif not accepted and not credit and charge.state == ChargeState.READY:
        sentence = f"It was refused there: {shortened(why, 200) or 'no reason was given'}"
        actions.send_back(charge, reason=sentence)
        _tell_held(charge, exam, at=at, by=by)
        _raise(exam, f"Exam {exam.accession} cannot be charged. {sentence}", at=at)


def _locked(charge_id: int) -> tuple[Charge, Exam]:
    exam_id = Charge.objects.filter(pk=charge_id).values_list("exam", flat=True).first()
    if exam_id is None:
        raise UnknownCharge("There is no such charge here.")
    exam = Exam.objects.select_for_update(of=("self",)).select_related("site").get(pk=exam_id)
    return Charge.objects.select_for_update().get(pk=charge_id), exam
