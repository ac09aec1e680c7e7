"""Triage in its first form: what speaks for and against an exam as it was asked for. Pure.

Each question gives one finding in words that a person can act on. An exam is held where a
finding says `hold` (it cannot go on so) or `ask` (somebody should look first), and
accepted where none does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from xraydesk.orders.sides import SIDE_OF, WORD_OF, Side, sides_named
from xraydesk.orders.states import Priority
from xraydesk.siteplan.policies import Policies


class Level(StrEnum):
    """How a finding weighs: good and note let the exam go on, ask and hold do not."""

    GOOD = "good"
    NOTE = "note"
    ASK = "ask"
    HOLD = "hold"


class Code(StrEnum):
    """Which question a finding answers; programs may rely on these words."""

    COMPLETE = "complete"
    PROCEDURE = "procedure"
    DUPLICATE = "duplicate"
    SIDE = "side"
    SIDE_IN_TEXT = "side in text"
    AGE = "age"
    SEX = "sex"
    PREGNANCY = "pregnancy"
    DECEASED = "deceased"
    TIME = "time"
    SENDER = "sender"
    PERSON = "person"
    CHANGED = "changed since"
    LATE = "late order"
    APPOINTMENT = "appointment called off"


@dataclass(frozen=True)
class Finding:
    """One answer: how it weighs, to which question, the sentence a person reads, and what is behind it."""

    level: Level
    code: Code
    sentence: str
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        """As it is kept with the exam."""
        return {
            "level": self.level.value,
            "code": self.code.value,
            "sentence": self.sentence,
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, str]) -> Finding:
        """As it was kept by `as_json`."""
        return cls(Level(kept["level"]), Code(kept["code"]), kept["sentence"], kept.get("detail", ""))


@dataclass(frozen=True)
class ProcedureAsked:
    """What the department's own list says of the procedure."""

    text: str
    sides: tuple[str, ...] = ()
    sex: str = ""
    age_min_years: int | None = None
    age_max_years: int | None = None
    pregnancy_check: bool = False


@dataclass(frozen=True)
class PatientSeen:
    """What triage looks at of a patient."""

    has_name: bool
    birth_date: date | None
    sex: str
    pregnancy: str = ""
    deceased: bool = False


@dataclass(frozen=True)
class ExamAsked:
    """One exam as it was asked for. `procedure` is None where its code is not on the department's list."""

    procedure: ProcedureAsked | None
    code: str
    text: str
    laterality: str
    reason: str
    clinical_information: str
    provider: str
    patient_class: str
    ward: str
    requested_at: datetime | None


@dataclass(frozen=True)
class OpenExam:
    """Another exam of the same patient, procedure and side that is not yet cancelled."""

    accession: str
    at: datetime
    """Ended, else booked, else wished for, else ordered."""


@dataclass(frozen=True)
class Decision:
    """Accepted or held, with everything that was found."""

    accepted: bool
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences that hold it up."""
        return tuple(f.sentence for f in self.findings if f.level in HOLDING)


HOLDING = frozenset({Level.ASK, Level.HOLD})

_WEIGHT = {Level.HOLD: 0, Level.ASK: 1, Level.NOTE: 2, Level.GOOD: 3}


def triage(
    *,
    exam: ExamAsked,
    patient: PatientSeen,
    others: Sequence[OpenExam],
    policies: Policies,
    at: datetime,
    today: date,
) -> Decision:
    """Whether an exam may go on as it was asked for, and why. `today` is the site's calendar day at `at`."""
    found = [
        _complete(exam, patient),
        _procedure(exam, policies),
        _duplicate(others, policies),
        *_side(exam),
        *_side_in_text(exam),
        *_age(exam, patient, today),
        *_sex(exam, patient),
        *_pregnancy(exam, patient, policies, today),
        *_deceased(patient),
        *_time(exam, at),
    ]
    findings = tuple(sorted(found, key=lambda f: _WEIGHT[f.level]))
    return Decision(accepted=not any(f.level in HOLDING for f in findings), findings=findings)


def _complete(exam: ExamAsked, patient: PatientSeen) -> Finding:
    """Who the patient is must be said before an exam is booked; the rest is noted, and may be asked meanwhile."""
    who = [
        what
        for what, there in (
            ("the patient's name", patient.has_name),
            ("the birth date", patient.birth_date is not None),
            ("the patient's sex", bool(patient.sex)),
        )
        if not there
    ]
    rest = [
        what
        for what, there in (
            ("the reason", bool(exam.reason or exam.clinical_information)),
            ("who asks", bool(exam.provider)),
            ("the ward", bool(exam.ward) or exam.patient_class != "I"),
        )
        if not there
    ]
    if not who and not rest:
        return Finding(
            Level.GOOD, Code.COMPLETE, "Complete.", "Patient, reason, provider and place are there."
        )
    return Finding(
        Level.ASK if who else Level.NOTE,
        Code.COMPLETE,
        f"Not said: {_listed([*who, *rest])}.",
        "Ask whoever ordered it, or accept it as it is."
        if who
        else "It is booked all the same; ask meanwhile.",
    )


def _procedure(exam: ExamAsked, policies: Policies) -> Finding:
    if exam.procedure:
        return Finding(Level.GOOD, Code.PROCEDURE, "The department offers this exam.", exam.procedure.text)
    level = Level.NOTE if policies.accept_unknown_procedure else Level.HOLD
    named = f"“{exam.text or exam.code}”" if exam.text or exam.code else "An exam without a name"
    return Finding(
        level,
        Code.PROCEDURE,
        f"{named} is not on this department's list of exams.",
        f"Code {exam.code or 'missing'}: choose the exam that is meant, or add it to the site file.",
    )


def _duplicate(others: Sequence[OpenExam], policies: Policies) -> Finding:
    hours = policies.duplicate_window_hours
    if not others:
        return Finding(Level.GOOD, Code.DUPLICATE, "No duplicate.", f"Nothing alike within {hours} hours.")
    nearest = others[0]
    return Finding(
        Level.HOLD,
        Code.DUPLICATE,
        f"The same exam is asked for already: {nearest.accession}.",
        f"{_count(len(others), 'exam')} of this patient, part and side within {hours} hours."
        " Cancel one, or accept both.",
    )


def _side(exam: ExamAsked) -> list[Finding]:
    if exam.procedure is None:
        return []
    sides, name = exam.procedure.sides, exam.procedure.text
    if sides and not exam.laterality:
        allowed = " or ".join(WORD_OF[s] for s in sides if s in WORD_OF)
        return [
            Finding(
                Level.HOLD,
                Code.SIDE,
                f"The side is missing: {allowed}?",
                f"{name} is done of one side or both.",
            )
        ]
    if exam.laterality and not sides:
        return [
            Finding(
                Level.ASK,
                Code.SIDE,
                f"A side is given ({WORD_OF[exam.laterality]}), but this exam has none.",
                f"{name} has no side. Is another exam meant?",
            )
        ]
    if exam.laterality and exam.laterality not in sides:
        return [
            Finding(
                Level.HOLD,
                Code.SIDE,
                f"{name} is not offered for {WORD_OF[exam.laterality]}.",
                f"Offered: {_listed([WORD_OF[s] for s in sides if s in WORD_OF])}.",
            )
        ]
    if exam.laterality:
        return [Finding(Level.GOOD, Code.SIDE, f"The side is given: {WORD_OF[exam.laterality]}.")]
    return []


def _side_in_text(exam: ExamAsked) -> list[Finding]:
    ordered = SIDE_OF[exam.laterality]
    if not ordered:
        return []
    found = []
    for where, text in (
        ("The order's own words name", exam.text),
        ("The reason names", f"{exam.reason} {exam.clinical_information}"),
    ):
        named = sides_named(text)
        if named and not named & ordered:
            found.append(
                Finding(
                    Level.ASK,
                    Code.SIDE_IN_TEXT,
                    f"{where} the {_side_word(named)}; the order is for {_ordered_word(exam.laterality)}.",
                    "Is the side wrong, or a second order missing?",
                )
            )
        elif named & ~ordered:
            found.append(
                Finding(
                    Level.NOTE,
                    Code.SIDE_IN_TEXT,
                    f"{where} both sides; the order is for {_ordered_word(exam.laterality)}.",
                    "Two sides named, one ordered.",
                )
            )
    return found


def _side_word(named: Side) -> str:
    return "left" if named is Side.LEFT else "right"


def _ordered_word(laterality: str) -> str:
    return "both sides" if laterality == "B" else f"the {WORD_OF[laterality]} only"


def age_years(birth_date: date, day: date) -> int:
    """Whole years lived on `day`; who was born on 29 February has a birthday on 1 March in other years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def _age(exam: ExamAsked, patient: PatientSeen, today: date) -> list[Finding]:
    if patient.birth_date and patient.birth_date > today:
        return [
            Finding(
                Level.ASK,
                Code.AGE,
                "The birth date lies in the future.",
                "Check who the patient is and the date.",
            )
        ]
    procedure = exam.procedure
    if procedure is None or (procedure.age_min_years is None and procedure.age_max_years is None):
        return []
    limits = _limits(procedure)
    if patient.birth_date is None:
        return [Finding(Level.ASK, Code.AGE, f"This exam is for {limits}, and the birth date is not known.")]
    years = age_years(patient.birth_date, today)
    too_young = procedure.age_min_years is not None and years < procedure.age_min_years
    too_old = procedure.age_max_years is not None and years > procedure.age_max_years
    if too_young or too_old:
        return [
            Finding(
                Level.HOLD,
                Code.AGE,
                f"The patient is {_count(years, 'year')} old; this exam is for {limits}.",
                f"{procedure.text}: is another exam, or another patient, meant?",
            )
        ]
    return [
        Finding(Level.GOOD, Code.AGE, "The age fits.", f"{_count(years, 'year')}; this exam is for {limits}.")
    ]


def _limits(procedure: ProcedureAsked) -> str:
    low, high = procedure.age_min_years, procedure.age_max_years
    if low is None:
        return f"people up to {high} years"
    if high is None:
        return f"people from {low} years"
    return f"people of {low} to {high} years"


_SEX_WORD = {"F": "women", "M": "men"}


def _sex(exam: ExamAsked, patient: PatientSeen) -> list[Finding]:
    wanted = exam.procedure.sex if exam.procedure else ""
    if wanted not in _SEX_WORD:
        return []
    if patient.sex == wanted:
        return [Finding(Level.GOOD, Code.SEX, "The sex fits.")]
    if patient.sex in _SEX_WORD:
        return [
            Finding(
                Level.HOLD,
                Code.SEX,
                f"This exam is for {_SEX_WORD[wanted]}, and the record says otherwise.",
                "Is another exam, or another patient, meant?",
            )
        ]
    return [Finding(Level.NOTE, Code.SEX, f"This exam is for {_SEX_WORD[wanted]}; the sex is not on record.")]


def _pregnancy(exam: ExamAsked, patient: PatientSeen, policies: Policies, today: date) -> list[Finding]:
    if exam.procedure is None or not exam.procedure.pregnancy_check or patient.sex == "M":
        return []
    if patient.pregnancy == "yes":
        return [
            Finding(
                Level.ASK,
                Code.PREGNANCY,
                "The patient is on record as pregnant.",
                "This exam exposes the lower body: ask the radiologist before it is accepted.",
            )
        ]
    if patient.birth_date is not None:
        years = age_years(patient.birth_date, today)
        if not policies.pregnancy_age_min_years <= years <= policies.pregnancy_age_max_years:
            return []
    return [Finding(Level.NOTE, Code.PREGNANCY, "Pregnancy is asked about before the exposure.")]


def _deceased(patient: PatientSeen) -> list[Finding]:
    if not patient.deceased:
        return []
    return [
        Finding(
            Level.HOLD, Code.DECEASED, "The patient is on record as deceased.", "Check who the patient is."
        )
    ]


LATE_GRACE = timedelta(minutes=5)
"""A wish for "now" is minutes old when it comes; that is not worth a note."""


def _time(exam: ExamAsked, at: datetime) -> list[Finding]:
    if exam.requested_at and exam.requested_at < at - LATE_GRACE:
        return [
            Finding(
                Level.NOTE, Code.TIME, "The time asked for has passed.", "It is given the next free place."
            )
        ]
    return []


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def due_at(
    *, priority: Priority, requested_at: datetime | None, received_at: datetime, policies: Policies
) -> datetime | None:
    """By when an exam should begin: some time after it was wished for, or else came; None for routine ones."""
    minutes = {
        Priority.STAT: policies.stat_due_minutes,
        Priority.URGENT: policies.urgent_due_minutes,
    }.get(priority)
    if minutes is None:
        return None
    return (requested_at or received_at) + timedelta(minutes=minutes)


def procedure_meant(*, code: str, system: str, offered: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Which of the offered (code, system) an order means; None where none, or more than one, fits.

    The same code of the same system; else, where the order's system is a local one
    (HL7 table 0396: `L` and `99…`) or not said, the only local one with that code.
    """
    same_code = [o for o in offered if o[0] == code]
    for one in same_code:
        if one[1] == system:
            return one
    if not is_local_system(system):
        return None
    local = [o for o in same_code if is_local_system(o[1]) or not system]
    return local[0] if len(local) == 1 else None


def is_local_system(system: str) -> bool:
    """True for a coding system of the house (HL7 table 0396), or none."""
    return system.upper() in ("", "L", "LOCAL") or system.startswith("99")
