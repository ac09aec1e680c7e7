"""Says why an exam is or is not on a modality's worklist, in a coordinator's words (`worklist explain`, and its page)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pydicom.datadict import dictionary_description

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.links.asked import of_station
from xraydesk.links.dicom.elements import BadKey, Element, Tree
from xraydesk.links.dicom.listing_rules import (
    Booked,
    Done,
    Judgement,
    Machine,
    Standing,
    judge,
    shown_by,
)
from xraydesk.links.dicom.query_codec import judge_keys, tree_of_json
from xraydesk.links.dicom.worklist import matched_tree
from xraydesk.links.dicom.worklist_codec import STEPS, constraints, known
from xraydesk.links.dicom.worklist_entry import SUPPORTED, Entry, StepStatus
from xraydesk.links.dicom.worklist_query import booked, statuses_asked, zone_of
from xraydesk.links.models import WorklistQuery
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Modality
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE, BookingState

_ACCESSION, _STATUS = 0x00080050, 0x00400020


def explain(*, site: Site, accession: str, ae_title: str, at: datetime) -> tuple[bool, str]:
    """Whether the worklist of `ae_title` lists an exam now, and why, as one sentence.

    An unknown exam or AE title is a reason too.
    """
    exam = Exam.objects.select_related("order", "procedure").filter(site=site, accession=accession).first()
    if exam is None:
        return False, f"There is no exam {accession} here."
    machine = next((m for m in machines_of(site) if m.ae_title == ae_title), None)
    if machine is None:
        return False, f"{ae_title} is no modality of this site, so it may not ask for a worklist."
    judged = judge(standing_of(exam), machine, at=at, zone=ZoneInfo(site.timezone))
    return judged.listed, judged.why


@dataclass(frozen=True)
class Key:
    """One key of a query in words: what it is called, what the machine asked for, what the exam has."""

    name: str
    asked: str
    have: str
    passed: bool


@dataclass(frozen=True)
class Asked:
    """One query of a machine as it sent it, and whether it finds the exam as the exam now stands.

    `keys` are None where they cannot be held against the exam: it is on no worklist at all,
    or the query could not be read.
    """

    query: WorklistQuery
    outcome: str
    was_among: bool
    keys: tuple[Key, ...] | None
    finds_it: bool


@dataclass(frozen=True)
class Explained:
    """All that a person needs who misses an exam on a machine."""

    judged: Judgement
    shown_by: tuple[str, ...]
    asked: tuple[Asked, ...]


def explain_all(
    *, site: Site, exam: Exam, machine: Machine, machines: Sequence[Machine], at: datetime
) -> Explained:
    """Whether a machine's worklist shows an exam and why, which others do, and what the machine asked lately."""
    zone = ZoneInfo(site.timezone)
    standing = standing_of(exam)
    judged = judge(standing, machine, at=at, zone=zone)
    return Explained(
        judged=judged,
        shown_by=shown_by(standing, machines, at=at, zone=zone),
        asked=tuple(
            _asked(query, site, exam) for query in of_station(site=site, calling_ae=machine.ae_title, at=at)
        ),
    )


def machines_of(site: Site) -> tuple[Machine, ...]:
    """The modalities of a site, room by room."""
    rows = Modality.objects.filter(site=site, retired=False).select_related("room")
    return tuple(
        Machine(m.ae_title, m.room.code, m.modality) for m in rows.order_by("room__sort", "room", "pk")
    )


def standing_of(exam: Exam) -> Standing:
    """What the desk knows of an exam, as far as a worklist goes."""
    return Standing(
        triage=TriageState(exam.triage),
        modality=exam.procedure.modality if exam.procedure else "",
        held_because=_findings(exam),
        cancelled_at=exam.cancelled_at,
        cancelled_because=exam.cancelled_why,
        unbooked_because=exam.booking_blocked,
        step=_step(exam),
        booked=_booked(exam),
    )


def _step(exam: Exam) -> Done | None:
    steps = [
        row.step
        for row in StepExam.objects.select_related("step__room")
        .filter(exam=exam, voided=False)
        .order_by("step__started_at")
    ]
    decided = deciding_step(StepState(step.state) for step in steps)
    if decided is None:
        return None
    step = [step for step in steps if step.state == decided][-1]
    where = step.room.code if step.room else step.ae_title or "another room"
    return Done(decided, where, step.started_at, step.ended_at)


def _booked(exam: Exam) -> Booked | None:
    booking = (
        Booking.objects.select_related("room")
        .filter(exam=exam, state__in=[state.value for state in LIVE])
        .first()
    )
    if booking is None:
        return None
    room = booking.room
    here = Modality.objects.filter(room=room, retired=False).order_by("pk")
    return Booked(
        state=BookingState(booking.state),
        room=room.code,
        start=booking.during.lower,
        machines=tuple(Machine(m.ae_title, room.code, m.modality) for m in here),
        has_arrived=booking.arrived_at is not None,
    )


def _findings(exam: Exam) -> str:
    """The reasons that triage gave, as sentences."""
    texts = [str(one.get("sentence", "")) for one in exam.findings]
    return "; ".join(text.rstrip(".") for text in texts if text)


def _asked(kept: WorklistQuery, site: Site, exam: Exam) -> Asked:
    keys, finds_it = None, False
    if kept.keys:
        machine = Modality.objects.filter(site=site, ae_title=kept.calling_ae).first()
        keys, finds_it = _held_against(
            tree_of_json(kept.keys), site, exam, charsets=machine.charsets if machine else ()
        )
    return Asked(
        query=kept,
        outcome=_outcome(kept),
        was_among=exam.accession in kept.accessions,
        keys=keys,
        finds_it=finds_it,
    )


def _held_against(
    query: Tree, site: Site, exam: Exam, *, charsets: Sequence[str]
) -> tuple[tuple[Key, ...] | None, bool]:
    """The keys of a query, and whether it finds an exam."""
    try:
        entry = _entry(query, site, exam)
        if entry is None:
            return None, False
        asked = known(constraints(query), SUPPORTED)
        judged = judge_keys(asked, matched_tree(entry, asked, charsets))
    except BadKey:
        return None, False
    finds_it = entry.status in statuses_asked(query) and all(key.passed for key in judged)
    return tuple(Key(_name(v.path), v.asked, v.have, v.passed) for v in judged), finds_it


def _entry(query: Tree, site: Site, exam: Exam) -> Entry | None:
    """The exam as the worklist would show it to whoever asks for it by its number, in the query's zone."""
    status = Element("CS", tuple(status.value for status in StepStatus))
    by_number = {
        _ACCESSION: Element("SH", (exam.accession,)),
        STEPS: Element("SQ", items=({_STATUS: status},)),
    }
    return next(iter(booked(site, by_number, zone_of(query, site))), None)


def _name(path: tuple[int, ...]) -> str:
    """What the standard calls a key; private ones by their number."""
    tag = path[-1]
    try:
        return str(dictionary_description(tag))
    except KeyError:
        return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


_OUTCOMES = {
    0x0000: "answered",
    0xFE00: "broken off by the machine",
    0xA700: "too much to answer",
    0xA900: "not understood",
}


def _outcome(kept: WorklistQuery) -> str:
    """How it ended, in words."""
    return _OUTCOMES.get(kept.status, f"failed here ({kept.status:04X}H)")
