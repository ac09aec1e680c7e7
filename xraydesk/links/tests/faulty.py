"""A feed that does what feeds do wrong, in fast time and by a seed: it delays, cuts, reorders, doubles and lies.

The simulated sender keeps what it believes of each order and patient. It sends until it is
answered, as senders do; in between the wire loses answers, cuts frames anywhere, puts noise
between them, repeats messages, swaps neighbours that travel over two connections, lets several come
at one moment over as many, and says the wrong character set. `check` holds what must be true after every fault, `settle` ends the feed
and `agrees` compares what the desk has with what the sender believes.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import F, Max, Min
from django.db.models.expressions import RawSQL

from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.links.hl7.framing import Broken, Deframer, Event, Fault, Frame, framed
from xraydesk.links.hl7.receive import Peer, Receiver, Taken
from xraydesk.links.hl7.tests.sent import adt, order
from xraydesk.links.models import Message
from xraydesk.links.states import Direction
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.scheduling.models import Booking

FRAME_BYTES_MAX = 1_000_000
RESENDS_MAX = 6
NAMES = ("Prüfer^Ada", "Ñandú^José", "Osei^Kwabena", "Müller^Jürgen")
HERE = Peer()


@dataclass
class Sent:
    """One message of the sender: its number, its bytes, how often it went."""

    control: str
    raw: bytes
    tries: int = 0


@dataclass
class Believed:
    """What the sender believes of one order."""

    patient: str
    state: str = "active"
    start: str = "202603021030"


@dataclass
class FaultyFeed:
    """The sender, the wire and the desk's receiver."""

    site: Site
    seed: int
    at: datetime
    receiver: Receiver = field(default_factory=Receiver)
    orders: dict[str, Believed] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What was there before this feed began is none of its business.
        self._orders_before = Order.objects.aggregate(last=Max("pk"))["last"] or 0
        self._patients_before = Patient.objects.aggregate(last=Max("pk"))["last"] or 0
        self._messages_before = Message.objects.aggregate(last=Max("pk"))["last"] or 0
        self.random = random.Random(self.seed)
        self._number = 0
        self._waiting: deque[Sent] = deque()
        self._done: list[Sent] = []

    def step(self) -> None:
        """Say one more thing, and let the wire do something with what waits."""
        self._say()
        if len(self._waiting) > 1 and self._chance(0.2):
            self._count("reordered")
            self._waiting[0], self._waiting[1] = self._waiting[1], self._waiting[0]
        if self._done and self._chance(0.1):
            self._count("repeated long after")
            self._travel([self.random.choice(self._done)])
        while self._waiting and self._chance(0.7):
            self._travel([self._waiting.popleft() for _ in range(self.random.randint(1, len(self._waiting)))])

    def settle(self) -> None:
        """Deliver whatever still waits."""
        while self._waiting:
            self._travel([self._waiting.popleft()], is_calm=True)

    def _chance(self, of: float) -> bool:
        return self.random.random() < of

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _next(self) -> str:
        self._number += 1
        return f"S{self.seed}-{self._number}"

    def _say(self) -> None:
        active = [p for p, o in self.orders.items() if o.state == "active"]
        what = self.random.choice(["new", "new", "new", "change", "cancel", "merge", "update"])
        if what == "new" or not active:
            self._new()
        elif what == "change":
            placer = self.random.choice(active)
            believed = self.orders[placer]
            believed.start = f"2026030{self.random.randint(3, 9)}1{self.random.randint(0, 5)}00"
            self._order(placer, believed, "XO")
        elif what == "cancel":
            placer = self.random.choice(active)
            self.orders[placer].state = "cancelled"
            self._order(placer, self.orders[placer], "CA")
        elif what == "merge":
            self._merge()
        else:
            self._queue(adt("A08", control=self._next(), patient=self.random.choice(self._standing())))

    def _standing(self) -> list[str]:
        return sorted({o.patient for o in self.orders.values()} - set(self.merged))

    def _new(self) -> None:
        placer = f"P{self.seed}-{len(self.orders) + 1}"
        patient = f"N{self.seed}-{self.random.randint(1, 12)}"
        believed = Believed(self.merged.get(patient, patient))
        self.orders[placer] = believed
        self._order(placer, believed, "NW")

    def _order(self, placer: str, believed: Believed, action: str) -> None:
        name = NAMES[hash_of(believed.patient) % len(NAMES)]
        lie = self._chance(0.2)
        text = order(
            control=self._next(),
            placer=placer,
            patient=believed.patient,
            action=action,
            start=believed.start,
            name=name,
            charset="8859/1" if lie else "UNICODE UTF-8",
        )
        if lie:
            self._count("lied about its character set")
        self._queue(text, "utf-8" if not lie or self._chance(0.5) else "iso8859-1")

    def _merge(self) -> None:
        standing = self._standing()
        if len(standing) < 2:
            return
        stays, goes = self.random.sample(standing, 2)
        for number, into in list(self.merged.items()):
            if into == goes:
                self.merged[number] = stays
        self.merged[goes] = stays
        for believed in self.orders.values():
            if believed.patient == goes:
                believed.patient = stays
        self._queue(adt("A40", control=self._next(), patient=stays, pv1=f"MRG|{goes}^^^HOSP^MR"))

    def _queue(self, text: str, encoding: str = "utf-8") -> None:
        control = text.split("|")[9]
        self._waiting.append(Sent(control, text.encode(encoding)))

    def _travel(self, messages: list[Sent], *, is_calm: bool = False) -> None:
        """Put messages on the wire, in frames and in whatever pieces; take what answers come back."""
        wire = b"".join(self._noise(is_calm) + framed(m.raw) for m in messages)
        if not is_calm and self._chance(0.2):
            self._count("cut off")
            wire = wire[: self.random.randint(0, len(wire))]
        if not is_calm and self._chance(0.15):
            self._count("doubled")
            wire += framed(messages[-1].raw)
        deframer = Deframer(FRAME_BYTES_MAX)
        events = []
        at = 0
        while at < len(wire):
            size = self.random.choice((1, 7, 64, 4096))
            events += deframer.feed(wire[at : at + size])
            at += size
        events += deframer.give_up(Fault.CUT_OFF)
        answers = b""
        # Every other time as if each frame had come over a connection of its own at once.
        together = self._together(events) if self._chance(0.5) else [None] * len(events)
        for event, taken in zip(events, together, strict=True):
            self.at += timedelta(seconds=self.random.choice((1, 30, 3600)))
            if taken is not None:
                answers += b"".join(taken)
            elif isinstance(event, Frame):
                answers += b"".join(self.receiver.receive(event.payload, peer=HERE, at=self.at))
            elif isinstance(event, Broken):
                answers += b"".join(self.receiver.receive_broken(event, peer=HERE, at=self.at))
        if not is_calm and self._chance(0.15):
            self._count("answers lost")
            answers = b""
        self._hear(answers, messages)

    def _together(self, events: list[Event]) -> list[tuple[bytes, ...] | None]:
        """The answers to those frames that the desk takes in one transaction; None for the rest."""
        frames = [event for event in events if isinstance(event, Frame)]
        found = iter(
            self.receiver.receive_together([Taken(frame.payload, HERE, self.at) for frame in frames])
        )
        return [next(found) if isinstance(event, Frame) else None for event in events]

    def _noise(self, is_calm: bool) -> bytes:
        if is_calm or not self._chance(0.1):
            return b""
        self._count("noise")
        return self.random.choice((b"\n", b"\x00", b"\r\n", b"noise "))

    def _hear(self, answers: bytes, messages: list[Sent]) -> None:
        told: dict[str, str] = {}
        for line in answers.decode("utf-8", "replace").replace("\n", "\r").split("\r"):
            fields = line.split("|")
            if fields[0] == "MSA" and len(fields) > 2:
                told[fields[2]] = fields[1]
        again = []
        for message in messages:
            code = told.get(message.control)
            message.tries += 1
            if code == "AA":
                self.acknowledged[message.control] = message.raw
                self.refused.discard(message.control)
                self._done.append(message)
            elif code is not None and message.tries > RESENDS_MAX:
                self.refused.add(message.control)
            else:
                # Not answered, or refused because what it builds on is still on its way: again, behind the others.
                again.append(message)
        self._waiting.extend(again)

    def check(self) -> None:
        """What must be true after every fault."""
        rows = Message.objects.filter(
            pk__gt=self._messages_before, control_id__startswith=f"S{self.seed}-", direction=Direction.IN
        )
        kept = dict(rows.values_list("control_id", "raw"))
        for control, raw in self.acknowledged.items():
            assert bytes(kept[control]) == raw, f"{control} was acknowledged and is not kept as it came"
        assert rows.count() == len(kept), "a message is stored twice"
        told_of = Item.objects.filter(closed_at=None).exclude(message=None).values("message")
        untold = rows.exclude(state__in=("applied", "kept, nothing to do")).exclude(pk__in=told_of)
        assert not untold.exists(), f"nobody is told of {untold.values_list('control_id', flat=True)[0]}"
        orders = Order.objects.filter(pk__gt=self._orders_before)
        placers = orders.values_list("placer", flat=True)
        assert len(placers) == len(set(placers)), "an order is there twice"
        mine = Patient.objects.filter(pk__gt=self._patients_before)
        for model in (Order, Exam, Booking):
            gone = model.objects.filter(patient__in=mine.filter(merged_into__isnull=False))
            assert not gone.exists(), f"a record that went still has {model.__name__}s"
        assert not mine.filter(merged_into__merged_into__isnull=False).exists(), "a chain of merges"
        exams = Exam.objects.filter(order__in=orders)
        assert not exams.exclude(patient=F("order__patient")).exists(), (
            "an exam of another patient than its order's"
        )
        assert not orders.filter(exams=None).exists(), "an order without an exam"
        told = Fact.objects.filter(kind=FactKind.ORDER_RECEIVED, accession__in=exams.values("accession"))
        assert told.count() == exams.count(), "an exam came that nothing tells of, or more than once"
        first = told.aggregate(first=Min("pk"))["first"] or 0
        assert not told.exclude(pk__in=_followed(first)).exists(), "nothing follows from an order that came"

    def agrees(self) -> None:
        """At the end, when everything was delivered: the desk has what the sender believes."""
        self.check()
        mine = Order.objects.filter(placer__startswith=f"P{self.seed}-")
        found = {o.placer: o for o in mine.select_related("patient")}
        assert set(found) == set(self.orders)
        owners = dict(
            PatientIdentifier.objects.filter(patient__merged_into=None).values_list("value", "patient_id")
        )
        for placer, believed in self.orders.items():
            assert found[placer].state == believed.state, placer
            assert found[placer].patient_id == owners[believed.patient], placer
            if believed.state == "active":
                name = NAMES[hash_of(believed.patient) % len(NAMES)].split("^")[0]
                assert found[placer].patient.family in (name, "Prüfer"), placer


def _followed(first: int) -> RawSQL:
    """The facts from `first` on from which something follows."""
    return RawSQL(
        "SELECT (args->>'fact_id')::bigint FROM procrastinate_jobs"
        " WHERE task_name = 'react' AND (args->>'fact_id')::bigint >= %s",
        (first,),
    )


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(text.encode())
