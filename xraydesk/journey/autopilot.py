"""What the desk does by itself with an urgent exam that would be late: lets others give way, within the site's limits."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from xraydesk.access.models import Site
from xraydesk.journey.book import book_by_policy, decision_for, has_begun, propose_places
from xraydesk.journey.errors import BoardChanged
from xraydesk.journey.policy import policies_of
from xraydesk.journey.propose import Proposal, Proposed, propose_for
from xraydesk.journey.rearrange import WantedMove, accept
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.scheduling.autopilot_rules import Forbids, GivesWay, Wanted, forbidding, is_late
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.rules import IN_HOUSE_CLASSES, Next
from xraydesk.scheduling.states import OCCUPYING, BookingState

BY_AUTOPILOT = "autopilot"
"""How facts and rearrangements name the desk where it acted without a person."""

OPTIONS_MAX = 12
"""So many ways are looked at; the first that is within the limits is taken."""

TRIES_MAX = 3
"""So often it is proposed anew where somebody changed the board meanwhile; then the exam is booked as any other."""


def place_by_itself(*, exam_id: int, at: datetime) -> Rearrangement | Booking | None:
    """Give an accepted exam a place without a person: others giving way where the site lets the desk do so, else as policy says.

    Safe to run again, as `book_by_policy` is.
    """
    return let_in(exam_id=exam_id, at=at) or book_by_policy(exam_id=exam_id, at=at)


def let_in(*, exam_id: int, at: datetime, raised: bool = False) -> Rearrangement | None:
    """Let others give way for an exam that would be late without, by the cheapest proposal that is within the site's limits.

    One that has a place is looked at where it was `raised` to a higher priority, and its patient need not be called to come
    sooner. None where the site does not want it, where it is not needed, or where a limit forbids it: `why_left` says which.
    """
    exam = Exam.objects.select_related("site", "order", "procedure").filter(pk=exam_id).first()
    if exam is None or not policies_of(exam.site).autopilot.on or not _acts_for(exam, at=at, raised=raised):
        return None
    for _ in range(TRIES_MAX):
        if not is_late(exam.due_at, _otherwise(exam, at=at)):
            return None
        keep = _left_alone(exam.site, at=at)
        proposed = propose_for(
            site=exam.site, accession=exam.accession, at=at, keep=keep, options_max=OPTIONS_MAX
        )
        within = next((p for p in proposed.proposals if not _forbidding(exam, proposed, p, at=at)), None)
        if within is None:
            return None
        try:
            return accept(
                site=exam.site,
                moves=[WantedMove(s.accession, s.booking_id, s.move.after) for s in within.steps],
                asked=_asked(exam),
                why=within.kept.sentences,
                start=proposed.day.start,
                wanted=proposed.wanted,
                keep=keep,
                at=at,
                by=BY_AUTOPILOT,
            )
        except BoardChanged:
            continue
    return None


def why_left(*, exam: Exam, proposed: Proposed, proposal: Proposal, at: datetime) -> tuple[Forbids, ...]:
    """Which limits keep the desk from doing by itself what is proposed for an exam; empty where it does not act at all."""
    alone = all(step.accession in proposed.wanted or step.stays for step in proposal.steps)
    if alone or not policies_of(exam.site).autopilot.on:
        return ()
    return _forbidding(exam, proposed, proposal, at=at)


def _acts_for(exam: Exam, *, at: datetime, raised: bool) -> bool:
    """Whether it has no place and is one that the desk books by itself; or was raised where it stands, its patient being in the house."""
    if exam.triage != TriageState.ACCEPTED or has_begun(exam):
        return False
    booking = live_booking(exam.pk)
    if booking is None:
        return decision_for(exam, at=at).next is Next.BOOK
    in_the_house = booking.arrived_at is not None or exam.order.patient_class in IN_HOUSE_CLASSES
    return raised and booking.state == BookingState.BOOKED and in_the_house


def _asked(exam: Exam) -> str:
    """What a rearrangement for an exam is called; by it those are found that were for this exam."""
    return f"a place for exam {exam.accession}"


def _otherwise(exam: Exam, *, at: datetime) -> datetime | None:
    """When the exam begins if nobody moves: where it stands, or the next free place."""
    booking = live_booking(exam.pk)
    if booking is not None:
        start: datetime = booking.during.lower
        return start
    places = propose_places(exam_id=exam.pk, at=at, count=1)
    return places[0].place.start if places else None


def _forbidding(exam: Exam, proposed: Proposed, proposal: Proposal, *, at: datetime) -> tuple[Forbids, ...]:
    limits = policies_of(exam.site).autopilot
    others = [s for s in proposal.steps if s.accession not in proposed.wanted and not s.stays]
    start = next((s.start for s in proposal.steps if s.accession == exam.accession), None)
    outpatients = set(
        Exam.objects.filter(site=exam.site, accession__in=[s.accession for s in others])
        .exclude(order__patient_class__in=IN_HOUSE_CLASSES)
        .values_list("accession", flat=True)
    )
    again = _moved_today(exam.site, at=at)
    wanted = Wanted(
        Priority(exam.priority),
        exam.due_at,
        start,
        _otherwise(exam, at=at),
        taken_back=_was_taken_back(exam),
    )
    moved = [
        GivesWay(
            s.accession,
            outpatient=s.accession in outpatients,
            was_start=s.was_start,
            start=s.start,
            again=s.accession in again,
        )
        for s in others
        if s.was_start is not None
    ]
    return forbidding(limits, wanted, moved, at=at, zone=exam.site.timezone)


def _left_alone(site: Site, *, at: datetime) -> set[str]:
    """Accession numbers of those who are not to move whatever it is for: their time is near, or they moved today already."""
    near = at + timedelta(minutes=policies_of(site).autopilot.near_minutes)
    booked = Booking.objects.filter(
        site=site,
        state__in=[s.value for s in OCCUPYING],
        during__overlap=DateTimeTZRange(at, near, "[]"),
        during__startswith__lt=near,
    )
    return _moved_today(site, at=at) | set(booked.values_list("exam__accession", flat=True))


def _moved_today(site: Site, *, at: datetime) -> set[str]:
    """Accession numbers of those whom the desk moved by itself today."""
    midnight, _ = clock.day_bounds(clock.local_day(at, site.timezone), site.timezone)
    done = Rearrangement.objects.filter(site=site, by=BY_AUTOPILOT, at__gte=midnight, undone_at=None)
    return {move["accession"] for kept in done for move in kept.moves}


def _was_taken_back(exam: Exam) -> bool:
    """Whether the desk let it in before, and somebody took that back."""
    return Rearrangement.objects.filter(
        site=exam.site, by=BY_AUTOPILOT, undone_at__isnull=False, asked=_asked(exam)
    ).exists()
