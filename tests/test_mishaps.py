"""Each mishap of the demonstration is noticed: the simulated parties of one desk do what they are told, one at a time.

Its EHR has a port of its own: desks of other tests would tell it of their exams.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydicom.dataset import Dataset

from tests.database import with_tables
from tests.running import Desk, collect_sockets, free_ports, hospital_file, running_desk, until
from xraydesk.parties import fhir_server, late, modality
from xraydesk.parties.department import Department, read_department
from xraydesk.parties.ehr import Ehr
from xraydesk.parties.faults import TO_ANSWERS, TO_FHIR, Fault
from xraydesk.parties.fhir_server import opened, served
from xraydesk.parties.front_desk import staffed
from xraydesk.parties.inbox import Inbox, listening
from xraydesk.parties.mllp import Sender
from xraydesk.parties.modality import Machine, may_stay_away
from xraydesk.parties.practice import Practice
from xraydesk.parties.readers import NO_ANSWER_SHARE, Reader
from xraydesk.parties.reports import Reading, Reports, link_of
from xraydesk.parties.technologist import hired
from xraydesk.parties.web import signed_in_as
from xraydesk.siteplan.invented import Person, said_of
from xraydesk.siteplan.plan import ProcedurePlan

pytestmark = pytest.mark.link


def no_wait(seconds: float) -> bool:
    """Time does not matter to what the desk notices."""
    return True


class Box:
    """The parties of one desk, each doing what it is told."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.department: Department = read_department(desk.home)
        self.ehr = Ehr(self.department, Random(1), Sender(self.department.mllp))
        self.ehr.read_number()
        (self.door,) = self.department.doors
        self.ehr.practice = Practice(self.department, self.door, Random(4))
        self.absent = self.ordered("XRCHESTP")[2]
        """The order of somebody who does not come; made first, so that nobody waits here for its time."""

    def machine(self, ae_title: str) -> Machine:
        plan = next(m for m in self.department.plan.modalities if m.ae_title == ae_title)
        return Machine(self.department, plan, Random(2), hired(self.desk.home, self.department.http))

    def procedure(self, code: str) -> ProcedurePlan:
        return next(p for p in self.department.plan.procedures if p.code == code)

    def exam(self, placer: str) -> dict[str, Any]:
        """The exam of an order, once it has its place."""

        def found() -> dict[str, Any] | None:
            lines = self.desk.cli("exam", "list", "--all", "--placer", placer, "--json").stdout.splitlines()
            exams = [json.loads(line) for line in lines]
            return exams[0] if exams and exams[0]["ae_title"] else None

        assert until(lambda: found() is not None, seconds=120)
        exam = found()
        assert exam is not None
        return exam

    def ordered(self, code: str, *, lying: bool = False) -> tuple[Person, ProcedurePlan, str]:
        person = self.ehr.somebody()
        if lying:
            person.patient_class, person.ward, person.bed = "I", "W3", "7"
            self.ehr.adt("A01", person)
        procedure = self.procedure(code)
        return person, procedure, self.ehr.order(person, procedure, "R", None, may_go_wrong=False)

    def entry(self, exam: dict[str, Any]) -> tuple[Machine, Dataset]:
        machine = self.machine(exam["ae_title"])
        entries = machine.worklist(self.department.wall())
        return machine, next(e for e in entries if e.AccessionNumber == exam["accession"])

    def sent_order(self, code: str) -> tuple[Person, ProcedurePlan, str, list[str]]:
        """A new order, and its message as it went."""
        person, procedure = self.ehr.somebody(), self.procedure(code)
        sent: list[list[str]] = []
        send = self.ehr.send

        def keep(segments: list[str]) -> None:
            sent.append(segments)
            send(segments)

        self.ehr.send = keep  # type: ignore[method-assign]
        placer = self.ehr.order(person, procedure, "R", None, may_go_wrong=False)
        self.ehr.send = send  # type: ignore[method-assign]
        return person, procedure, placer, sent[0]

    def do_what_is_pending(self) -> None:
        """Everything that the EHR meant to do later, now."""
        while self.ehr.pending:
            self.ehr.pending.pop(0)[2]()

    def log(self) -> dict[str, dict[str, Any]]:
        lines = self.desk.cli("parties", "log", "--json").stdout.splitlines()
        return {row["fault"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder: Path = tmp_path_factory.mktemp("mishaps")
    folder.chmod(0o711)
    file = hospital_file(folder, pacs=free_ports(1)[0])
    with running_desk(with_tables(folder), "--demo", "--demo-quiet", "--site", str(file)) as desk:
        made = Box(desk)
        yield made
        made.ehr.sender.close()
    collect_sockets()


def noticed(box: Box, fault: Fault) -> str:
    """How the desk noticed, as the log tells it."""
    assert until(lambda: box.log().get(fault.value, {}).get("noticed"), seconds=120), box.log().get(
        fault.value
    )
    return str(box.log()[fault.value]["how"])


def test_a_duplicate_order_is_held(box: Box) -> None:
    person, procedure, placer = box.ordered("XRCHEST2")
    box.exam(placer)
    box.ehr.go_wrong(Fault.DUPLICATE, person, procedure, placer, [])
    box.do_what_is_pending()
    assert "held in triage" in noticed(box, Fault.DUPLICATE)


def test_a_message_sent_twice_is_stored_once(box: Box) -> None:
    box.ehr.go_wrong(Fault.TWICE, *box.sent_order("XRHAND"))
    assert "seen twice" in noticed(box, Fault.TWICE)


def test_a_patient_who_moved_is_known_in_the_new_bed(box: Box) -> None:
    person, procedure, placer = box.ordered("XRCHEST1", lying=True)
    box.exam(placer)
    box.ehr.go_wrong(Fault.MOVED, person, procedure, placer, [])
    box.do_what_is_pending()
    assert "patient moved" in noticed(box, Fault.MOVED)


def test_a_wrong_worklist_entry_is_opened_again(box: Box) -> None:
    machine, wrong = box.entry(box.exam(box.ordered("XRCHESTP")[2]))
    machine.begin_by_mistake(wrong, no_wait)
    assert noticed(box, Fault.WRONG_ENTRY)


def test_a_wrong_side_marker_holds_the_charge(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, entry = box.entry(box.exam(box.ordered("XRKNEE2")[2]))
    monkeypatch.setattr(Machine, "next_fault", lambda self, entry: Fault.WRONG_SIDE)
    machine.perform(entry, no_wait)
    assert "charge held" in noticed(box, Fault.WRONG_SIDE)


def test_somebody_without_an_order_is_put_before_a_person(box: Box) -> None:
    box.machine("XR4").go_wrong(Fault.UNSCHEDULED, Dataset(), no_wait)
    assert "exam without an order" in noticed(box, Fault.UNSCHEDULED)


def test_an_order_that_comes_after_its_images_is_joined_and_booked_nowhere(box: Box) -> None:
    assert box.machine("XR5").go_wrong(Fault.LATE_ORDER, Dataset(), no_wait)
    (what,) = late.take(box.department.folder, now=time.time() + 600)
    box.ehr.order_late(what)
    assert "order came late" in noticed(box, Fault.LATE_ORDER)
    placer = box.log()[Fault.LATE_ORDER.value]["about"]["placer"]
    lines = box.desk.cli("exam", "list", "--all", "--placer", placer, "--json").stdout.splitlines()
    stages = sorted(json.loads(line)["stage"] for line in lines)
    assert stages in (["cancelled", "ended"], ["cancelled", "images in"])


def test_somebody_who_does_not_come_is_a_no_show(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, entry = box.entry(box.exam(box.absent))
    assert may_stay_away(entry)
    monkeypatch.setattr(Machine, "next_fault", lambda self, entry: Fault.NO_SHOW)
    monkeypatch.setattr(modality, "NO_SHOW_AFTER_SECONDS", 0.0)
    machine.front_desk = staffed(box.desk.home, box.department.http)
    machine.perform(entry, lambda seconds: time.sleep(seconds) is None)
    assert "no-show" in noticed(box, Fault.NO_SHOW)
    assert box.exam(box.absent)["stage"] == "no-show"


def test_readers_call_the_next_person_where_the_first_does_not_answer_until_it_is_read_back(box: Box) -> None:
    machine, entry = box.entry(box.exam(box.ordered("XRCHEST2")[2]))
    machine.perform(entry, no_wait)
    accession = str(entry.AccessionNumber)
    note = {
        "accession": accession,
        "patient_id": str(entry.PatientID),
        "patient_name": str(entry.PatientName),
        "birth_date": str(entry.PatientBirthDate),
        "sex": str(entry.PatientSex),
    }
    reading = Reading(note, Path(), 0.0, said=said_of("CHEST", critical=True), critical=True)
    reports = Reports(box.department, link_of(box.department), Random(1), box.ehr.sender)
    assert box.ehr.sender.ask(reports.message(reading, "F")) == "AA"
    browser = signed_in_as("radiologist", box.desk.home, box.department.http)
    assert browser is not None
    reader = Reader(browser, Random(1))
    first_does_not_answer = next(seed for seed in range(100) if Random(seed).random() < 0.1 < NO_ANSWER_SHARE)
    reader.work(0.0)
    reader.random = Random(first_does_not_answer)
    reader.due = dict.fromkeys(reader.due, 0.0)
    for number in list(reader.due):
        reader.press(number)
    for number in list(reader.due):
        reader.calls[number] = 2
        reader.press(number)
    shown = json.loads(box.desk.cli("exam", "show", accession, "--json").stdout)
    kinds = [fact["kind"] for fact in shown["facts"]]
    assert "passed to the next person" in kinds
    assert kinds.index("somebody was called") < kinds.index("read back")
    assert kinds[-1] in ("read back", "charged", "charge held")


def test_a_room_that_breaks_down_is_down_and_ready_again(box: Box) -> None:
    box.machine("XR6").go_wrong(Fault.BREAKDOWN, Dataset(), no_wait)
    assert "room down" in noticed(box, Fault.BREAKDOWN)


def test_an_order_cancelled_while_in_the_room_is_refused_and_told(box: Box) -> None:
    outlink = box.department.plan.outlinks[0]
    wanted = threading.Event()
    inbox = Inbox(box.department, Random(3))
    serving = threading.Thread(
        target=inbox.serve, args=(listening("127.0.0.1", outlink.port), lambda: not wanted.is_set())
    )
    serving.start()
    try:
        person, procedure, placer, sent = box.sent_order("XRFOOT")
        machine, entry = box.entry(box.exam(placer))
        uid = "2.25.4711"
        assert machine.told_step("send_n_create", machine.step_begun(entry, box.department.wall()), uid) == 0
        box.ehr.go_wrong(Fault.CANCELLED_IN_ROOM, person, procedure, placer, sent)
        deadline = time.monotonic() + 90
        while box.ehr.pending and time.monotonic() < deadline:
            box.ehr.pending.pop(0)[2]()
            time.sleep(0.5)
        assert "cancelled after it began" in noticed(box, Fault.CANCELLED_IN_ROOM)
    finally:
        wanted.set()
        serving.join()


def test_the_ehr_answers_late_wrong_twice_or_not_at_all_and_the_desk_makes_the_best_of_each(box: Box) -> None:
    """Rows 4 to 6 and 8, in the box: nothing is lost, nothing goes twice but with its number, order is kept."""
    outlink = box.department.plan.outlinks[0]
    ehr = Inbox(replace(box.department, one_in=1), Random(3), outlink.name)
    ehr.away_every_seconds, ehr.away_seconds = (15, 15), (3, 3)
    moods = [mood for one in TO_ANSWERS for mood in (None, one)]
    ehr.next_fault = lambda: moods.pop() if moods else None  # type: ignore[method-assign]
    wanted = threading.Event()
    serving = threading.Thread(
        target=ehr.serve, args=(listening("127.0.0.1", outlink.port), lambda: not wanted.is_set())
    )
    serving.start()
    try:
        for _ in range(4):
            machine, entry = box.entry(box.exam(box.ordered("XRCHEST2")[2]))
            machine.perform(entry, no_wait)
        for fault in (*TO_ANSWERS, Fault.AWAY):
            assert until(lambda f=fault: f.value in box.log(), seconds=90, every=2), fault  # type: ignore[misc]
            noticed(box, fault)
        heard = [json.loads(line) for line in ehr.path.read_text().splitlines()]
        taken = [(one["control_id"], one["type"]) for one in heard if one.get("code") == "AA"]
        twice = {number for (number, _), count in Counter(taken).items() if count > 1}
        assert len({number for number, _ in taken}) == len(set(taken)), "a number stands for one message"
        assert box.log()[Fault.ANSWER_LOST.value]["about"]["control_id"] in twice
        # What meets the second of two answers to the one before it, or an EHR that goes away, is sent again too.
        assert len(twice) <= len((Fault.ANSWER_LOST, Fault.ANSWER_TWICE, Fault.AWAY))
    finally:
        wanted.set()
        serving.join()


def test_what_is_ordered_by_fhir_is_done_and_told_once_whatever_the_ehr_does_and_though_the_worker_is_killed(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 2, 5, 8 and 47 by FHIR: from the order at the EHR to the report there, nothing is lost, nothing doubled."""
    monkeypatch.setattr(fhir_server, "LATE_SECONDS", (1, 1))
    practice, ehr = box.ehr.practice, opened(box.department, box.door)
    assert practice is not None
    ehr.due = list(TO_FHIR)
    # Between two mishaps one request goes well, so that each has its own.
    turns = itertools.cycle([False, True])
    ehr.next_fault = lambda asked: ehr.take_due(asked) if next(turns) else None  # type: ignore[method-assign]
    store = practice.store

    def called_until(what: Callable[[], bool]) -> bool:
        def so() -> bool:
            practice.call()
            return what()

        return until(so, seconds=150, every=1)

    def stands(kind: str, status: str) -> bool:
        return [one["status"] for one in store.all(kind)] == [status] * 2

    with served(ehr, urlsplit(box.door.base).port or 0):
        chest = box.procedure("XRCHEST2")
        placers = [box.ehr.order_by_fhir(box.ehr.somebody(), chest, None) for _ in range(2)]
        assert called_until(
            lambda: all(box.desk.objects("exam", "list", "--all", "--placer", placer) for placer in placers)
        )
        exams = [box.exam(placer) for placer in placers]
        reports = Reports(box.department, link_of(box.department), Random(1), box.ehr.sender)
        for exam in exams:
            machine, entry = box.entry(exam)
            machine.perform(entry, no_wait)
            if exam is exams[0]:
                os.kill(box.desk.children()["worker"], signal.SIGKILL)
            note = {
                "accession": exam["accession"],
                "patient_id": entry.PatientID,
                "patient_name": entry.PatientName,
            }
            note |= {"birth_date": entry.PatientBirthDate, "sex": entry.PatientSex}
            said = said_of("CHEST", critical=False)
            reading = Reading({name: str(value) for name, value in note.items()}, Path(), 0.0, said=said)
            assert box.ehr.sender.ask(reports.message(reading, "F")) == "AA"
        assert called_until(lambda: stands("DiagnosticReport", "final"))
        assert called_until(lambda: stands("ImagingStudy", "available"))
        assert called_until(lambda: stands("Appointment", "fulfilled"))
        assert called_until(lambda: not ehr.due), ehr.due
        for mood in TO_FHIR:
            noticed(box, mood)
    for kind in ("DiagnosticReport", "ImagingStudy", "Appointment"):
        orders = sorted(one["basedOn"][0]["reference"] for one in store.all(kind))
        assert orders == sorted(f"ServiceRequest/{placer}" for placer in placers), kind
    shown = {exam["accession"]: box.desk.exam(exam["accession"])["images"]["matched"] for exam in exams}
    assert sorted(one["numberOfInstances"] for one in store.all("ImagingStudy")) == sorted(shown.values())
    for placer in placers:
        (exam,) = box.desk.objects("exam", "list", "--all", "--placer", placer)
        assert exam["stage"] == "read"
    messages = [
        one for one in box.desk.objects("message", "list", "--limit", "1000") if one["link"] == box.door.name
    ]
    assert {one["state"] for one in messages} <= {"applied", "accepted", "kept, nothing to do"}
    assert Counter(one["control_id"] for one in messages).most_common(1)[0][1] == 1


def test_the_log_tells_of_every_mishap_and_all_were_noticed(box: Box) -> None:
    rows = box.log()
    assert set(rows) == {fault.value for fault in Fault}
    assert all(row["noticed"] and row["should_notice"] for row in rows.values())
    assert "on purpose" in box.desk.cli("parties", "log").stdout
