"""The simulated EHR: it admits, registers and moves patients, and orders their exams, over MLLP; a practice orders by FHIR."""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import structlog

from xraydesk.lib import clock
from xraydesk.parties import late
from xraydesk.parties.department import EHR_PATIENTS, Department
from xraydesk.parties.earlier import leave_note
from xraydesk.parties.faults import Done, Fault, note
from xraydesk.parties.inbox import begun
from xraydesk.parties.mllp import Sender, escaped
from xraydesk.parties.practice import Practice
from xraydesk.siteplan.invented import PROVIDERS, Person, invent, reason_for
from xraydesk.siteplan.plan import ProcedurePlan

log = structlog.get_logger("parties.ehr")

ORDERS_AT_FIRST = 10
"""Sent in the first half minute, so that there is something to see."""

SECONDS_BETWEEN_ORDERS = (70, 150)
"""25 to 30 orders an hour."""

BY_FHIR_SHARE = 0.4
"""So many of the outpatients come from a practice whose orders go by FHIR, where there is one."""

LATE_LOOK_SECONDS = 5.0
PEOPLE_KEPT_MAX = 400
NEVER_AGAIN_SOON = 25
"""Who was ordered an exam is not ordered another within so many patients: nobody is in two rooms at once."""
CANCEL_TRIES = 360
"""So often, every five seconds, it is asked whether an exam that is to be cancelled has begun."""

RETRIES_MAX = 120
"""A message is sent again until the desk answers: for about five minutes."""


@dataclass
class Ehr:
    """One running EHR. `pending` is what it will do, by time."""

    department: Department
    random: Random
    sender: Sender
    still_wanted: Callable[[], bool] = lambda: True
    practice: Practice | None = None
    people: list[Person] = field(default_factory=list)
    pending: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    order_of: itertools.count[int] = field(default_factory=itertools.count)
    number: int = 0
    started: float = field(default_factory=time.monotonic)

    # ---- what goes wrong ------------------------------------------------------------------

    def next_fault(self, person: Person, priority: str) -> Fault | None:
        """The mishap of the order that was just sent; None for most."""
        chances = self.department.chances
        chances.met()
        if time.monotonic() - self.started < self.department.calm_seconds:
            return None
        possible = {Fault.DUPLICATE, Fault.TWICE}
        if person.patient_class == "I":
            possible.add(Fault.MOVED)
        if priority != "R":
            possible.add(Fault.CANCELLED_IN_ROOM)
        return chances.take(possible)

    def went_wrong(self, fault: Fault, done: str, **about: str) -> None:
        """Write down a mishap."""
        log.info("on purpose", fault=str(fault))
        note(self.department.folder, Done(f"{clock.now():%Y-%m-%dT%H:%M:%S%z}", fault, about, done))

    def go_wrong(
        self, fault: Fault, person: Person, procedure: ProcedurePlan, placer: str, segments: list[str]
    ) -> None:
        """Do a mishap to an order that was just sent."""
        match fault:
            case Fault.DUPLICATE:

                def again() -> None:
                    side = side_of(segments)
                    second = self.order(person, procedure, "R", None, side=side, may_go_wrong=False)
                    self.went_wrong(
                        fault, f"ordered {procedure.code} again under another number", placer=second
                    )

                self.later(self.random.uniform(15, 40), again)
            case Fault.MOVED:

                def move() -> None:
                    self.transfer(person)
                    self.went_wrong(fault, f"moved to {person.ward}", patient=person.number, placer=placer)

                self.later(self.random.uniform(20, 60), move)
            case Fault.CANCELLED_IN_ROOM:
                self.later(5, lambda: self.cancel_once_begun(placer, segments, tries=CANCEL_TRIES))
            case Fault.TWICE:
                self.send(segments)
                number = segments[0].split("|")[9]
                self.went_wrong(fault, "sent the very same message again", control_id=number, placer=placer)
            case _:
                pass

    def order_late(self, what: late.ToOrder) -> None:
        """Order what a machine did before there was an order."""
        procedure = next(p for p in self.department.plan.procedures if p.code == what.code)
        self.adt("A04", what.person)
        placer = self.order(what.person, procedure, "S", None, side=what.side, may_go_wrong=False)
        self.went_wrong(
            Fault.LATE_ORDER,
            f"ordered {what.code} after its images were made",
            patient=what.person.number,
            placer=placer,
        )

    def cancel_once_begun(self, placer: str, segments: list[str], *, tries: int) -> None:
        """Cancel an order as soon as this EHR was told that its exam has begun; not at all where that takes too long."""
        if placer not in begun(self.department):
            if tries:
                self.later(5, lambda: self.cancel_once_begun(placer, segments, tries=tries - 1))
            else:
                self.department.chances.give_back(Fault.CANCELLED_IN_ROOM)
            return
        application = self.department.orders_link.sending_application
        orc = f"ORC|CA|{placer}^{application}"
        self.went_wrong(Fault.CANCELLED_IN_ROOM, "cancelled an order whose exam had begun", placer=placer)
        self.send([self.header("ORM^O01^ORM_O01"), *segments[1:3], orc, segments[-1]])

    # ---- numbers, kept over restarts so that none is given out twice ------------------

    def next_number(self) -> int:
        """The next number of the EHR, never given out before."""
        self.number += 1
        path = self.department.folder / "ehr.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"number": self.number}), encoding="utf-8")
        new.replace(path)
        return self.number

    def read_number(self) -> None:
        """Go on from the last run's numbers."""
        self.department.folder.mkdir(parents=True, exist_ok=True)
        path = self.department.folder / "ehr.json"
        self.number = json.loads(path.read_text(encoding="utf-8"))["number"] if path.exists() else 4000

    # ---- messages -----------------------------------------------------------------------

    def header(self, kind: str) -> str:
        """MSH of a new message."""
        link = self.department.orders_link
        now = self.department.wall().strftime("%Y%m%d%H%M%S")
        return (
            f"MSH|^~\\&|{link.sending_application}|{link.sending_facility}|{link.receiving_application}|"
            f"{link.receiving_facility}|{now}||{kind}|EHR{self.next_number():08d}|P|2.5.1||||||UNICODE UTF-8"
        )

    def pid(self, person: Person) -> str:
        """PID of a patient."""
        authority = self.department.plan.assigning_authority
        name = f"{escaped(person.family)}^{escaped(person.given)}"
        return (
            f"PID|1||{person.number}^^^{authority}^MR||{name}||{person.birth_date:%Y%m%d}|{person.sex}|||"
            f"{1 + int(person.number) % 90} Harbour Road^^Northport||(555)555-{int(person.number) % 10000:04d}"
        )

    def pv1(self, person: Person) -> str:
        """PV1: where the patient is, and as what."""
        return f"PV1|1|{person.patient_class}|{person.ward}^^{person.bed}||||||||||||||||{person.visit}"

    def adt(self, event: str, person: Person) -> None:
        """Tell of a patient."""
        now = self.department.wall().strftime("%Y%m%d%H%M%S")
        self.send([self.header(f"ADT^{event}"), f"EVN|{event}|{now}", self.pid(person), self.pv1(person)])

    def order(
        self,
        person: Person,
        procedure: ProcedurePlan,
        priority: str,
        wished: datetime | None,
        *,
        side: str | None = None,
        may_go_wrong: bool = True,
    ) -> str:
        """Order one exam; its placer number."""
        placer = f"E{self.next_number():07d}"
        when = wished.strftime("%Y%m%d%H%M%S") if wished else ""
        provider_id, family, given = self.random.choice(PROVIDERS)
        doctor = f"{provider_id}^{escaped(family)}^{escaped(given)}^^^Dr"
        if side is None:
            side = self.random.choice([s for s in procedure.laterality if s != "B"] or [""])
        words = (
            {"L": "Left ", "R": "Right ", "": ""}[side] + procedure.text.lower() if side else procedure.text
        )
        application = self.department.orders_link.sending_application
        reason = escaped(reason_for(self.random, procedure.body_part or procedure.text))
        transport = {"I": self.random.choice(["WHLC", "CART"]), "E": "CART"}.get(person.patient_class, "WALK")
        modifier = {"L": "LT", "R": "RT", "": ""}[side]
        obr = [""] * 46
        obr[0], obr[1], obr[2] = "OBR", "1", f"{placer}^{application}"
        obr[4] = f"{procedure.code}^{escaped(words)}^{procedure.system}"
        obr[16], obr[30], obr[31], obr[36], obr[45] = doctor, transport, reason, when, modifier
        segments = [
            self.header("ORM^O01^ORM_O01"),
            self.pid(person),
            self.pv1(person),
            f"ORC|NW|{placer}^{application}|||||1^^^{when}^^{priority}||"
            f"{self.department.wall():%Y%m%d%H%M%S}|||{doctor}",
            f"TQ1|1||||||{when}||{priority}",
            "|".join(obr).rstrip("|"),
        ]
        leave_note(self.department, person, procedure, side)
        self.send(segments)
        fault = self.next_fault(person, priority) if may_go_wrong else None
        if fault is not None:
            self.go_wrong(fault, person, procedure, placer, segments)
        return placer

    def order_by_fhir(self, person: Person, procedure: ProcedurePlan, wished: datetime | None) -> str:
        """Order one exam by FHIR alone; its placer number."""
        assert self.practice is not None
        placer = f"E{self.next_number():07d}"
        leave_note(self.department, person, procedure, "")
        self.practice.order(person, procedure, placer, wished)
        self.department.chances.met()
        return placer

    def send(self, segments: list[str]) -> None:
        """Send a message until the desk has answered it."""
        message = "\r".join(segments) + "\r"
        for attempt in range(RETRIES_MAX):
            try:
                code = self.sender.ask(message)
            except OSError:
                if not self.still_wanted():
                    return
                time.sleep(min(1 + attempt / 10, 3))
                continue
            if code != "AA":
                log.warning("message refused", code=code, type=segments[0].split("|")[8])
            return
        log.error("message given up", type=segments[0].split("|")[8], attempts=RETRIES_MAX)

    # ---- what happens -------------------------------------------------------------------

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self.pending, (time.monotonic() + seconds, next(self.order_of), what))

    def somebody(self) -> Person:
        """A patient: mostly a new one, sometimes one who was here before."""
        earlier = self.people[:-NEVER_AGAIN_SOON]
        if earlier and self.random.random() < 0.15:
            return self.random.choice(earlier)
        person = invent(self.random, f"{EHR_PATIENTS}{self.next_number():06d}", self.department.wall().date())
        self.people = [*self.people[-PEOPLE_KEPT_MAX:], person]
        return person

    def procedures_for(self, portable: bool) -> list[ProcedurePlan]:
        """Procedures that no person has to be asked about before they are booked."""
        return [
            p
            for p in self.department.plan.procedures
            if not p.pregnancy_check
            and not p.sex
            and p.age_min_years is None
            and p.age_max_years is None
            and (p.room_kinds == ("portable",)) is portable
        ]

    def outpatient(self, minutes_ahead: float, arrives_in_seconds: float) -> None:
        """An outpatient is ordered an exam and comes to the desk."""
        person = self.somebody()
        person.patient_class, person.ward, person.bed = "O", "", ""
        wished = self.department.wall() + timedelta(minutes=minutes_ahead)
        procedure = self.random.choice(self.procedures_for(False))
        if self.practice is not None and self.random.random() < BY_FHIR_SHARE:
            self.order_by_fhir(person, procedure, wished)
        else:
            self.order(person, procedure, "R", wished)
        self.later(arrives_in_seconds, lambda: self.adt("A04", person))

    def emergency(self) -> None:
        """Someone in the emergency department needs an exam now."""
        person = self.somebody()
        wards = [ward for ward in self.department.plan.wards if ward.emergency]
        person.patient_class = "E"
        person.ward = wards[0].code if wards else "ED"
        person.bed = str(self.random.randint(1, 12))
        self.adt("A04", person)
        priority = self.random.choice(["S", "S", "A"])
        self.order(person, self.random.choice(self.procedures_for(False)), priority, None)

    def inpatient(self) -> None:
        """Someone on a ward is admitted and ordered an exam, sometimes at the bedside."""
        person = self.somebody()
        wards = [ward for ward in self.department.plan.wards if not ward.emergency]
        if person.patient_class != "I":
            person.patient_class = "I"
            person.ward = self.random.choice(wards).code if wards else "W1"
            person.bed = str(self.random.randint(1, 24))
            self.adt("A01", person)
        portable = self.random.random() < 0.4 and bool(self.procedures_for(True))
        self.order(person, self.random.choice(self.procedures_for(portable)), self.random.choice("RRA"), None)
        if wards and self.random.random() < 0.1:
            self.later(self.random.uniform(60, 600), lambda: self.transfer(person))

    def transfer(self, person: Person) -> None:
        """An inpatient moves to another bed."""
        wards = [ward for ward in self.department.plan.wards if not ward.emergency]
        others = [ward for ward in wards if ward.code != person.ward] or wards
        person.ward, person.bed = self.random.choice(others).code, str(self.random.randint(1, 24))
        self.adt("A02", person)

    def one_order(self) -> None:
        """One order, of a class and priority that departments see, and the next one after a while."""
        kind = self.random.random()
        if kind < 0.2:
            self.emergency()
        elif kind < 0.5:
            self.inpatient()
        elif kind < 0.75:
            self.outpatient(self.random.uniform(5, 20), self.random.uniform(30, 500))
        else:
            ahead = self.random.uniform(30, 240)
            self.outpatient(ahead, ahead * 60 + self.random.uniform(-900, 300))
        self.later(self.random.uniform(*SECONDS_BETWEEN_ORDERS), self.one_order)

    def first_minutes(self) -> None:
        """A start that shows every stage soon: some who are due now, some later in the day."""
        soon = [
            self.emergency,
            lambda: self.outpatient(1, 8),
            lambda: self.outpatient(2, 25),
            self.inpatient,
            lambda: self.outpatient(6, 50),
            self.emergency,
            lambda: self.outpatient(12, 80),
            self.inpatient,
            lambda: self.outpatient(25, 110),
            lambda: self.outpatient(90, 5000),
        ]
        for number, what in enumerate(soon[:ORDERS_AT_FIRST]):
            self.later(1 + 2.5 * number, what)
        self.later(40, self.one_order)


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the EHR until nobody wants it any more."""
    random = Random(department.seed + int(clock.now().timestamp() // 60))
    with Sender(department.mllp) as sender:
        practice = Practice(department, department.doors[0], random) if department.doors else None
        ehr = Ehr(department, random, sender, still_wanted, practice)
        ehr.read_number()
        ehr.first_minutes()
        look_at = time.monotonic()
        while still_wanted():
            if ehr.pending and ehr.pending[0][0] <= time.monotonic():
                heapq.heappop(ehr.pending)[2]()
            elif time.monotonic() > look_at:
                for what in late.take(department.folder):
                    ehr.order_late(what)
                look_at = time.monotonic() + LATE_LOOK_SECONDS
            else:
                time.sleep(0.2)


def side_of(segments: list[str]) -> str:
    """The side that an order names by its modifier (OBR-45): L, R, or nothing."""
    obr = next((segment for segment in segments if segment.startswith("OBR|")), "").split("|")
    return {"LT": "L", "RT": "R"}.get(obr[45] if len(obr) > 45 else "", "")
