"""What a department has settled on, as its site file says it: how patients are booked, what is held, what a rule may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.siteplan.hours import Hours


class BookingWay(StrEnum):
    """How patients of a class are booked when their order is accepted."""

    NEXT_FREE = "next-free"
    """At the requested time, or else the next free place."""
    ON_ARRIVAL = "on-arrival"
    """When the patient is here; a requested time is kept all the same."""
    REQUESTED = "requested"
    """Only at a time that the order asks for; without one, a person is asked."""
    ASK = "ask"
    """Always by a person."""


class GivesWayTo(StrEnum):
    """Exams for which others may give way without a person."""

    STAT = "stat"
    URGENT = "urgent"


@dataclass(frozen=True)
class AutopilotPlan:
    """Within which limits the desk lets others give way by itself. It does nothing of it unless `on`."""

    on: bool = False
    priorities: tuple[GivesWayTo, ...] = (GivesWayTo.STAT,)
    moved_minutes_max: int = 30
    """No outpatient is moved by more."""
    near_minutes: int = 60
    """Nobody is moved whose time is nearer."""
    moves_max: int = 3
    """So many exams give way to one at most."""
    hours: Hours = field(default_factory=dict)
    """When it acts, by weekday; always where empty."""


class LabelDoubt(StrEnum):
    """What can speak against an image's label; the value is its name in a site file."""

    NO_EXAM = "no exam"
    TWO_EXAMS = "numbers of two exams"
    OTHER_ACCESSION = "another accession number"
    CANCELLED = "cancelled exam"
    OTHERS_MOVED = "others of it moved"
    NOT_ON_WORKLIST = "not on the worklist"
    NO_NUMBER = "no patient number"
    OTHER_NUMBER = "another patient number"
    OTHER_ISSUER = "number of another issuer"
    OTHER_NAME = "another name"
    OTHER_FAMILY_NAME = "another family name"
    NEAR_NAME = "name spelt otherwise"
    OTHER_BIRTH_DATE = "another birth date"
    NOTHING_ELSE = "nothing beside the number"
    OTHER_SEX = "another sex"
    OTHER_SIDE = "another side"
    OTHER_SIDE_MARKED = "another side in words"
    SIDES_DISAGREE = "two sides"
    OTHER_PART = "another part"
    NEAR_PART = "a neighbouring part"
    OTHER_PART_MARKED = "another part in words"
    OTHER_VIEW = "a view not asked for"
    VIEW_OF_OTHER_PART = "a view of another part"
    BEFORE_ARRIVAL = "before arrival"
    OUTSIDE_ITS_STEP = "outside its time"
    OTHER_ROOM = "another room"
    OTHER_EXAM_OPEN = "another exam open"
    BOTH_EXAMS_OPEN = "two exams open"
    OTHER_WAITED = "another patient waited"
    BOTH_DUE = "two patients due"
    OTHER_PART_SEEN = "another part in the picture"


LABEL_WEIGHTS: Mapping[LabelDoubt, int] = {
    LabelDoubt.NO_EXAM: 100,
    LabelDoubt.TWO_EXAMS: 100,
    LabelDoubt.OTHER_ACCESSION: 100,
    LabelDoubt.CANCELLED: 100,
    LabelDoubt.OTHERS_MOVED: 100,
    LabelDoubt.NOT_ON_WORKLIST: 40,
    LabelDoubt.NO_NUMBER: 100,
    LabelDoubt.OTHER_NUMBER: 100,
    LabelDoubt.OTHER_ISSUER: 100,
    LabelDoubt.OTHER_NAME: 100,
    LabelDoubt.OTHER_FAMILY_NAME: 60,
    LabelDoubt.NEAR_NAME: 40,
    LabelDoubt.OTHER_BIRTH_DATE: 100,
    LabelDoubt.NOTHING_ELSE: 100,
    LabelDoubt.OTHER_SEX: 100,
    LabelDoubt.OTHER_SIDE: 100,
    LabelDoubt.OTHER_SIDE_MARKED: 100,
    LabelDoubt.SIDES_DISAGREE: 100,
    LabelDoubt.OTHER_PART: 100,
    LabelDoubt.NEAR_PART: 30,
    LabelDoubt.OTHER_PART_MARKED: 100,
    LabelDoubt.OTHER_VIEW: 30,
    LabelDoubt.VIEW_OF_OTHER_PART: 70,
    LabelDoubt.BEFORE_ARRIVAL: 60,
    LabelDoubt.OUTSIDE_ITS_STEP: 50,
    LabelDoubt.OTHER_ROOM: 50,
    LabelDoubt.OTHER_EXAM_OPEN: 100,
    LabelDoubt.BOTH_EXAMS_OPEN: 40,
    LabelDoubt.OTHER_WAITED: 100,
    LabelDoubt.BOTH_DUE: 40,
    LabelDoubt.OTHER_PART_SEEN: 60,
}
"""How much each speaks against a label. An image is held where the sum reaches the site's limit, 100 unless it says otherwise."""

ALWAYS_HELD = frozenset(
    {
        LabelDoubt.NO_EXAM,
        LabelDoubt.TWO_EXAMS,
        LabelDoubt.OTHER_ACCESSION,
        LabelDoubt.CANCELLED,
        LabelDoubt.NO_NUMBER,
        LabelDoubt.OTHER_NUMBER,
        LabelDoubt.OTHER_ISSUER,
        LabelDoubt.OTHER_NAME,
        LabelDoubt.OTHER_BIRTH_DATE,
        LabelDoubt.NOTHING_ELSE,
        LabelDoubt.OTHER_SEX,
    }
)
"""What no site file can make light of: whose image it is takes two identifiers (Joint Commission NPSG.01.01.01)."""


@dataclass(frozen=True)
class Policies:
    """How the department decides. Minutes unless said otherwise."""

    booking: Mapping[str, BookingWay] = field(default_factory=dict)
    """HL7 patient class (I, O, E…) to the way it is booked; `*` for all others."""
    duplicate_window_hours: int = 24
    accept_unknown_procedure: bool = False
    stat_due_minutes: int = 60
    urgent_due_minutes: int = 240
    pregnancy_age_min_years: int = 12
    pregnancy_age_max_years: int = 55
    item_minutes: Mapping[str, int] = field(default_factory=dict)
    """Kind of item to minutes until harm, where the site's clock is not the usual one."""
    step_open_hours: int = 4
    """After so many hours without an end, a begun step is put before a person."""
    booking_days_ahead: int = 14
    """How many days ahead a free place is looked for."""
    hold_minutes: int = 10
    """A place that somebody chose is held so long while they make up their mind."""
    languages: tuple[str, ...] = ()
    """What the department speaks itself, as patients' records write it; empty: nobody is asked for an interpreter."""
    cleaning_minutes: int = 0
    fetch_classes: tuple[str, ...] = ("I",)
    """HL7 patient classes whose patients a porter fetches and takes back, unless the exam goes to them."""
    fetch_early_minutes: int = 5
    """So long before the exam a fetched patient is to be here."""
    phrases: Mapping[str, int] = field(default_factory=dict)
    """Words in a report that ask for a call, each with its category (1 minutes, 2 hours, 3 days); a person confirms."""
    tell_minutes: tuple[int, int, int] = (60, 720, 10_080)
    """By category: a finding is read back by somebody within so long."""
    next_person_minutes: tuple[int, int, int] = (15, 120, 1440)
    """By category: who has not answered after so long is passed over for the next person."""
    stat_read_minutes: int = 10
    """Who reads has so long to open the images of a STAT before whoever covers is called."""
    charge_needs_report: bool = True
    autopilot: AutopilotPlan = field(default_factory=AutopilotPlan)
    label_limit: int = 100
    """An image is held back where what speaks against its label weighs as much as this, or more."""
    label_weights: Mapping[str, int] = field(default_factory=dict)
    """What each doubt weighs where the site weighs it otherwise (`LABEL_WEIGHTS`)."""
    look_at_pictures: bool = False
    """Whether pictures themselves are looked at, once enough was learnt here; never holds an image by itself."""
    message_days: int = 0
    """Messages are kept for so long; 0 for ever."""
    image_days: int = 30
    """Files of images stay here for so long after they are safe wherever they go, or were rejected; 0 for ever."""
    image_unpromised_hours: int = 24
    """What a destination that promises nothing took counts as safe there after so long."""
    spool_gigabytes_max: int = 0
    """More files of images than so much are not taken, in 1,000,000,000 bytes; 0: what the disk holds."""
    spool_warn_percent: int = 80
    """A person is told when the files take so much of it."""
