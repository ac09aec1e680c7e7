"""A result that must be told: found in a report or flagged, passed from person to person, ended by a read-back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item, reword_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import Refused, UnknownExam, WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.lib.text import shortened
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import lock_exam
from xraydesk.patients.models import Visit
from xraydesk.results import finding_actions as actions
from xraydesk.results import finding_rules as rules
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.people import Person, from_json, people_to_tell
from xraydesk.results.states import (
    CallOutcome,
    CallWay,
    Category,
    FindingSource,
    FindingState,
    ReportState,
)
from xraydesk.siteplan.plan import SitePlan, WardPlan
from xraydesk.siteplan.reading import from_json as plan_from_json

AT_ONCE_MAX = 200
"""So many findings are passed on in one round; the next round takes the others."""


class UnknownFinding(Refused):
    """There is no such finding here."""


class CallIncomplete(Refused):
    """What was written about a call does not say who was told, or what they read back."""


def look_for_findings(*, report: Report, at: datetime, by: str) -> list[Finding]:
    """Raise what a new version of a report asks to be told. Call inside the transaction that wrote it.

    A finding that the radiologist flagged is open at once; words that the site lists ask a person first.
    """
    exam = Exam.objects.select_related("site", "order", "patient").get(pk=report.exam_id)
    said = rules.SaidNow(
        state=ReportState(report.state),
        version=report.version,
        text=report.text,
        impression=report.impression,
        category=report.category,
    )
    known = [
        rules.Known(f.key, FindingSource(f.source), f.category, FindingState(f.state))
        for f in Finding.objects.filter(exam=exam)
    ]
    wanted = rules.findings_in(said, phrases=policies_of(exam.site).phrases, known=known)
    return [_raise(exam, report, raised, at=at, by=by) for raised in wanted]


@transaction.atomic
def flag_result(*, exam_id: int, category: Category, words: str, at: datetime, by: str) -> Finding:
    """A radiologist says here that somebody must be told of something in this exam.

    Raises UnknownExam, and WrongState where nothing was written or the very same is being told already.
    """
    exam = lock_exam(exam_id)
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    said = " ".join(words.split())
    if not said:
        raise WrongState("Write what must be told, in a few words. Nothing was kept.")
    flags = Finding.objects.filter(exam=exam, source=FindingSource.FLAG)
    if flags.filter(state=FindingState.OPEN, words=said).exists():
        raise WrongState(f"This is being told already for exam {exam.accession}.")
    raised = rules.Raised(
        f"flag here:{flags.count() + 1}",
        FindingSource.FLAG,
        category,
        shortened(said, rules.WORDS_LENGTH_MAX),
    )
    return _raise(exam, Report.objects.filter(exam=exam).first(), raised, at=at, by=by)


def _raise(exam: Exam, report: Report | None, raised: rules.Raised, *, at: datetime, by: str) -> Finding:
    finding = actions.insert_finding(exam=exam, report=report, raised=raised, at=at)
    if raised.state is FindingState.OPEN:
        _open(finding, exam, at=at, by=by)
    else:
        _tell(finding, FactKind.FINDING_SUSPECTED, at=at, by=by)
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.RESULT_TO_CONFIRM,
            key=_confirm_key(finding),
            at=at,
            text=f"The report of exam {exam.accession} says “{finding.words}”. Must somebody be told?"
            if raised.source is FindingSource.PHRASE
            else f"The report of exam {exam.accession} was corrected after somebody had been told. Must they hear of it?",
            accession=exam.accession,
            patient=exam.patient_id,
            data={"finding": finding.pk},
        )
    return finding


def _open(finding: Finding, exam: Exam, *, at: datetime, by: str) -> None:
    """Start the clock of a finding, with the people to tell."""
    policies = policies_of(exam.site)
    category = Category(finding.category)
    people = _people(exam)
    actions.open_finding(
        finding,
        people=people,
        due_at=rules.due(category, policies.tell_minutes, opened_at=at),
        turn_until=rules.turn_ends(category, policies.next_person_minutes, since=at, people=len(people)),
        at=at,
        by=by,
    )
    _tell(finding, FactKind.FINDING_OPENED, at=at, by=by)
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.RESULT_TO_TELL,
        key=_tell_key(finding),
        at=at,
        until=finding.due_at,
        text=_text(finding, exam),
        accession=exam.accession,
        patient=exam.patient_id,
        data={"finding": finding.pk},
    )


def _people(exam: Exam) -> tuple[Person, ...]:
    plan: SitePlan | None = plan_from_json(exam.site.plan) if exam.site.plan else None
    visit = (
        Visit.objects.filter(patient=exam.patient_id, state=Visit.State.ACTIVE)
        .exclude(ward="")
        .order_by("-id")
        .first()
    )
    code = visit.ward if visit else exam.order.ward
    ward: WardPlan | None = next((w for w in plan.wards if w.code == code), None) if plan else None
    return people_to_tell(
        provider_number=exam.order.provider_id,
        provider_name=exam.order.provider_name,
        provider_phone=exam.order.provider_phone,
        providers=plan.providers if plan else (),
        ward=ward,
    )


def person_now(finding: Finding) -> Person | None:
    """Who is to be told now; None where neither order nor site names anybody."""
    people = from_json(finding.people)
    return people[finding.turn % len(people)] if people else None


def _text(finding: Finding, exam: Exam) -> str:
    person = person_now(finding)
    until = clock.in_zone(finding.due_at, exam.site.timezone) if finding.due_at else None
    whom = f"Call {person.words}" if person else "Find out whom to call: the order names nobody"
    return f"{whom}. Exam {exam.accession}, to be read back by {until:%H:%M}." if until else f"{whom}."


@transaction.atomic
def confirm_finding(*, finding_id: int, at: datetime, by: str, category: Category | None = None) -> Finding:
    """A person says that somebody must be told; its clock starts.

    Raises UnknownFinding, and WrongState where it was decided already.
    """
    finding, exam = _locked(finding_id)
    if category is not None:
        finding.category = category
    with _polite():
        _open(finding, exam, at=at, by=by)
    _close(finding, _confirm_key(finding), at=at, by=by, how="confirmed")
    return finding


@transaction.atomic
def dismiss_finding(*, finding_id: int, at: datetime, by: str) -> Finding:
    """A person says that nobody must be told of these words. It can be confirmed later all the same.

    Raises UnknownFinding, and WrongState where it is open: an open finding ends by a read-back alone.
    """
    finding, _ = _locked(finding_id)
    with _polite():
        actions.dismiss_finding(finding, at=at, by=by)
    _tell(finding, FactKind.FINDING_DISMISSED, at=at, by=by)
    _close(finding, _confirm_key(finding), at=at, by=by, how="nothing to be told")
    return finding


@transaction.atomic
def record_call(
    *,
    finding_id: int,
    recipient: str,
    role: str,
    reached_at: str,
    way: CallWay,
    outcome: CallOutcome,
    read_back: str,
    note: str,
    at: datetime,
    by: str,
) -> Call:
    """Write down one attempt to tell somebody. No answer makes it the next person's turn; a read-back ends it.

    Raises UnknownFinding, CallIncomplete, and WrongState where the finding is not open.
    """
    finding, exam = _locked(finding_id)
    recipient, read_back = " ".join(recipient.split()), " ".join(read_back.split())
    if not recipient:
        raise CallIncomplete("Write whom you called. Nothing was kept.")
    if outcome is CallOutcome.READ_BACK and not read_back:
        raise CallIncomplete("Write what they read back to you: only that ends a finding. Nothing was kept.")
    with _polite():
        call = actions.insert_call(
            finding,
            at=at,
            by=by,
            role=role,
            recipient=recipient,
            reached_at=reached_at,
            way=way,
            outcome=outcome,
            read_back=read_back,
            note=note,
        )
    ended = outcome is CallOutcome.READ_BACK
    kind = FactKind.FINDING_READ_BACK if ended else FactKind.FINDING_CALLED
    _tell(finding, kind, at=at, by=by, to=role, way=way, outcome=outcome)
    if ended:
        _close(finding, _tell_key(finding), at=at, by=by, how=f"read back by {role or 'somebody'}")
    elif rules.passes_on(outcome):
        _pass_on(finding, exam, at=at, by=by)
    return call


def _pass_on(finding: Finding, exam: Exam, *, at: datetime, by: str) -> bool:
    """Make it the next person's turn; False where there is no other."""
    people = from_json(finding.people)
    turn = rules.next_turn(finding.turn, len(people))
    if turn == finding.turn:
        return False
    policies = policies_of(exam.site)
    actions.pass_finding_on(
        finding,
        turn=turn,
        turn_until=rules.turn_ends(
            Category(finding.category), policies.next_person_minutes, since=at, people=len(people)
        ),
    )
    _tell(finding, FactKind.FINDING_ESCALATED, at=at, by=by, to=people[turn].role)
    reword_item(site_id=exam.site_id, key=_tell_key(finding), text=_text(finding, exam))
    return True


def pass_on_late(*, site: Site, at: datetime) -> int:
    """Where somebody has not answered in time, make it the next person's turn; the number passed on."""
    late = Finding.objects.filter(site=site, state=FindingState.OPEN, turn_until__lte=at)
    passed = 0
    for finding_id in list(late.order_by("turn_until").values_list("pk", flat=True)[:AT_ONCE_MAX]):
        with transaction.atomic():
            finding, exam = _locked(finding_id)
            if finding.state == FindingState.OPEN and finding.turn_until and finding.turn_until <= at:
                passed += _pass_on(finding, exam, at=at, by="rule")
    return passed


def _locked(finding_id: int) -> tuple[Finding, Exam]:
    """A finding with its exam, the exam locked first as every step does; raises UnknownFinding."""
    exam_id = Finding.objects.filter(pk=finding_id).values_list("exam", flat=True).first()
    if exam_id is None:
        raise UnknownFinding("There is no such finding here.")
    exam = (
        Exam.objects.select_for_update(of=("self",))
        .select_related("site", "order", "patient")
        .get(pk=exam_id)
    )
    return Finding.objects.select_for_update().get(pk=finding_id), exam


class _polite:
    """Turns a domain's refusal into one that pages show."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, actions.FindingRefused):
            raise WrongState(str(error)) from error


def _tell(finding: Finding, kind: FactKind, *, at: datetime, by: str, **data: object) -> None:
    exam = finding.exam
    record(
        site_id=finding.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data={"finding": finding.pk, "category": int(finding.category), **data},
        simulated=finding.simulated,
    )


def _close(finding: Finding, key: str, *, at: datetime, by: str, how: str) -> None:
    close_items(site_id=finding.site_id, key=key, at=at, by=by, how=how)


def _confirm_key(finding: Finding) -> str:
    return f"finding to confirm:{finding.pk}"


def _tell_key(finding: Finding) -> str:
    return f"finding to tell:{finding.pk}"
