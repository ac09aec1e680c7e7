"""What happened is put on its way to the systems that asked to be told: one message a fact, in order, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Max

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.lib import clock, locks
from xraydesk.links.hl7 import appointment, charge, report_out, status
from xraydesk.links.hl7.outgoing_header import message, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time
from xraydesk.links.models import Message
from xraydesk.links.outgoing import told
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.states import Direction, MessageState
from xraydesk.orders.models import Exam
from xraydesk.siteplan.plan import OutlinkPlan, Sends
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
    exam = (
        Exam.objects.select_related("site", "order", "patient", "procedure")
        .filter(site=fact.site_id, accession=fact.accession)
        .first()
    )
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
    sent = Message.objects.filter(
        site=exam.site_id, direction=Direction.OUT, link=outlink.name, accession=exam.accession
    )
    mark = sent.aggregate(last=Max("fact"))["last"] or 0
    facts = Fact.objects.filter(
        site=exam.site_id,
        accession=exam.accession,
        kind__in=KINDS,
        pk__gt=mark,
        pk__lte=until,
        recorded_at__gt=clock.now() - EARLIER_MAX,
    ).order_by("pk")[:FACTS_MAX]
    last = sent.filter(type__startswith="SIU^").order_by("-fact").values_list("type", flat=True).first()
    is_told = bool(last) and last != f"SIU^{appointment.Event.CANCELLED}"
    count = 0
    for fact in facts:
        letters, is_told = _letters(exam, fact, outlink.sends, is_told)
        for letter in letters:
            _write(exam, fact, outlink, letter)
            count += 1
    return count


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
                        charge.charge_segment(money),
                    ],
                )
            )
    return found, is_told


def _write(exam: Exam, fact: Fact, outlink: OutlinkPlan, letter: Letter) -> None:
    at = clock.now()
    number = f"{letter.kind[0][0]}{fact.pk}"
    raw = message(
        letter.kind, letter.segments, number=number, to=outlink, at=clock.in_zone(at, exam.site.timezone)
    )
    Message.objects.create(
        site_id=exam.site_id,
        direction=Direction.OUT,
        link=outlink.name,
        control_id=number,
        type=letter.type,
        at=at,
        state=MessageState.QUEUED,
        raw=raw,
        charset="utf-8",
        body_sha256=hashlib.sha256(raw.partition(b"\r")[2]).hexdigest(),
        accession=exam.accession,
        patient=exam.patient_id,
        fact=fact.pk,
        simulated=exam.simulated,
    )
