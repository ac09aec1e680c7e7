"""What a sender says of how far an order is, beside where its exam stands here; pure.

Most of it is an echo of what the desk told, or says less than the desk knows. What contradicts it is for a person: the desk
neither ends nor begins anything because somebody elsewhere believes that it was.
"""

from __future__ import annotations

from enum import StrEnum

from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.stage import Stage


class Seen(StrEnum):
    """How its sender sees an order; the value completes a sentence."""

    GOING_ON = "going on"
    DONE = "completed"
    OVER = "cancelled"
    ON_HOLD = "on hold"


SEEN = {"CM": Seen.DONE, "CA": Seen.OVER, "DC": Seen.OVER, "RP": Seen.OVER, "HD": Seen.ON_HOLD}
"""ORC-5 (HL7 table 0038); every other one, and none, says that the order goes on."""

NOT_BEGUN = frozenset({Stage.ORDERED, Stage.HELD, Stage.SCHEDULED, Stage.ARRIVED, Stage.NO_SHOW})
BEGUN = frozenset({Stage.BEGUN, Stage.ENDED, Stage.READ})


def contradiction(status: str, stage: Stage) -> ItemKind | None:
    """What a person is asked because of a status (ORC-5); None where it fits, or where the desk knows better.

    An exam that was broken off, or cancelled here, is one that the sender hears of from the desk.
    """
    match SEEN.get(status, Seen.GOING_ON):
        case Seen.DONE if stage in NOT_BEGUN:
            return ItemKind.ORDER_SEEN_OTHERWISE
        case Seen.OVER if stage in NOT_BEGUN:
            return ItemKind.ORDER_SEEN_OTHERWISE
        case Seen.OVER if stage in BEGUN:
            return ItemKind.CANCEL_AFTER_START
        case Seen.ON_HOLD if stage in NOT_BEGUN - {Stage.HELD}:
            return ItemKind.ORDER_SEEN_OTHERWISE
        case _:
            return None


def asked_of_a_person(*, sender: str, placer: str, accession: str, status: str, stage: Stage) -> str:
    """The sentence of the item, for a status that contradicts the stage."""
    seen = SEEN[status]
    said = f"{sender} says that order {placer} is {seen}"
    match seen:
        case Seen.OVER if stage in BEGUN:
            return f"{said}, but exam {accession} has begun: it goes on. Tell the room if it should stop."
        case Seen.DONE:
            return f"{said}; here exam {accession} is not begun. Was it done elsewhere? Then cancel it here."
        case Seen.OVER:
            return f"{said}; here exam {accession} stands. Ask, then cancel it here or do it."
        case _:
            return f"{said}; here exam {accession} goes on. Ask, then hold it in triage or do it."
