"""Which record stays and which goes when a sender says that two are one; pure.

A record that went points to the one that stays, never to one that went itself: whoever
looks a number up has one step to take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
