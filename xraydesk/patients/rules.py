"""Who a message speaks of, and what it changes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from xraydesk.lib.text import folded
from xraydesk.patients.demographics import Demographics, Identifier

NOT_OF_ONE_PERSON = frozenset({"AN", "ANC", "AND", "ANN", "ANT", "VN", "SN", "MB", "NH", "BC"})
"""HL7 table 0203: accounts, visits, family insurance and bank cards name no one person by themselves."""

IDENTIFIER_LENGTH_MAX = 64
AUTHORITY_LENGTH_MAX = 227
"""As HL7 2.5.1 lets a namespace be (HD, CX-4)."""

PRIMARY_TYPES = ("MR", "MRN", "PI", "PK", "")
"""Types of number that people call the patient's number, best first."""


@dataclass(frozen=True)
class KnownIdentifier:
    """A number on file and whose it is."""

    value: str
    authority: str
    patient_id: int


class Match(StrEnum):
    """What the numbers given say."""

    NONE = "none"
    ONE = "one"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Matching:
    """The outcome: nobody, one patient, or numbers of several. `missing` are numbers to add to the one found."""

    match: Match
    patient_id: int | None = None
    missing: tuple[Identifier, ...] = ()


def identifiers_that_count(identifiers: Iterable[Identifier], *, authority: str) -> tuple[Identifier, ...]:
    """The numbers by which a person is found, each once, their issuer filled in where none was given.

    Numbers of accounts, visits and families are left out: they do not name one person. So are
    values longer than the column, for cut short they might become somebody else's.
    """
    found: dict[tuple[str, str], Identifier] = {}
    for given in identifiers:
        value = given.value.strip()
        if value and len(value) <= IDENTIFIER_LENGTH_MAX and given.type not in NOT_OF_ONE_PERSON:
            issuer = (given.authority.strip() or authority)[:AUTHORITY_LENGTH_MAX]
            found.setdefault((issuer, value), Identifier(value, issuer, given.type[:16]))
    return tuple(found.values())


def what_lacks(identifiers: Iterable[Identifier]) -> str:
    """What is wrong with numbers by which nobody can be found, in words that follow “its patient”."""
    given = [i for i in identifiers if i.value.strip()]
    if any(i.type not in NOT_OF_ONE_PERSON for i in given):
        return f"has a number of more than {IDENTIFIER_LENGTH_MAX} characters: send one that is shorter"
    if given:
        return "has only numbers of accounts, visits or families: send one that is the patient’s own"
    return "has no number: send one"


def match(given: Sequence[Identifier], known: Iterable[KnownIdentifier]) -> Matching:
    """Who is meant by the numbers `given`, going by those on file. Both with their issuers filled in."""
    owners = {(k.authority, k.value): k.patient_id for k in known}
    found = {owners[key] for key in ((g.authority, g.value) for g in given) if key in owners}
    if not found:
        return Matching(Match.NONE, missing=tuple(given))
    if len(found) > 1:
        return Matching(Match.CONFLICT)
    missing = tuple(g for g in given if (g.authority, g.value) not in owners)
    return Matching(Match.ONE, found.pop(), missing)


def identifier_sort(type_: str) -> int:
    """Where a number stands in a patient's list: the medical record number first."""
    return PRIMARY_TYPES.index(type_) if type_ in PRIMARY_TYPES else len(PRIMARY_TYPES)


SEX = {"F": "F", "M": "M", "O": "O", "U": "U", "A": "O", "N": "O"}
"""HL7 table 0001 to DICOM's three (and U): ambiguous and not applicable are `O`."""

PREGNANCY = frozenset({"yes", "no", "unknown", "not applicable"})

LENGTHS = {
    "family": 194,
    "given": 194,
    "middle": 194,
    "prefix": 64,
    "suffix": 64,
    "phone": 64,
    "address": 250,
    "language": 64,
    "isolation": 64,
}
"""Longest text kept of each part; what is longer is cut, the message keeps it whole."""

CAN_BE_EMPTIED = ("phone", "address", "language")

NAME_PARTS = ("family", "given", "middle", "prefix", "suffix")
NAME_FOLDED_LENGTH = 400


def facts_said(said: Demographics) -> dict[str, object]:
    """What a message says of a patient as values of the patient's row; what it leaves empty is left out.

    A name is one thing: where family or given name is said, the parts that are not said are emptied with it,
    so that no old middle name stays behind a new name.
    """
    values: dict[str, object] = {}
    name = said.name
    if name.family or name.given:
        values |= {part: getattr(name, part)[: LENGTHS[part]] for part in NAME_PARTS}
        values["name_folded"] = folded_name(name.family, name.given, name.middle)
    for field in ("phone", "address", "language", "isolation"):
        if text := getattr(said, field):
            values[field] = text[: LENGTHS[field]]
    if said.birth_date:
        values["birth_date"] = said.birth_date
    if said.sex in SEX:
        values["sex"] = SEX[said.sex]
    if said.pregnancy in PREGNANCY:
        values["pregnancy"] = said.pregnancy
    if said.deceased is not None:
        values["deceased"] = said.deceased
    return values | {field: "" for field in CAN_BE_EMPTIED if field in said.emptied}


def folded_name(family: str, given: str, middle: str = "") -> str:
    """The whole name as it is searched by."""
    return folded(f"{family} {given} {middle}")[:NAME_FOLDED_LENGTH]


def changes(now: Mapping[str, object], said: Mapping[str, object]) -> dict[str, object]:
    """The values of `said` that differ from those on file `now`."""
    return {field: value for field, value in said.items() if now.get(field) != value}


def additions(now: Mapping[str, object], said: Mapping[str, object]) -> dict[str, object]:
    """The values of `said` for which the file has nothing yet: what a source without authority may add.

    The name counts as one thing: where the file has one, none of its parts is added.
    """
    name_is_known = bool(now.get("name_folded"))
    return {
        field: value
        for field, value in said.items()
        if value and not now.get(field) and not (name_is_known and field in (*NAME_PARTS, "name_folded"))
    }


IDENTITY = frozenset({"family", "given", "middle", "birth_date", "sex"})
"""Changes of these are late changes to identity: images made before carry the old ones."""


def is_somebody_else(now: Mapping[str, object], said: Mapping[str, object]) -> bool:
    """True where a number typed by hand most likely names the wrong patient: the birth date or the family name differs.

    For requests by form, where nobody but the person typing vouches for the number.
    """
    born_now, born_said = now.get("birth_date"), said.get("birth_date")
    if born_now and born_said and born_now != born_said:
        return True
    family_now, family_said = now.get("family"), said.get("family")
    return bool(family_now and family_said) and folded(str(family_now)) != folded(str(family_said))


def may_be_another_person(now: Mapping[str, object], said: Mapping[str, object]) -> bool:
    """True where a message gives a record another family name, given name and birth date, all at once.

    People marry, and typing errors are mended, but not all three in one message: most likely it names the wrong record.
    A birth date on the first of January is how houses write down people whom nobody has identified yet; those do
    get all three at once.
    """
    born, born_said = now.get("birth_date"), said.get("birth_date")
    if not isinstance(born, date) or not born_said or born == born_said or (born.month, born.day) == (1, 1):
        return False
    names = [(str(now.get(part) or ""), str(said.get(part) or "")) for part in ("family", "given")]
    return all(was and is_now and folded(was) != folded(is_now) for was, is_now in names)


@dataclass(frozen=True)
class Person:
    """What look-alikes are judged by. `name` is family, given."""

    key: int
    family: str
    given: str
    birth_date: date | None


NAME_LENGTH_FOR_DISTANCE_MIN = 4
"""Short names one letter apart (Li, Le) are too common to flag."""


def look_alike(one: Person, other: Person) -> bool:
    """True where two different patients are easily taken for each other.

    Same family name and same given name, or one letter apart in one of them; or the same
    family name with the same birth date, as twins have (Joint Commission NPSG.01.01.01
    asks for two identifiers because of exactly these).
    """
    return _look_alike(_plain(one), _plain(other))


def _plain(person: Person) -> Person:
    """The same with names as they are compared, folded once and not for each pair."""
    return replace(person, family=folded(person.family), given=folded(person.given))


def _look_alike(one: Person, other: Person) -> bool:
    if one.key == other.key or not one.family or not other.family:
        return False
    if one.family == other.family:
        if one.birth_date and one.birth_date == other.birth_date:
            return True
        return nearly_equal(one.given, other.given)
    return one.given == other.given and nearly_equal(one.family, other.family)


def nearly_equal(one: str, other: str) -> bool:
    """Equal, or one letter put in, left out, changed, or two neighbours swapped, in names long enough to say so."""
    if one == other:
        return True
    if min(len(one), len(other)) < NAME_LENGTH_FOR_DISTANCE_MIN or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, rest_other = one[start:], other[start:]
    return (
        rest[1:] == rest_other[1:]
        or rest[1:] == rest_other
        or rest == rest_other[1:]
        or (rest[:2] == rest_other[:2][::-1] and rest[2:] == rest_other[2:])
    )


def look_alikes(people: Sequence[Person]) -> dict[int, frozenset[int]]:
    """For each patient who has look-alikes among `people`, their keys.

    Compared within groups that share a folded family name, a given name or a birth date,
    so that a long list costs little more than a short one.
    """
    groups: dict[tuple[str, str], list[Person]] = {}
    for person in map(_plain, people):
        groups.setdefault(("family", person.family), []).append(person)
        groups.setdefault(("given", person.given), []).append(person)
    found: dict[int, set[int]] = {}
    for group in groups.values():
        for number, one in enumerate(group):
            for other in group[number + 1 :]:
                if _look_alike(one, other):
                    found.setdefault(one.key, set()).add(other.key)
                    found.setdefault(other.key, set()).add(one.key)
    return {key: frozenset(others) for key, others in found.items()}
