"""What goes wrong in the box, on purpose: which of the mishaps that departments know, and when; by seed.

Every exam is counted once, by whichever party meets it first: the EHR those that it orders, the machines those that
were booked before. In each run of ONE_IN of them one mishap falls due, the kinds taking turns; it is done to the next
exam that it can happen to, so that none is lost to an exam that has no side, or to a patient who lies on no ward.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

ONE_IN = 40
"""One exam in so many goes wrong."""

ANSWERS_ONE_IN = 60
"""One answer in so many to what the desk tells the EHR goes wrong, and one in so many to what it asks or writes by FHIR."""

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
    LATE_ORDER = "late order after the image"
    NO_SHOW = "patient does not come"
    ANSWER_LATE = "answer comes late"
    ANSWER_LOST = "hung up before the answer"
    ANSWER_TWICE = "answered twice"
    ANSWER_AE = "answered AE"
    ANSWER_AR = "answered AR"
    AWAY = "EHR away"
    FHIR_LATE = "FHIR: answered late"
    FHIR_BUSY = "FHIR: answered 503"
    FHIR_MANY = "FHIR: answered 429"
    FHIR_CUT = "FHIR: answer cut off"
    FHIR_PAGE = "FHIR: answered a web page"
    FHIR_EXPIRED = "FHIR: token ended early"
    FHIR_ELSEWHERE = "FHIR: next page lies elsewhere"
    FHIR_TWICE = "FHIR: listed twice"


AT_MACHINES = (
    Fault.WRONG_ENTRY,
    Fault.WRONG_SIDE,
    Fault.UNSCHEDULED,
    Fault.BREAKDOWN,
    Fault.LATE_ORDER,
    Fault.NO_SHOW,
)
AT_EHR = (Fault.DUPLICATE, Fault.MOVED, Fault.CANCELLED_IN_ROOM, Fault.TWICE)
TO_EXAMS = (*AT_EHR, *AT_MACHINES)
TO_ANSWERS = (
    Fault.ANSWER_LATE,
    Fault.ANSWER_AE,
    Fault.ANSWER_LOST,
    Fault.ANSWER_TWICE,
    Fault.ANSWER_AR,
)
"""What the EHR does wrong with a message of the desk; its times of absence come beside them."""

TO_SEARCHES = (Fault.FHIR_ELSEWHERE, Fault.FHIR_TWICE)
TO_FHIR = (
    Fault.FHIR_LATE,
    Fault.FHIR_CUT,
    Fault.FHIR_TWICE,
    Fault.FHIR_BUSY,
    Fault.FHIR_EXPIRED,
    Fault.FHIR_ELSEWHERE,
    Fault.FHIR_MANY,
    Fault.FHIR_PAGE,
)
"""What the EHR does wrong with a request of the desk by FHIR; two of them only with a page of what was searched for."""

SHOULD_NOTICE = {
    Fault.WRONG_ENTRY: "the exam that was begun by mistake is open again, and nothing of it is lost",
    Fault.WRONG_SIDE: "the images show another side than the order: the charge is held until somebody looks",
    Fault.UNSCHEDULED: "an exam without an order is put before a person",
    Fault.BREAKDOWN: "the room is down, and who was booked there is counted",
    Fault.DUPLICATE: "the second order is held in triage as a duplicate",
    Fault.MOVED: "the patient is fetched from the new bed",
    Fault.CANCELLED_IN_ROOM: "the cancellation is refused, the exam goes on, and a person is told",
    Fault.TWICE: "the message is stored once, and answered as before",
    Fault.LATE_ORDER: "the order is joined to the exam that was done, or a person is asked; it is not booked",
    Fault.NO_SHOW: "somebody says so: the place is free, the day counts it, and who comes after all is expected again",
    Fault.ANSWER_LATE: "nothing else is sent to it meanwhile, and the message goes once",
    Fault.ANSWER_LOST: "the message goes again with its number, before any other",
    Fault.ANSWER_TWICE: "the second answer is passed over, and taken for no other message's",
    Fault.ANSWER_AE: "a person is told why, of a charge where it is held; the messages behind it go on",
    Fault.ANSWER_AR: "a person is told why, of a charge where it is held; the messages behind it go on",
    Fault.AWAY: "what is to be told waits in order and goes once it is back; after ten minutes a person is told",
    Fault.FHIR_LATE: "the desk waits, and what was asked or written comes about once",
    Fault.FHIR_BUSY: "it is tried again, and no sooner than the EHR asks for",
    Fault.FHIR_MANY: "it is tried again, and no sooner than the EHR asks for",
    Fault.FHIR_CUT: "it is tried again: what was written already is written once, what was read already is taken in once",
    Fault.FHIR_PAGE: "nothing is taken from it, and it is tried again",
    Fault.FHIR_EXPIRED: "the desk signs in anew and goes on at once",
    Fault.FHIR_ELSEWHERE: "nobody is asked there; the search begins anew",
    Fault.FHIR_TWICE: "each version of an order or patient is taken in once",
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
    """The mishap that falls due with the `number`-th exam; None for most. In each run of `one_in` exams there is one.

    The kinds take turns in an order that the seed decides, so that each comes about as often as the others.
    """
    block, place = divmod(number, one_in)
    if Random(f"{seed} {block}").randrange(one_in) != place:
        return None
    order = list(kinds)
    Random(f"{seed} order {block // len(order)}").shuffle(order)
    return order[block % len(order)]


DUE_MAX = 20
"""So many mishaps wait for an exam that they can happen to; what is more is left out."""

CHANCES = "chances.json"


class Chances:
    """How many exams the parties have met, and the mishaps that are due; one for all processes of a home, kept in it."""

    def __init__(self, folder: Path, *, seed: object, one_in: int) -> None:
        self.folder, self.seed, self.one_in = folder, seed, one_in

    @contextmanager
    def _kept(self) -> Iterator[tuple[dict[str, int], list[Fault]]]:
        """The counts and what is due, to be changed; nobody else has them meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / CHANCES
        with (self.folder / f"{CHANCES}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            counts = {"exams": int(told.get("exams", 0)), "taken": int(told.get("taken", 0))}
            due = [Fault(one) for one in told.get("due", ())]
            yield counts, due
            new = path.with_suffix(".new")
            new.write_text(json.dumps(counts | {"due": due[:DUE_MAX]}), encoding="utf-8")
            new.replace(path)

    def met(self) -> None:
        """One more exam, whoever has met it first."""
        if not self.one_in:
            return
        with self._kept() as (counts, due):
            fault = fault_of(self.seed, counts["exams"], TO_EXAMS, self.one_in)
            counts["exams"] += 1
            if fault is not None:
                due.append(fault)

    def take(self, possible: Collection[Fault]) -> Fault | None:
        """The mishap that is to be done now, of those that can be; None mostly."""
        if not self.one_in:
            return None
        with self._kept() as (counts, due):
            fault = next((one for one in due if one in possible), None)
            if fault is not None:
                due.remove(fault)
                counts["taken"] += 1
            return fault

    def give_back(self, fault: Fault) -> None:
        """It could not be done after all: another exam has it."""
        with self._kept() as (counts, due):
            due.insert(0, fault)
            counts["taken"] -= 1

    def counts(self) -> dict[str, int]:
        """How many exams were met, and how many mishaps were done to them."""
        with self._kept() as (counts, _):
            return dict(counts)


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
