"""Decides who may associate, and who must give way when it is full. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from xraydesk.links.dicom.sop_classes import VERIFICATION
from xraydesk.siteplan.link_plan import LinkPlan


class Verdict(Enum):
    """Taken, or refused with result, source and reason of PS3.8 table 9-21."""

    TAKEN = (0, 0, 0)
    CALLED_UNKNOWN = (1, 1, 7)
    CALLING_UNKNOWN = (1, 1, 3)
    CONTEXT_NAME = (1, 1, 2)
    FULL = (2, 3, 2)
    NOT_NOW = (2, 3, 1)


WHY: Mapping[Verdict, str] = {
    Verdict.CALLED_UNKNOWN: "no site has the called AE title",
    Verdict.CALLING_UNKNOWN: "the caller may not do what it proposes, or not in clear from its address",
    Verdict.CONTEXT_NAME: "another application context name than the DICOM one",
    Verdict.FULL: "every place is taken and nobody is idle",
    Verdict.NOT_NOW: "the database cannot be asked; try again",
}
"""When an association is refused so."""

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"


@dataclass(frozen=True)
class Caller:
    """Who asks for an association, and for what."""

    calling_ae: str
    address: str
    application_context: str
    abstract_syntaxes: frozenset[str]


@dataclass(frozen=True)
class Listening:
    """What the called AE title is here: the site's modalities, and who may speak in clear.

    `in_clear` is None where any address may (loopback, or TLS); else the links that the site file allows.
    """

    modalities: frozenset[str]
    in_clear: tuple[LinkPlan, ...] | None = None
    may_tell: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What destinations may propose beside verification, by their AE titles: whether they keep images, when those can be read."""

    def welcomes(self, caller: Caller) -> bool:
        """True where the caller may speak here as it does: encrypted, from this machine, or named for it with its address."""
        return self.in_clear is None or any(
            link.sending_application == caller.calling_ae and link.takes_in_clear(caller.address)
            for link in self.in_clear
        )


def judge(caller: Caller, listening: Listening | None) -> Verdict:
    """Whether to take an association, before places are counted.

    A modality of the site is always taken. A destination that is asked for storage commitment, or that
    announces images, may do that and nothing else. Anybody may verify that the desk is there
    (C-ECHO) and nothing else: a worklist names patients, and images need a sender.
    """
    if caller.application_context != APPLICATION_CONTEXT:
        return Verdict.CONTEXT_NAME
    if listening is None:
        return Verdict.CALLED_UNKNOWN
    if not listening.welcomes(caller):
        return Verdict.CALLING_UNKNOWN
    if caller.calling_ae in listening.modalities or caller.abstract_syntaxes <= {VERIFICATION}:
        return Verdict.TAKEN
    if caller.abstract_syntaxes <= {VERIFICATION, *listening.may_tell.get(caller.calling_ae, ())}:
        return Verdict.TAKEN
    return Verdict.CALLING_UNKNOWN


@dataclass(frozen=True)
class Place:
    """One association that holds a place: whether a known modality has it, since when it has been idle (s), and who has it."""

    key: int
    is_known: bool
    idle_since: float | None
    peer: tuple[str, str] = ("", "")
    """Calling AE title and address."""


PLACES_OF_ONE_PEER_MAX = 32
"""Associations that one AE title at one address holds at a time: a machine that forgets to release keeps no other out."""


def make_room(
    places: Sequence[Place],
    *,
    is_known: bool,
    places_max: int,
    places_of_others_max: int,
    peer: tuple[str, str] = ("", ""),
) -> int | None:
    """Whose place a newcomer takes: the key of an association to end, -1 where a place is free, None where it must wait.

    A peer that holds as many as one may has only its own to give.

    Callers that are no modality of the site have at most `places_of_others_max`, so that
    the rest is kept for modalities. Of those that could give way, other callers go before
    modalities, and the one that has been idle the longest goes first; one at work never goes.
    """
    others = [place for place in places if not place.is_known]
    own = [place for place in places if place.peer == peer]
    if len(own) >= PLACES_OF_ONE_PEER_MAX:
        candidates: Sequence[Place] = own
    elif is_known:
        if len(places) < places_max:
            return -1
        candidates = places
    else:
        if len(others) < places_of_others_max and len(places) < places_max:
            return -1
        candidates = others
    idle = [
        (place.is_known, place.idle_since, place.key) for place in candidates if place.idle_since is not None
    ]
    return min(idle)[2] if idle else None
