"""Whether an image is labelled right: what speaks against it, how much, and what becomes of it; pure.

An image is looked at in five ways: its numbers against the order and what its machine was told; its
patient; part, side and view; when and where it was taken; and, where a site lets it, the picture
itself. What speaks against it is a `Finding` with a weight and a sentence that names nobody, so
that it may stand in lists and logs. Where the weights reach the site's limit the image waits for a
person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xraydesk.imaging import anatomy_rules as anatomy
from xraydesk.imaging.header import Header, StepReport
from xraydesk.imaging.names import Likeness, likeness, stands_for_name
from xraydesk.imaging.rules import Candidate, Person, number_doubt
from xraydesk.orders.sides import SIDE_OF, WORD_OF, Side
from xraydesk.siteplan.policies import ALWAYS_HELD, LABEL_WEIGHTS, LabelDoubt, Policies

SEXES = ("F", "M")
"""Values of Patient's Sex that exclude each other; everything else says "not known"."""

_WORD_OF_SIDE = {Side.LEFT: "left", Side.RIGHT: "right"}
_ONE_SIDE = ("L", "R")


class Way(StrEnum):
    """How an image was looked at."""

    NUMBERS = "numbers"
    PATIENT = "patient"
    ANATOMY = "part, side and view"
    TIME = "time and place"
    PICTURE = "picture"


_D = LabelDoubt
_WAYS: Mapping[Way, tuple[LabelDoubt, ...]] = {
    Way.NUMBERS: (
        _D.NO_EXAM,
        _D.TWO_EXAMS,
        _D.OTHER_ACCESSION,
        _D.CANCELLED,
        _D.OTHERS_MOVED,
        _D.NOT_ON_WORKLIST,
    ),
    Way.PATIENT: (
        _D.NO_NUMBER,
        _D.OTHER_NUMBER,
        _D.OTHER_ISSUER,
        _D.OTHER_NAME,
        _D.OTHER_FAMILY_NAME,
        _D.NEAR_NAME,
        _D.OTHER_BIRTH_DATE,
        _D.NOTHING_ELSE,
        _D.OTHER_SEX,
    ),
    Way.ANATOMY: (
        _D.OTHER_SIDE,
        _D.OTHER_SIDE_MARKED,
        _D.SIDES_DISAGREE,
        _D.OTHER_PART,
        _D.NEAR_PART,
        _D.OTHER_PART_MARKED,
        _D.OTHER_VIEW,
        _D.VIEW_OF_OTHER_PART,
    ),
    Way.TIME: (
        _D.BEFORE_ARRIVAL,
        _D.OUTSIDE_ITS_STEP,
        _D.OTHER_ROOM,
        _D.OTHER_EXAM_OPEN,
        _D.BOTH_EXAMS_OPEN,
        _D.OTHER_WAITED,
        _D.BOTH_DUE,
    ),
    Way.PICTURE: (_D.OTHER_PART_SEEN,),
}
WAY_OF: Mapping[LabelDoubt, Way] = {doubt: way for way, doubts in _WAYS.items() for doubt in doubts}


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against an image's label: what, how much, and in a sentence that names nobody."""

    doubt: LabelDoubt
    weight: int
    sentence: str

    @property
    def way(self) -> Way:
        """How it was found."""
        return WAY_OF[self.doubt]

    def as_json(self) -> dict[str, str | int]:
        """As it is kept with its image."""
        return {"doubt": str(self.doubt), "weight": self.weight, "sentence": self.sentence}


def findings_of_json(kept: Iterable[Mapping[str, str | int]]) -> tuple[Finding, ...]:
    """Findings as they were kept; a doubt that this version does not know is left out."""
    return tuple(
        Finding(LabelDoubt(str(f["doubt"])), int(f["weight"]), str(f["sentence"]))
        for f in kept
        if f["doubt"] in tuple(LabelDoubt)
    )


@dataclass(frozen=True)
class Matched:
    """The image belongs to this exam. `findings` speak against it, and weigh too little to hold it."""

    exam_id: int
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """A person must decide. `exam_id` is the exam that the image claims, None where it claims none known here."""

    exam_id: int | None
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, in words, the heaviest first."""
        return tuple(f.sentence for f in heaviest_first(self.findings))


@dataclass(frozen=True)
class Moved:
    """An image that a person said belongs to an exam, and of which study and series it came. `taken_at` is aware, None where it says none."""

    exam_id: int
    series_instance_uid: str
    machine: str
    taken_at: datetime | None = None


def moved_with(
    decided: Iterable[Moved], *, series_instance_uid: str, machine: str, taken_at: datetime | None
) -> frozenset[int]:
    """The exams to which a person gave images of the same study that were taken with this one.

    Of one series, or by the same machine within SLACK_BY_HAND: the exam whose entry was picked by mistake may be
    done later under the same study number, and those images are its own.
    """
    return frozenset(
        one.exam_id
        for one in decided
        if (series_instance_uid and one.series_instance_uid == series_instance_uid)
        or (
            one.machine == machine
            and one.taken_at is not None
            and taken_at is not None
            and abs(taken_at - one.taken_at) <= SLACK_BY_HAND
        )
    )


def match(
    header: Header,
    candidates: Iterable[Candidate],
    policies: Policies,
    *,
    moved_to: Collection[int] = (),
) -> Matched | Mismatch:
    """Say which exam an image belongs to, or why a person must decide, from what it says of itself.

    `moved_to` are the exams to which a person gave what was taken with it (`moved_with`): an image that comes late
    still says what those said.

    The exam is found by Study Instance UID, accession number, or both requested procedure
    and scheduled step id; then the patient must be the exam's by number and issuer, and by
    name or birth date too (two identifiers, Joint Commission NPSG.01.01.01), and what it shows
    must be what was asked for.
    """
    exam, doubts = _claimed(header, candidates)
    if exam is None:
        return Mismatch(None, weighed(doubts, policies))
    doubts += patient_doubts(header, exam.patient)
    doubts += anatomy_doubts(header, exam)
    if any(exam_id != exam.exam_id for exam_id in moved_to):
        doubts.append((_D.OTHERS_MOVED, "a person said that what was taken with it belongs to another exam"))
    if exam.is_cancelled:
        doubts.append((_D.CANCELLED, f"exam {exam.accession} was cancelled and never begun"))
    findings = weighed(doubts, policies)
    if holds(findings, policies):
        return Mismatch(exam.exam_id, findings)
    own_study = header.study_instance_uid != exam.study_instance_uid
    return Matched(exam.exam_id, findings, ("carries a study number of its own",) if own_study else ())


Doubts = list[tuple[LabelDoubt, str]]
"""What speaks against an image, each with its sentence, not yet weighed."""


def weighed(doubts: Iterable[tuple[LabelDoubt, str]], policies: Policies) -> tuple[Finding, ...]:
    """Doubts with the weight that a site gives them; what weighs nothing there is left out."""
    found = [Finding(doubt, weight_of(doubt, policies), sentence) for doubt, sentence in doubts]
    return tuple(finding for finding in found if finding.weight > 0)


def weight_of(doubt: LabelDoubt, policies: Policies) -> int:
    """How much a doubt weighs: what says whose image it is reaches the limit always, the picture never by itself."""
    if doubt in ALWAYS_HELD:
        return policies.label_limit
    weight = policies.label_weights.get(doubt, LABEL_WEIGHTS[doubt])
    return min(weight, policies.label_limit - 1) if WAY_OF[doubt] is Way.PICTURE else weight


def score(findings: Iterable[Finding]) -> int:
    """How much speaks against an image in all."""
    return sum(finding.weight for finding in findings)


def holds(findings: Sequence[Finding], policies: Policies) -> bool:
    """True where an image is held: the sum reaches the site's limit, and not by the picture alone."""
    return score(findings) >= policies.label_limit and any(f.way is not Way.PICTURE for f in findings)


def heaviest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which people read them."""
    return sorted(findings, key=lambda f: -f.weight)


def _claimed(header: Header, candidates: Iterable[Candidate]) -> tuple[Candidate | None, Doubts]:
    """The exam that an image says it belongs to, with what speaks against it."""
    exams = list(candidates)
    by_study = _only(exams, "study_instance_uid", header.study_instance_uid)
    by_accession = _only(exams, "accession", header.accession)
    by_step = next((e for e in exams if _names_step(header, e)), None)
    exam = by_study or by_accession or by_step
    if exam is None:
        return None, [(_D.NO_EXAM, "no exam here has its study or its accession number")]
    if by_study and by_accession and by_study != by_accession:
        return exam, [
            (
                _D.TWO_EXAMS,
                f"its study is that of exam {by_study.accession}, "
                f"its accession number that of exam {by_accession.accession}",
            )
        ]
    if header.accession and not by_accession:
        return exam, [(_D.OTHER_ACCESSION, f"its accession number is not that of exam {exam.accession}")]
    return exam, []


def _only(exams: Sequence[Candidate], field: str, value: str) -> Candidate | None:
    return next((e for e in exams if value and getattr(e, field) == value), None)


def _names_step(header: Header, exam: Candidate) -> bool:
    """Step ids alone may repeat between systems; together with the requested procedure they name one."""
    return bool(header.requested_procedure_id and header.scheduled_step_id) and (
        header.requested_procedure_id == exam.requested_procedure_id
        and header.scheduled_step_id == exam.scheduled_step_id
    )


_OF_NUMBER = {
    _D.NO_NUMBER: "it carries no patient number",
    _D.OTHER_NUMBER: "it carries another patient number",
    _D.OTHER_ISSUER: "its patient number was issued by somebody else",
}


def patient_doubts(header: Header | StepReport, patient: Person) -> Doubts:
    """What an image, or a step, says of its patient that contradicts the exam's; empty where it is the same person.

    A machine that got its worklist before two records were made one still knows the patient as
    before. Where number and birth date agree, another family name beside the same given name may
    be a marriage, and one letter of it a slip: both are said, and weigh less.
    """
    if number_doubt(header, patient):
        patient = next((f for f in patient.former if not number_doubt(header, f)), patient)
    doubts: Doubts = []
    number = number_doubt(header, patient)
    if number:
        doubts.append((number, _OF_NUMBER[number]))
    numbers = [one.value for one in patient.identifiers]
    has_name = bool(header.patient_name and patient.name) and not stands_for_name(
        header.patient_name, numbers
    )
    has_birth_date = bool(header.patient_birth_date and patient.birth_date)
    same_birth_date = has_birth_date and header.patient_birth_date == patient.birth_date
    if has_name:
        doubts += _name_doubts(header, patient, is_sure=same_birth_date and not number)
    if has_birth_date and not same_birth_date:
        doubts.append((_D.OTHER_BIRTH_DATE, "it carries another birth date"))
    if not has_name and not has_birth_date and (patient.name or patient.birth_date):
        doubts.append((_D.NOTHING_ELSE, "it carries neither a name nor a birth date to compare"))
    sex = header.patient_sex.upper()
    if sex in SEXES and patient.sex in SEXES and sex != patient.sex:
        doubts.append((_D.OTHER_SEX, "it carries another sex"))
    return doubts


def _name_doubts(header: Header | StepReport, patient: Person, *, is_sure: bool) -> Doubts:
    """What the name says. `is_sure` where number and birth date are the patient's."""
    known = [patient.name, *(former.name for former in patient.former)]
    ways = {likeness(header.patient_name, name) for name in known if name}
    if Likeness.SAME in ways:
        return []
    if is_sure and Likeness.NEAR in ways:
        return [(_D.NEAR_NAME, "its family name is spelt otherwise")]
    if is_sure and Likeness.FAMILY_DIFFERS in ways:
        return [
            (_D.OTHER_FAMILY_NAME, "it carries another family name with the same given name and birth date")
        ]
    return [(_D.OTHER_NAME, "it carries another name")]


_SAYS_NOTHING = frozenset({_D.NO_NUMBER, _D.NOTHING_ELSE})


def step_findings(report: StepReport, patient: Person, policies: Policies) -> tuple[Finding, ...]:
    """What a machine says of a patient as it begins, where that is enough to hold an image; empty where it is not.

    A machine may tell less of the patient in its step than in its images: what it leaves out speaks against nothing.
    """
    said = [(doubt, words) for doubt, words in patient_doubts(report, patient) if doubt not in _SAYS_NOTHING]
    findings = weighed(said, policies)
    return findings if holds(findings, policies) else ()


def anatomy_doubts(header: Header, exam: Candidate) -> Doubts:
    """What an image says of part, side and view that is not what was asked for."""
    return [*_side_doubts(header, exam), *_part_doubts(header, exam), *_view_doubts(header, exam)]


def _side_doubts(header: Header, exam: Candidate) -> Doubts:
    said = header.laterality.upper()
    marked = anatomy.side_marked(header.marker_texts)
    doubts: Doubts = []
    if exam.laterality in _ONE_SIDE:
        ordered = WORD_OF[exam.laterality]
        if said in _ONE_SIDE and said != exam.laterality:
            doubts.append((_D.OTHER_SIDE, f"says {WORD_OF[said]}, ordered {ordered}"))
        elif marked and marked != SIDE_OF[exam.laterality]:
            doubts.append(
                (_D.OTHER_SIDE_MARKED, f"the machine's words say {_WORD_OF_SIDE[marked]}, ordered {ordered}")
            )
    elif exam.laterality and said in _ONE_SIDE and marked and marked != SIDE_OF[said]:
        doubts.append(
            (_D.SIDES_DISAGREE, f"says {WORD_OF[said]}, the machine's words say {_WORD_OF_SIDE[marked]}")
        )
    return doubts


def _part_doubts(header: Header, exam: Candidate) -> Doubts:
    ordered = anatomy.parts_named(exam.body_part) or anatomy.parts_named(exam.procedure_text)
    said = anatomy.parts_named(header.body_part)
    doubts: Doubts = []
    how = anatomy.fit(said, ordered)
    words = f"says {anatomy.in_words(said)}, ordered {anatomy.in_words(ordered)}"
    if how is anatomy.Fit.OTHER:
        doubts.append((_D.OTHER_PART, words))
    elif how is anatomy.Fit.NEAR:
        doubts.append((_D.NEAR_PART, words))
    others = {
        anatomy.in_words(parts)
        for text in header.marker_texts
        if anatomy.fit(parts := anatomy.parts_named(text), ordered) is anatomy.Fit.OTHER
    }
    if others and how is not anatomy.Fit.OTHER:
        also = " and ".join(sorted(others))
        doubts.append(
            (_D.OTHER_PART_MARKED, f"the machine's words say {also}, ordered {anatomy.in_words(ordered)}")
        )
    return doubts


def _view_doubts(header: Header, exam: Candidate) -> Doubts:
    views = [anatomy.view_named(said) for said in (header.view_position, *header.marker_texts)]
    view = next((v for v in views if v), "")
    ordered = anatomy.parts_named(exam.body_part)
    doubts: Doubts = []
    if not anatomy.is_asked_for(view, exam.views):
        doubts.append((_D.OTHER_VIEW, f"is a view ({view}) that was not asked for"))
    if not anatomy.is_view_of(view, ordered):
        doubts.append((_D.VIEW_OF_OTHER_PART, f"is a view ({view}) that no {anatomy.in_words(ordered)} has"))
    return doubts


SLACK_BY_HAND = timedelta(minutes=10)
"""So far a button pressed late, and the clocks of machine and desk, may lie from what was done."""

SLACK = timedelta(minutes=2)
"""The same where the machine that took the image told of the step: both go by one clock."""

CLOCK_AHEAD_MAX = timedelta(minutes=2)
"""A machine that dates an image later than this after its receipt tells no time that can be used."""

WAITED_WITHIN = timedelta(minutes=30)
"""Whoever had a place in the room within so long of the image may have been the one in it."""


@dataclass(frozen=True)
class Performed:
    """One performed step that counts: whose exam, in which room, from when to when (None: still open)."""

    exam_id: int
    patient_id: int
    room: str
    started_at: datetime
    ended_at: datetime | None = None
    by_hand: bool = False

    def covers(self, at: datetime) -> bool:
        """True where it was under way at a moment."""
        return self.started_at <= at and (self.ended_at is None or at <= self.ended_at)

    def may_cover(self, at: datetime) -> bool:
        """The same, give or take what clocks and buttons are off."""
        slack = SLACK_BY_HAND if self.by_hand else SLACK
        return self.started_at - slack <= at and (self.ended_at is None or at <= self.ended_at + slack)


@dataclass(frozen=True)
class Waiting:
    """A patient of another exam who was here and had a place in the room; `begun_at` is None where it never began."""

    exam_id: int
    patient_id: int
    start: datetime
    end: datetime
    arrived_at: datetime
    begun_at: datetime | None = None


@dataclass(frozen=True)
class Circumstances:
    """What the desk knows of the time and place in which an image was taken. Times are aware.

    `room` is the code of the room that its machine stands in, "" where it is not known or goes
    about (a portable). `arrived_at` is when somebody wrote down that the patient was here, None
    where nobody did; `is_due` whether the exam had a place there about then, as far as is known.
    `own` are the exam's steps, `others` those of other patients in the room. `was_shown` says
    whether its machine was told of the exam by its worklist, None where it asked for none.
    """

    taken_at: datetime | None
    received_at: datetime
    patient_id: int
    room: str = ""
    own: tuple[Performed, ...] = ()
    others: tuple[Performed, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    arrived_at: datetime | None = None
    is_identified: bool = False
    is_urgent: bool = False
    is_due: bool = True
    was_shown: bool | None = None
    looks_like: str = ""
    """Another part of the body that its picture looks like; "" where it does not, or was not looked at."""


def circumstance_doubts(c: Circumstances) -> Doubts:
    """What speaks against an image in when and where it was taken, and in what its machine was told."""
    doubts: Doubts = []
    if c.looks_like:
        doubts.append((_D.OTHER_PART_SEEN, f"its picture looks like another part: {c.looks_like}"))
    if c.was_shown is False:
        doubts.append((_D.NOT_ON_WORKLIST, "its machine was not told of the exam by its worklist"))
    rooms = {step.room for step in c.own if step.room}
    if c.room and rooms and c.room not in rooms:
        doubts.append(
            (_D.OTHER_ROOM, f"was taken in {c.room}, the exam was done in {', '.join(sorted(rooms))}")
        )
    if c.taken_at is None or c.taken_at > c.received_at + CLOCK_AHEAD_MAX or not c.own:
        return doubts
    if not any(step.may_cover(c.taken_at) for step in c.own):
        doubts.append((_D.OUTSIDE_ITS_STEP, "was taken outside the time in which the exam was done"))
    if c.arrived_at and c.taken_at < c.arrived_at - SLACK_BY_HAND:
        doubts.append((_D.BEFORE_ARRIVAL, "was taken before its patient was here"))
    return doubts + _open_there(c, c.taken_at) + _waited_there(c, c.taken_at)


def _open_there(c: Circumstances, at: datetime) -> Doubts:
    if not any(step.covers(at) and step.patient_id != c.patient_id for step in c.others):
        return []
    if any(step.may_cover(at) for step in c.own):
        return [(_D.BOTH_EXAMS_OPEN, f"another patient's exam was open in {c.room} at the same time")]
    return [
        (
            _D.OTHER_EXAM_OPEN,
            f"another patient's exam was open in {c.room} when it was taken, and this one was not",
        )
    ]


def _waited_there(c: Circumstances, at: datetime) -> Doubts:
    """A wrong entry of the worklist: nobody saw its patient, and another one was here for this room and is not begun.

    It weighs little where the exam was due there itself: then somebody may only have forgotten to write down who came.
    """
    if c.arrived_at or c.is_identified or c.is_urgent:
        return []
    stood = any(
        w.patient_id != c.patient_id
        and w.arrived_at <= at
        and w.start - WAITED_WITHIN <= at <= w.end + WAITED_WITHIN
        and (w.begun_at is None or w.begun_at > at)
        for w in c.waiting
    )
    if not stood:
        return []
    if c.is_due:
        return [(_D.BOTH_DUE, f"nobody saw its patient here, and another one was here for {c.room} too")]
    return [(_D.OTHER_WAITED, f"nobody saw its patient here, and another one was here for {c.room}")]


def with_circumstances(
    found: Iterable[Finding], circumstances: Circumstances, policies: Policies
) -> tuple[Finding, ...]:
    """What was found in an image's header, with what its time and place say now."""
    now = weighed(circumstance_doubts(circumstances), policies)
    anew = (Way.TIME, Way.PICTURE)
    return (*(f for f in found if f.way not in anew and f.doubt is not _D.NOT_ON_WORKLIST), *now)
