"""Whose a study from another house is: what it says beside what is known here; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from xraydesk.imaging.header import Header
from xraydesk.imaging.names import Likeness, likeness, same_name
from xraydesk.imaging.rules import Person, number_doubt
from xraydesk.siteplan.policies import LabelDoubt

OFFERED_MAX = 8
"""More people than these are not put before whoever decides; a search finds the others."""


class OutsideState(StrEnum):
    """Where a study from another house stands."""

    WAITING = "waiting"
    """A person has to say whose it is."""
    TAKEN = "taken in"
    REFUSED = "not taken in"


@dataclass(frozen=True)
class Known:
    """A patient of ours who may be meant."""

    patient_id: int
    person: Person


@dataclass(frozen=True)
class Offered:
    """A patient who may be meant, and what speaks for it in words; `certain` where nobody else can be meant."""

    patient_id: int
    why: str
    certain: bool


def offered(said: Header, known: Iterable[Known]) -> tuple[Offered, ...]:
    """Who may be meant, the most alike first; at most OFFERED_MAX.

    Certain is one whose number, name and birth date all agree, and only where nobody else has them too: the
    number alone may be another house's, and a name with a birth date may be somebody else's.
    """
    found = []
    for one in known:
        agreeing = _agreeing(said, one.person)
        if agreeing:
            found.append((-len(agreeing), one.patient_id, agreeing))
    found.sort()
    whole = [patient_id for count, patient_id, _ in found if count == -3]
    return tuple(
        Offered(patient_id, _words(agreeing), certain=whole == [patient_id])
        for _, patient_id, agreeing in found[:OFFERED_MAX]
    )


def _agreeing(said: Header, person: Person) -> list[str]:
    """What agrees: number, name, birth date. A name that is nearly the same counts as none, and so does what one side lacks."""
    agreeing = []
    if number_doubt(said, person) is None:
        agreeing.append("number")
    if said.patient_name and same_name(said.patient_name, person.name):
        agreeing.append("name")
    if person.birth_date is not None and said.patient_birth_date == person.birth_date:
        agreeing.append("birth date")
    return agreeing


def _words(agreeing: list[str]) -> str:
    *first, last = agreeing
    told = f"{', '.join(first)} and {last}" if first else last
    return f"the same {told}"


def differs(said: Header, person: Person) -> tuple[str, ...]:
    """What speaks against a patient, in words, for whoever decides; what one side does not say contradicts nothing."""
    found = []
    if said.patient_name and person.name:
        match likeness(said.patient_name, person.name):
            case Likeness.SAME:
                pass
            case Likeness.OTHER:
                found.append("another name")
            case _:
                found.append("a name that is nearly the same")
    born = said.patient_birth_date
    if born and person.birth_date and born != person.birth_date:
        found.append("another birth date")
    sex = said.patient_sex.upper()
    if sex in ("M", "F") and person.sex in ("M", "F") and sex != person.sex:
        found.append("another sex")
    if number_doubt(said, person) is LabelDoubt.OTHER_ISSUER:
        found.append("a number of the same digits that another house gave")
    return tuple(found)
