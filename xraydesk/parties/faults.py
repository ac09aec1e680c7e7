"""What goes wrong in the box, on purpose: which of the mishaps that departments know, and when. Pure, by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

ONE_IN = 40
"""One exam in so many goes wrong."""

CALM_SECONDS = 240.0
"""So long after a start nothing goes wrong, so that whoever looks for the first time sees how it should be."""

LOG = "log.jsonl"
LOG_BYTES_MAX = 4_000_000


class Fault(StrEnum):
    """A mishap."""

    WRONG_ENTRY = "wrong worklist entry"
    WRONG_SIDE = "wrong side marker"
    UNSCHEDULED = "unscheduled trauma"
    BREAKDOWN = "room breaks down"
    DUPLICATE = "duplicate order"
    MOVED = "patient moved to another ward"
    CANCELLED_IN_ROOM = "order cancelled while in the room"
    TWICE = "message sent twice"


AT_MACHINES = (Fault.WRONG_ENTRY, Fault.WRONG_SIDE, Fault.UNSCHEDULED, Fault.BREAKDOWN)
AT_EHR = (Fault.DUPLICATE, Fault.MOVED, Fault.CANCELLED_IN_ROOM, Fault.TWICE)

SHOULD_NOTICE = {
    Fault.WRONG_ENTRY: "the exam that was begun by mistake is open again, and nothing of it is lost",
    Fault.WRONG_SIDE: "the images show another side than the order: the charge is held until somebody looks",
    Fault.UNSCHEDULED: "an exam without an order is put before a person",
    Fault.BREAKDOWN: "the room is down, and who was booked there is counted",
    Fault.DUPLICATE: "the second order is held in triage as a duplicate",
    Fault.MOVED: "the patient is fetched from the new bed",
    Fault.CANCELLED_IN_ROOM: "the cancellation is refused, the exam goes on, and a person is told",
    Fault.TWICE: "the message is stored once, and answered as before",
}


@dataclass(frozen=True)
class Done:
    """One mishap as it happened. `about` names what it happened to by the numbers that the outside knows."""

    at: str
    fault: Fault
    about: dict[str, str]
    done: str

    @property
    def should_notice(self) -> str:
        """What the desk should have noticed."""
        return SHOULD_NOTICE[self.fault]


def fault_of(seed: object, number: int, kinds: Sequence[Fault], one_in: int) -> Fault | None:
    """The mishap of the `number`-th exam of a party; None for most. In each run of `one_in` exams there is one.

    The kinds take turns in an order that the seed decides, so that each comes about as often as the others.
    """
    block, place = divmod(number, one_in)
    if Random(f"{seed} {block}").randrange(one_in) != place:
        return None
    order = list(kinds)
    Random(f"{seed} order {block // len(order)}").shuffle(order)
    return order[block % len(order)]


def note(folder: Path, done: Done) -> None:
    """Write a mishap down, for whoever asks afterwards. The log has a limit; what is older is kept once beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(folder / f"old-{LOG}")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(done)) + "\n")


def read(folder: Path) -> list[Done]:
    """Every mishap on record, the oldest first."""
    found = []
    for path in (folder / f"old-{LOG}", folder / LOG):
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                told = json.loads(line)
                found.append(Done(told["at"], Fault(told["fault"]), dict(told["about"]), told["done"]))
    return found
