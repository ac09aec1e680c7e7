"""What happened is put on its way to the systems that asked to be told: one message a fact, in order, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.facts.queries import told_of_exam
from xraydesk.lib import clock, locks
from xraydesk.lib.prepared import Question, ask
from xraydesk.links.hl7 import appointment, charge, document_out, patient_out, report_out, status
from xraydesk.links.hl7.outgoing_header import message, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time
from xraydesk.links.models import Message
from xraydesk.links.outgoing import told
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.states import Direction, MessageState
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.queries import exam_of
from xraydesk.patients.models import Merge
from xraydesk.siteplan.link_plan import OutlinkPlan, Sends
from xraydesk.siteplan.reading import from_json

EARLIER_MAX = timedelta(hours=24)
"""What the desk learnt of longer ago is not told any more: a system added today hears of today."""

FACTS_MAX = 500
"""No exam has more facts that are told."""

_CHARGES = {FactKind.CHARGE_READY: False, FactKind.CHARGE_CREDITED: True}
KINDS = frozenset(
    {*appointment.KINDS, *status.WORDS, *_CHARGES, FactKind.REPORT_RECEIVED, FactKind.TOLD_AGAIN},
)
"""Facts that somebody may want to be told of."""


class Letter(NamedTuple):
    """One message to be queued: its type, and what stands in it."""

    kind: tuple[str, str, str]
    segments: list[Segment]

    @property
    def type(self) -> str:
        """As messages are listed: `SIU^S12`."""
        return "^".join(self.kind[:2])


def tell(fact: Fact) -> None:
    """Queue what a fact, and any earlier one of its exam that was not told yet, means to each system that asked.

    Safe to run again, and in any order: a fact is told once a system, and those of one exam in the order in
    which they happened.
    """
    if fact.kind not in KINDS or not fact.accession or not fact.site.plan:
        return
    outlinks = from_json(fact.site.plan).outlinks
    if not outlinks:
        return
    exam = exam_of(site_id=fact.site_id, accession=fact.accession)
    if exam is None:
        return
    for outlink in outlinks:
        # Whoever queues for a system waits for whoever does so already: the numbers of its messages then
        # ascend in the order in which they are committed, and that is the order in which they go.
        locks.take([f"outlink:{fact.site_id}:{outlink.name}"])
        if _queue(exam, outlink, until=fact.pk):
            defer_sending(site_id=fact.site_id, outlink=outlink.name)


def _queue(exam: Exam, outlink: OutlinkPlan, *, until: int) -> int:
    """Queue what is not told yet of an exam, up to a fact; the number of messages."""
    mark, last = queued_last(exam, outlink.name)
    facts = told_of_exam(
        site_id=exam.site_id,
        accession=exam.accession,
        kinds=KINDS,
        after=mark,
        until=until,
        since=clock.now() - EARLIER_MAX,
        count_max=FACTS_MAX,
    )
    is_told = bool(last) and last != f"SIU^{appointment.Event.CANCELLED}"
    count = 0
    for fact in facts:
        letters, is_told = _letters(exam, fact, outlink.sends, is_told)
        for letter in letters:
            _write(exam, fact, outlink, letter)
            count += 1
    return count


def queued_last(exam: Exam, link: str) -> tuple[int, str]:
    """The newest fact of an exam that was put on its way by a link (0 for none), and the last word on its appointment."""
    mine = "site_id = $1 AND direction = $2 AND link = $3 AND accession = $4"
    last = f"SELECT type FROM links_message WHERE {mine} AND type LIKE 'SIU^%' ORDER BY fact DESC LIMIT 1"
    question = Question(
        f"SELECT max(fact), ({last}) FROM links_message WHERE {mine}",
        [exam.site_id, Direction.OUT.value, link, exam.accession],
        frozenset({"links_message"}),
    )
    mark, word = ask(question)[0]
    return mark or 0, word or ""


def _letters(exam: Exam, fact: Fact, sends: Sequence[Sends], is_told: bool) -> tuple[list[Letter], bool]:
    """What one fact means to a system, and whether it has an appointment for the exam afterwards."""
    (kind, happened_at), found = told.what_and_when(fact), []
    if Sends.APPOINTMENTS in sends:
        given = bool(told.place_told(fact).get("given"))
        event = appointment.event_for(kind, is_told=is_told, is_given=given)
        about = told.appointment_of(exam, fact) if event else None
        if event and about:
            body = appointment.appointment_segments(event, told.order_of(exam), told.patient_of(exam), about)
            found.append(Letter(("SIU", str(event), "SIU_S12"), body))
            is_told = appointment.still_told(event)
    if Sends.STATUS in sends and kind in status.WORDS:
        at = clock.in_zone(happened_at, exam.site.timezone)
        body = status.status_segments(kind, told.order_of(exam), told.patient_of(exam), at=at)
        found.append(Letter(("ORM", "O01", "ORM_O01"), body))
    if Sends.RESULTS in sends and kind is FactKind.REPORT_RECEIVED:
        report = told.report_of(exam)
        if report:
            body = report_out.report_segments(told.order_of(exam), told.patient_of(exam), report)
            found.append(Letter(("ORU", "R01", "ORU_R01"), body))
    if Sends.DOCUMENTS in sends and kind is FactKind.REPORT_RECEIVED:
        report = told.report_of(exam)
        if report:
            body = document_out.document_segments(told.order_of(exam), told.patient_of(exam), report)
            found.append(Letter(document_out.document_kind(report), body))
    if Sends.CHARGES in sends and kind in _CHARGES and fact.data.get("gone", True):
        money = told.charge_of(exam, fact, credit=_CHARGES[kind])
        if money:
            pid = patient_segments(told.patient_of(exam))
            found.append(
                Letter(
                    ("DFT", "P03", "DFT_P03"),
                    [
                        written("EVN", ["P03", write_time(money.posted_at)]),
                        *pid,
                        *charge.charge_segments(money),
                    ],
                )
            )
    return found, is_told


def _write(exam: Exam, fact: Fact, outlink: OutlinkPlan, letter: Letter) -> None:
    _keep(fact, outlink, letter, zone=exam.site.timezone, accession=exam.accession, patient=exam.patient_id)


def _keep(
    fact: Fact, outlink: OutlinkPlan, letter: Letter, *, zone: str, accession: str, patient: int
) -> None:
    at = clock.now()
    number = f"{letter.kind[0][0]}{fact.pk}"
    raw = message(letter.kind, letter.segments, number=number, to=outlink, at=clock.in_zone(at, zone))
    Message.objects.create(
        site_id=fact.site_id,
        direction=Direction.OUT,
        link=outlink.name,
        control_id=number,
        type=letter.type,
        at=at,
        state=MessageState.QUEUED,
        raw=raw,
        charset="utf-8",
        body_sha256=hashlib.sha256(raw.partition(b"\r")[2]).hexdigest(),
        accession=accession,
        patient=patient,
        fact=fact.pk,
        simulated=fact.simulated,
    )


def tell_of_patient(fact: Fact) -> None:
    """Queue what a fact about a patient means to each system that asked: only of patients who have exams here.

    The system that said so itself is not told: it knows, and many answer that with an error. Safe to run again: a fact is told once a system.
    """
    if fact.patient is None or not fact.site.plan:
        return
    plan = from_json(fact.site.plan)
    said_by = {(o.sending_application, o.sending_facility) for o in plan.links if fact.by == f"link:{o.name}"}
    wanted = [
        o
        for o in plan.outlinks
        if Sends.PATIENTS in o.sends and (o.receiving_application, o.receiving_facility) not in said_by
    ]
    letter = _letter_of_patient(fact) if wanted else None
    if letter is None:
        return
    for outlink in wanted:
        locks.take([f"outlink:{fact.site_id}:{outlink.name}"])
        told_before = Message.objects.filter(
            site=fact.site_id, direction=Direction.OUT, link=outlink.name, fact=fact.pk
        )
        if not told_before.exists():
            _keep(fact, outlink, letter, zone=fact.site.timezone, accession="", patient=fact.patient)
            defer_sending(site_id=fact.site_id, outlink=outlink.name)


def _letter_of_patient(fact: Fact) -> Letter | None:
    at = clock.in_zone(fact.at, fact.site.timezone)
    if fact.kind == FactKind.PATIENT_UPDATED:
        patient = told.record_of(fact.patient) if fact.data.get("identity") else None
        if patient is None or not Exam.objects.filter(patient=fact.patient).exists():
            return None
        return Letter(("ADT", "A08", "ADT_A01"), patient_out.changed_segments(patient, at=at))
    merge = Merge.objects.filter(site=fact.site_id, pk=fact.data.get("merge") or 0).first()
    stays, goes = (told.record_of(merge.stays_id), told.record_of(merge.goes_id)) if merge else (None, None)
    if merge is None or stays is None or goes is None or not goes.identifiers or not merge.moved.get("exams"):
        return None
    is_back = fact.kind == FactKind.PATIENTS_PARTED
    if not merge.whole:
        orders = Order.objects.filter(pk__in=merge.moved.get("orders", ())).exclude(visit_number="")
        visits = sorted(set(orders.values_list("visit_number", flat=True)))
        to, from_ = (goes, stays) if is_back else (stays, goes)
        body = patient_out.moved_segments(to, from_, visits, at=at)
        return Letter(("ADT", "A45", "ADT_A45"), body) if visits else None
    if is_back:
        return Letter(("ADT", "A37", "ADT_A37"), patient_out.parted_segments(stays, goes, at=at))
    return Letter(("ADT", "A40", "ADT_A39"), patient_out.merged_segments(stays, goes, at=at))


def preview(exam: Exam, outlink: OutlinkPlan) -> list[tuple[str, str]]:
    """What a system would be told of an exam's history, as (type, text), were it all to happen now; nothing is kept."""
    facts = Fact.objects.filter(site=exam.site_id, accession=exam.accession, kind__in=KINDS).order_by("pk")
    is_told, found = False, []
    at = clock.in_zone(clock.now(), exam.site.timezone)
    for fact in facts[:FACTS_MAX]:
        letters, is_told = _letters(exam, fact, outlink.sends, is_told)
        for letter in letters:
            raw = message(letter.kind, letter.segments, number=f"PREVIEW{fact.pk}", to=outlink, at=at)
            found.append((letter.type, raw.decode()))
    return found
