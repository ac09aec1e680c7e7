"""Which record stays and which goes when a sender says that two are one; pure.

A record that went points to the one that stays, never to one that went itself: whoever
looks a number up has one step to take.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from xraydesk.patients.demographics import Demographics, Identifier


class MergeKind(StrEnum):
    """What a sender says of records or stays (HL7 ADT trigger events in brackets)."""

    MERGE = "merge"  # A18, A30, A34, A36, A39, A40
    RENUMBER = "renumber"  # A47
    MOVE_VISIT = "move visit"  # A45
    MOVE_ACCOUNT = "move account"  # A44
    RENUMBER_VISIT = "renumber visit"  # A42, A50
    RENUMBER_ACCOUNT = "renumber account"  # A35, A41, A49
    UNLINK = "unlink"  # A37
    LINK = "link"  # A24
    MOVE_NUMBERS = "move numbers"  # A43


@dataclass(frozen=True)
class MergeNews:
    """One piece of such news: who stays (PID), and the numbers that were used wrongly before (MRG)."""

    kind: MergeKind
    patient: Demographics
    prior: tuple[Identifier, ...] = ()
    prior_visit: str = ""
    prior_account: str = ""


@dataclass(frozen=True)
class Owner:
    """The record that has a number: its key, and the record it went into, if it did."""

    key: int
    into: int | None = None

    @property
    def stands(self) -> int:
        """The record that counts today."""
        return self.into or self.key


class Way(StrEnum):
    """What a merge comes to."""

    JOIN = "join"
    """Two records become one."""
    RETIRE = "retire"
    """One record already; the number that goes is still one of its own."""
    DONE = "done"
    """It was done before."""
    CIRCLE = "circle"
    """The record that is to stay went into the one that is to go."""
    ELSEWHERE = "elsewhere"
    """The record that is to go went into a third one."""


def way_of(stays: Owner, goes: Owner) -> Way:
    """What to do where the number that stays is `stays`', the one that goes `goes`'."""
    if goes.into is not None:
        return Way.DONE if goes.into == stays.stands else Way.ELSEWHERE
    if stays.key == goes.key:
        return Way.RETIRE
    return Way.CIRCLE if stays.into == goes.key else Way.JOIN


def staying(given: Iterable[Identifier], prior: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """The numbers that stay: those given that are not among the prior ones. Both with their issuers filled in.

    Senders often list the number that goes in PID-3 as well. Empty where a record is merged into itself.
    """
    gone = {(p.authority, p.value) for p in prior}
    return tuple(g for g in given if (g.authority, g.value) not in gone)


@dataclass(frozen=True)
class Identity:
    """Who a record says that it is of, as far as two records are held against each other."""

    name_folded: str
    birth_date: date | None
    sex: str


def are_alike(one: Identity, other: Identity) -> bool:
    """True where name and birth date are known and the same, and the sex is not another one."""
    return (
        bool(one.name_folded)
        and one.name_folded == other.name_folded
        and one.birth_date is not None
        and one.birth_date == other.birth_date
        and len({one.sex, other.sex} - {"", "U"}) <= 1
    )


class LinkWay(StrEnum):
    """What it comes to that a sender says that the numbers of two PID are of one person."""

    DONE = "done"
    """They are of one record already."""
    MORE_NUMBERS = "more numbers"
    """At most one side is known here: the person has more numbers than one."""
    JOIN = "join"
    """Two records of two issuers are alike: they become one, and keep all their numbers."""
    PERSON = "person"
    """A person compares them."""


def link_way(one: Collection[int], other: Collection[int], *, alike: bool, same_issuer: bool) -> LinkWay:
    """What to do where the numbers of one side are of the records `one`, those of the other of `other`.

    Two numbers of one issuer are linked and not merged where the issuer keeps them apart on purpose
    (HL7 2.5.1 §3.3.24): whether their exams belong together a person decides.
    """
    if len(one) > 1 or len(other) > 1:
        return LinkWay.PERSON
    if not one or not other:
        return LinkWay.MORE_NUMBERS
    if set(one) == set(other):
        return LinkWay.DONE
    return LinkWay.JOIN if alike and not same_issuer else LinkWay.PERSON


class NumberWay(StrEnum):
    """What it comes to that a number is another patient's now."""

    ALL = "all"
    """The record has no other number: all of it is that patient's."""
    NUMBER = "number"
    """Nothing hangs on the record: the number alone goes over."""
    PERSON = "person"
    """The record has other numbers, and exams or stays: a person decides which of them go along."""


def number_way(*, has_others: bool, has_more: bool) -> NumberWay:
    """What to do with a number of a record that has others beside it, or exams and stays."""
    if not has_others:
        return NumberWay.ALL
    return NumberWay.PERSON if has_more else NumberWay.NUMBER


def moved_numbers(
    given: Iterable[Identifier], prior: Iterable[Identifier]
) -> tuple[tuple[Identifier, ...], tuple[Identifier, ...]]:
    """The numbers that go over, and those that say to whom: what PID and MRG both name, else all that MRG names, goes over."""
    given, prior = tuple(given), tuple(prior)
    named = {(g.authority, g.value) for g in given}
    going = tuple(p for p in prior if (p.authority, p.value) in named) or prior
    return going, staying(given, going)
