"""Which safety checks an exam needs before it begins, and which are missing; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from xraydesk.safety.checks import CheckKind

WORDS = {
    CheckKind.IDENTITY: "the two identifiers",
    CheckKind.PREGNANCY: "the question about pregnancy",
    CheckKind.SIDE: "the side",
}
"""How a sentence names each check."""


@dataclass(frozen=True)
class Subject:
    """What decides which questions are asked: the patient, the procedure, and the site's ages in years."""

    sex: str
    age_years: int | None
    asks_pregnancy: bool
    has_side: bool
    pregnancy_age_min_years: int
    pregnancy_age_max_years: int


@dataclass(frozen=True)
class Answer:
    """The newest answer to one question, and whether the exam may go on by it."""

    kind: CheckKind
    passed: bool


def checks_needed(subject: Subject) -> tuple[CheckKind, ...]:
    """The questions to ask before this exposure.

    Two identifiers always (Joint Commission NPSG.01.01.01); pregnancy where the procedure
    asks for it, unless the patient is a man or outside the site's ages (ACR–SPR practice
    parameter; common local ages are 12 to 55); the side where the part has one.
    """
    needed = [CheckKind.IDENTITY]
    if subject.asks_pregnancy and may_be_pregnant(subject):
        needed.append(CheckKind.PREGNANCY)
    if subject.has_side:
        needed.append(CheckKind.SIDE)
    return tuple(needed)


def may_be_pregnant(subject: Subject) -> bool:
    """True unless sex or age say no; not knowing either is a reason to ask."""
    if subject.sex == "M":
        return False
    if subject.age_years is None:
        return True
    return subject.pregnancy_age_min_years <= subject.age_years <= subject.pregnancy_age_max_years


def checks_missing(needed: Iterable[CheckKind], newest: Iterable[Answer]) -> tuple[CheckKind, ...]:
    """Of the checks needed, those not answered, or whose newest answer does not let the exam go on."""
    passed = {answer.kind for answer in newest if answer.passed}
    return tuple(kind for kind in needed if kind not in passed)


def lets_go_on(kind: CheckKind, answer: str, *, ordered_side: str = "") -> bool:
    """Whether an answer by itself lets the exam go on; a technologist may decide otherwise and say why.

    Identity: `confirmed`. Pregnancy: `no` or `not applicable` (`yes` and `unknown` are for a
    physician). Side: `L`, `R` or `B`, the same as ordered, or any where the order names none.
    """
    if kind is CheckKind.IDENTITY:
        return answer == "confirmed"
    if kind is CheckKind.PREGNANCY:
        return answer in ("no", "not applicable")
    return answer in ("L", "R", "B") and ordered_side in ("", answer)


def in_words(kinds: Iterable[CheckKind]) -> str:
    """The checks as a sentence names them: "the two identifiers and the side"."""
    words = [WORDS[kind] for kind in kinds]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def age_years(birth_date: date | None, on: date) -> int | None:
    """Completed years on a day; None where the birth date is not known."""
    if birth_date is None:
        return None
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))
