"""The chosen exam beside the board: what is known of it, and all that can be done to it now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.board_layout import Card, Mark, drawn_stage, lateness
from xraydesk.desk.board_markup import stage_word
from xraydesk.desk.proposals import Shown
from xraydesk.desk.words import CLASS_WORDS, GLYPHS, due
from xraydesk.journey.exam_view import ExamView
from xraydesk.journey.stage import Stage
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.states import BookingState
from xraydesk.transport.rules import MODE_WORDS, mode_of

UNKNOWN_PROCEDURE_MINUTES = 15


@dataclass(frozen=True)
class Can:
    """What this member may do to the exam as it stands."""

    book: bool = False
    accept: bool = False
    arrive: bool = False
    unarrive: bool = False
    move: bool = False
    place_by_hand: bool = False
    find: bool = False
    no_show: bool = False
    undo_no_show: bool = False
    cancel_booking: bool = False
    hold: bool = False


def what_can_be_done(view: ExamView, member: Member, at: datetime) -> Can:
    """The deeds that fit an exam's stage and the member's role."""
    stage = view.stage
    book, triage = member.may(Permission.BOOK), member.may(Permission.TRIAGE)
    booked = view.booking is not None and view.booking.state == BookingState.BOOKED
    accepted = view.exam.triage == TriageState.ACCEPTED
    arrived = view.booking is not None and view.booking.arrived_at is not None
    open_stage = stage in (Stage.ORDERED, Stage.SCHEDULED, Stage.ARRIVED, Stage.NO_SHOW) or (
        stage is Stage.DISCONTINUED and booked
    )
    receives = book or member.may(Permission.PERFORM)
    unplaced = stage is Stage.ORDERED and accepted
    return Can(
        book=book and unplaced,
        accept=triage and view.exam.triage in (TriageState.HELD, TriageState.WAITING) and not view.step,
        arrive=receives and open_stage and accepted and not arrived and stage is not Stage.NO_SHOW,
        unarrive=receives and stage is Stage.ARRIVED,
        move=book and booked and open_stage and accepted,
        place_by_hand=book and accepted and (unplaced or stage is Stage.NO_SHOW),
        find=book and accepted and open_stage,
        no_show=book and stage is Stage.SCHEDULED and view.start is not None and view.start <= at,
        undo_no_show=book and stage is Stage.NO_SHOW,
        cancel_booking=book and view.booking is not None and (open_stage or stage is Stage.HELD),
        hold=triage and stage in (Stage.ORDERED, Stage.SCHEDULED, Stage.ARRIVED) and accepted,
    )


@dataclass(frozen=True)
class Offer:
    """One proposed place as the form names it: room code and moment, checked again when it is sent."""

    value: str
    room: str
    start: datetime
    end: datetime
    why: tuple[str, ...] = ()


def offers(proposals: list[Proposal], rooms: dict[int, str]) -> list[Offer]:
    """Proposals for a form. `rooms` maps keys to codes."""
    return [
        Offer(
            value=place_value(rooms[p.place.room_id], p.place.start),
            room=rooms[p.place.room_id],
            start=p.place.start,
            end=p.place.end,
            why=p.why,
        )
        for p in proposals
        if p.place.room_id in rooms
    ]


def place_value(room: str, start: datetime) -> str:
    """A place as a form carries it: `XR1 2026-03-02T15:00:00+00:00`."""
    return f"{room} {start.isoformat()}"


def minutes_of(exam: Exam) -> int:
    """How long the exam takes in a room."""
    return exam.procedure.minutes if exam.procedure else UNKNOWN_PROCEDURE_MINUTES


def place_of_value(value: str, *, exam: Exam, member: Member) -> Place | None:
    """The place that a form names; None where it names no room of this site or no moment."""
    code, _, moment = value.rpartition(" ")
    try:
        start = datetime.fromisoformat(moment)
    except ValueError:
        return None
    room = Room.objects.filter(site=member.site, code=code, retired=False).first()
    if (
        room is None
        or start.tzinfo is None
        or (member.locations and room.location_id not in member.locations)
    ):
        return None
    return Place(room.pk, start, start + timedelta(minutes=minutes_of(exam)))


OPEN_STAGES = (Stage.ORDERED, Stage.HELD, Stage.SCHEDULED, Stage.ARRIVED)


@dataclass(frozen=True)
class Panel:
    """Everything the side panel shows; see `panel.html`."""

    view: ExamView
    card: Card | None
    can: Can
    stage: str
    glyph: str
    stage_word: str
    due: str
    here_url: str
    leave_url: str
    may_open: bool
    begins: datetime | None
    ends: datetime | None
    ends_word: str
    other_day: bool
    late: Mark | None
    proposals: list[Offer] = field(default_factory=list)
    proposal: Shown | None = None
    ask_url: str = ""
    """Where a proposal that lets others give way is asked for; empty where none could be."""

    @property
    def is_to_be_done(self) -> bool:
        """Whether somebody may look for it on a machine's worklist."""
        return self.view.stage in (*OPEN_STAGES, Stage.NO_SHOW)

    @property
    def place(self) -> bool:
        """Whether the exam has a place, or was done somewhere."""
        return bool(self.view.room and self.begins)

    def _url(self, action: str) -> str:
        return where.exam_action(self.view.exam.accession, action)

    @property
    def exam_url(self) -> str:
        """The exam's own page."""
        return where.exam(self.view.exam.accession)

    @property
    def deeds(self) -> dict[str, str]:
        """Where each form of the panel is sent."""
        names = ("arrive", "unarrive", "move", "no-show", "undo-no-show", "cancel-booking", "book")
        return {name.replace("-", "_"): self._url(name) for name in names}

    @property
    def origin(self) -> str:
        """Where the patient comes from, as what, and how."""
        order = self.view.exam.order
        words = [
            CLASS_WORDS.get(order.patient_class, ""),
            self.card.origin if self.card else order.ward,
            MODE_WORDS[mode_of(order.transport)] if order.transport else "",
        ]
        return ", ".join(word for word in words if word)


def panel_of(
    view: ExamView,
    card: Card | None,
    *,
    member: Member,
    day: date,
    at: datetime,
    here_url: str,
    leave_url: str,
    proposals: list[Offer],
    proposal: Shown | None = None,
    ask_url: str = "",
) -> Panel:
    """The panel for one exam; `card` is how the board draws it, None where it is not on this day's board."""
    begun = view.step.started_at if view.step and view.stage not in (Stage.DISCONTINUED,) else None
    ended = view.step.ended_at if begun and view.step else None
    begins = begun or view.start
    stage = drawn_stage(card) if card else "scheduled"
    zone = ZoneInfo(member.site.timezone)
    return Panel(
        view=view,
        card=card,
        can=what_can_be_done(view, member, at),
        stage=stage,
        glyph="hold" if view.stage is Stage.HELD else GLYPHS[stage],
        stage_word=_word(view, card),
        due=due(view.exam.due_at, at) if view.stage in OPEN_STAGES else "",
        here_url=here_url,
        leave_url=leave_url,
        may_open=member.may(Permission.SEE_PATIENT),
        begins=begins,
        ends=ended or (None if begun else view.end),
        ends_word="ended" if ended else "ends",
        other_day=begins is not None and begins.astimezone(zone).date() != day,
        late=lateness(card, at) if card else None,
        proposals=proposals,
        proposal=proposal,
        ask_url=ask_url,
    )


def _word(view: ExamView, card: Card | None) -> str:
    if view.stage is Stage.ORDERED:
        return "" if view.exam.triage == TriageState.ACCEPTED else "Waits for triage"
    return stage_word(card) if card else view.stage.capitalize()
