"""What the simulated parties send is read by the desk's own codecs, and is what a real one would send."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import Dataset

from xraydesk.links.dicom.dose_codec import read_dose_report
from xraydesk.links.dicom.promise_codec import question
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.report import read_reports
from xraydesk.parties import inbox, late
from xraydesk.parties.department import (
    EHR_PATIENTS,
    Address,
    Department,
    NotLoopback,
    loopback,
    read_department,
)
from xraydesk.parties.draw import COLUMNS, ROWS, draw
from xraydesk.parties.ehr import Ehr, side_of
from xraydesk.parties.faults import (
    ANSWERS_ONE_IN,
    ONE_IN,
    SHOULD_NOTICE,
    TO_ANSWERS,
    TO_EXAMS,
    TO_FHIR,
    Chances,
    Done,
    Fault,
    fault_of,
    note,
    read,
)
from xraydesk.parties.front_desk import FrontDesk
from xraydesk.parties.inbox import Inbox
from xraydesk.parties.mllp import Sender, escaped
from xraydesk.parties.modality import Machine
from xraydesk.parties.objects import dose_report, expose, image
from xraydesk.parties.pacs import Promises, tell_reporting
from xraydesk.parties.readers import Reader
from xraydesk.parties.reports import NOTES, Reports, leave_note, link_of
from xraydesk.parties.technologist import Technologist
from xraydesk.parties.web import Browser
from xraydesk.project.cli_parties import NOTICED
from xraydesk.siteplan.invented import invent
from xraydesk.siteplan.reading import read_toml, to_json

HOSPITAL = Path(__file__).parents[1] / "site" / "hospital.toml"


def entry() -> Dataset:
    told = Dataset()
    told.PatientName, told.PatientID, told.AccessionNumber = "Prüfer^Ada", "N1", "A1"
    told.StudyInstanceUID = "2.25.7"
    told.ScheduledProcedureStepSequence = [Dataset()]
    return told


def test_a_picture_has_its_samples_within_twelve_bits_and_is_never_twice_the_same() -> None:
    random = Random(1)
    first, second = draw("CHEST", "PA", "L", random), draw("CHEST", "PA", "L", random)
    assert len(first) == ROWS * COLUMNS * 2
    assert first != second
    samples = memoryview(first).cast("H")
    assert 0 <= min(samples) < max(samples) < 4096


def test_a_side_marker_is_where_a_reader_looks_for_it() -> None:
    with_marker = memoryview(draw("KNEE", "AP", "R", Random(1))).cast("H")
    without = memoryview(draw("KNEE", "AP", "", Random(1))).cast("H")
    assert with_marker[16 * COLUMNS + 20] > 3900 > without[16 * COLUMNS + 20]


def test_a_dose_report_of_the_simulator_reads_as_what_it_exposed() -> None:
    random = Random(3)
    exposures = [expose(random, "CHEST", view) for view in ("PA", "LL")]
    made = dose_report(
        entry(),
        exposures=exposures,
        protocol="Chest 2 views",
        body_part="CHEST",
        station="S",
        at=datetime(2026, 3, 2, 10),
    )
    read = read_dose_report(made)
    assert read.accession == "A1"
    assert read.total_dap_gym2 == pytest.approx(sum(e.dap_dgycm2 for e in exposures) * 1e-5, rel=1e-6)
    assert [event.view for event in read.events] == ["PA", "LL"]
    assert read.events[0].mas == pytest.approx(exposures[0].mas)


def test_an_image_of_the_simulator_carries_the_entry_s_patient_and_its_exposure() -> None:
    exposure = expose(Random(4), "KNEE", "AP")
    made = image(
        entry(), exposure=exposure, series_uid="2.25.8", number=1, modality="DX", station="S", body_part="KNEE",
        side="L", at=datetime(2026, 3, 2, 10), random=Random(5),
    )  # fmt: skip
    assert (made.PatientID, made.AccessionNumber, made.StudyInstanceUID) == ("N1", "A1", "2.25.7")
    assert made.ImageLaterality == "L"
    assert float(made.ImageAndFluoroscopyAreaDoseProduct) == exposure.dap_dgycm2
    assert len(made.PixelData) == made.Rows * made.Columns * 2


def test_text_cannot_break_out_of_its_field() -> None:
    assert escaped("a|b^c&d~e\\f") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"


@pytest.mark.parametrize("address", ["192.0.2.1:11112", "0.0.0.0:11112"])
def test_no_simulated_party_ever_speaks_to_another_machine(address: str) -> None:
    with pytest.raises(NotLoopback):
        loopback(address)
    assert loopback("127.0.0.1:11112").port == loopback("localhost:11112").port == 11112


def test_a_department_is_read_from_what_up_wrote_down(tmp_path: Path) -> None:
    plan = read_toml(HOSPITAL)
    told = {
        "plan": to_json(plan),
        "mllp": "127.0.0.1:1",
        "dicom": "127.0.0.1:2",
        "http": "127.0.0.1:3",
        "seed": 7,
    }
    (tmp_path / "parties.json").write_text(json.dumps(told))
    department = read_department(tmp_path)
    assert department.plan == plan
    assert (department.mllp.port, department.dicom.port, department.seed) == (1, 2, 7)
    assert department.orders_link.sending_application == "EHR"


def department(folder: Path) -> Department:
    plan = read_toml(HOSPITAL)
    here = Address("127.0.0.1", 1)
    return Department(folder, plan, here, here, here, seed=7)


def test_a_report_of_the_simulator_reads_as_what_was_meant(tmp_path: Path) -> None:
    here = department(tmp_path)
    folder = here.folder / NOTES
    note = {"study": "2.25.7", "accession": "A1", "patient_id": "N1", "patient_name": "O'Brien|x^Ada", "birth_date": "19690512",
            "sex": "F", "body_part": "CHEST", "code": "XRCHEST2", "text": "Chest"}  # fmt: skip
    leave_note(folder, note)
    leave_note(folder, note)
    reports = Reports(here, link_of(here), Random(1), Sender(here.mllp))
    reports.look()
    (reading,) = reports.waiting.values()
    for status, action in (("P", "preliminary"), ("F", "final"), ("C", "correct")):
        reading.critical = status == "C"
        message = read_message(reports.message(reading, status).encode(), fallback="utf-8")
        (said,) = read_reports(message, zone="America/New_York")
        assert (said.exam.accession, said.action, "Lungs clear" in said.text) == ("A1", action, True)
        assert (said.category is None) == (status != "C")
        assert said.patient is not None
        assert said.patient.name.family == "O'Brien|x"
    (folder / "2.25.7.json").unlink()
    leave_note(folder, note)
    assert not list(folder.glob("*.json"))


@pytest.mark.parametrize(
    ("done_on", "is_to_be_read"), [("20260302", True), ("20260223", True), ("", True), ("20240501", False)]
)
def test_what_the_pacs_has_to_compare_with_is_read_by_nobody_anew(
    tmp_path: Path, done_on: str, is_to_be_read: bool
) -> None:
    said = Dataset()
    said.StudyInstanceUID, said.AccessionNumber, said.Modality, said.StudyDate = "2.25.7", "A1", "DX", done_on
    tell_reporting(tmp_path / NOTES, said, today=date(2026, 3, 2))
    assert (tmp_path / NOTES / "2.25.7.json").exists() is is_to_be_read


def test_the_simulated_ehr_acknowledges_and_keeps_a_list(tmp_path: Path) -> None:
    ehr = Inbox(department(tmp_path), Random(1))
    answer = ehr.answer(b"MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302||SIU^S12|M7|P|2.5.1\rSCH|1\r")
    assert b"MSA|AA|M7|\r" in answer.frames
    (line,) = ehr.path.read_text().splitlines()
    assert json.loads(line)["control_id"] == "M7"


@pytest.fixture
def here(tmp_path: Path) -> Department:
    return department(tmp_path)


MESSAGE = b"MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302||ORM^O01|M7|P|2.5.1\rORC|SC|P7^EHR|A7||IP\r"


@pytest.mark.parametrize(
    ("fault", "acknowledgements", "begun_is_known"),
    [
        (Fault.ANSWER_LATE, [b"AA"], True),
        (Fault.ANSWER_TWICE, [b"AA", b"AA"], True),
        (Fault.ANSWER_AE, [b"AE"], False),
        (Fault.ANSWER_AR, [b"AR"], False),
        (Fault.ANSWER_LOST, [], True),
    ],
)
def test_each_mood_of_the_ehr_is_what_it_says_and_is_on_record(
    here: Department,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    acknowledgements: list[bytes],
    begun_is_known: bool,
) -> None:
    monkeypatch.setattr(inbox, "LATE_SECONDS", (0, 0))
    ehr = Inbox(here, Random(1), "EHR-OUT")
    monkeypatch.setattr(ehr, "next_fault", lambda: fault)
    answer = ehr.answer(MESSAGE)
    assert re.findall(rb"MSA\|(A.)\|M7", answer.frames) == acknowledgements
    assert answer.hang_up is (fault is Fault.ANSWER_LOST)
    assert (inbox.begun(here) == {"P7"}) is begun_is_known
    (done,) = read(here.folder)
    assert (done.fault, done.about) == (fault, {"link": "EHR-OUT", "control_id": "M7"})


def test_answers_go_wrong_by_seed_each_mood_in_its_turn_and_never_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = ANSWERS_ONE_IN * len(TO_ANSWERS)
    ehr = Inbox(department(tmp_path), Random(1), "EHR-OUT")
    assert {ehr.next_fault() for _ in range(count)} == {None}
    monkeypatch.setattr(inbox, "CALM_SECONDS", 0.0)
    counted = Counter(fault for _ in range(count) if (fault := ehr.next_fault()))
    assert counted == dict.fromkeys(TO_ANSWERS, 1)
    quiet = Inbox(replace(department(tmp_path), one_in=0), Random(1), "EHR-OUT")
    assert {quiet.next_fault() for _ in range(count)} == {None}


def test_in_each_run_of_exams_one_goes_wrong_and_each_mishap_has_its_turn() -> None:
    kinds = TO_EXAMS
    count = 40 * len(kinds) * 2
    happened = [fault_of("7", number, kinds, 40) for number in range(count)]
    for block in range(count // 40):
        assert sum(fault is not None for fault in happened[block * 40 : block * 40 + 40]) == 1
    assert Counter(fault for fault in happened if fault) == dict.fromkeys(kinds, 2)
    assert happened == [fault_of("7", number, kinds, 40) for number in range(count)]
    assert happened != [fault_of("8", number, kinds, 40) for number in range(count)]


def test_of_all_exams_one_in_forty_goes_wrong_whoever_meets_it_first(tmp_path: Path) -> None:
    """The EHR and the machines count together, over restarts, and each exam once."""
    plan = read_toml(HOSPITAL)
    here = replace(department(tmp_path), calm_seconds=0)
    random = Random(5)
    plans = [m for m in plan.modalities if m.room.startswith("XR")]
    done: list[Fault] = []
    for number in range(60 * ONE_IN):
        ehr = Ehr(here, random, Sender(here.mllp))
        person = invent(random, f"{EHR_PATIENTS}{number:06d}", date(2026, 3, 2))
        person.patient_class = random.choice("OEI")
        browser = Browser(here.http, "", "")
        machine = Machine(here, random.choice(plans), random, Technologist(browser), FrontDesk(browser))
        told = entry()
        told.RequestedProcedureDescription = random.choice(["Left knee", "Chest"])
        if number % 3:  # ordered by the EHR: met there first, and then at a machine
            told.PatientID = person.number
            done += [one] if (one := ehr.next_fault(person, random.choice("RS"))) else []
        done += [one] if (one := machine.next_fault(told)) else []
    assert here.chances.counts() == {"exams": 60 * ONE_IN, "taken": len(done)}
    assert 58 <= len(done) <= 60
    counted = Counter(done)
    assert set(counted) == set(TO_EXAMS)
    assert max(counted.values()) - min(counted.values()) <= 2


def test_nothing_goes_wrong_in_the_first_minutes_nor_where_nothing_is_to(tmp_path: Path) -> None:
    here = department(tmp_path)
    ehr = Ehr(here, Random(1), Sender(here.mllp))
    ada = invent(Random(1), f"{EHR_PATIENTS}000001", date(2026, 3, 2))
    for _ in range(5 * ONE_IN):
        assert ehr.next_fault(ada, "S") is None
    quiet = Chances(tmp_path / "quiet", seed=1, one_in=0)
    for _ in range(5 * ONE_IN):
        quiet.met()
        assert quiet.take(set(Fault)) is None


def test_a_duplicate_order_is_of_the_same_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = department(tmp_path)
    (tmp_path / "parties").mkdir()
    ada = invent(Random(1), f"{EHR_PATIENTS}000001", date(2026, 3, 2))
    knee = next(p for p in read_toml(HOSPITAL).procedures if {"L", "R"} <= set(p.laterality))
    sides = set()
    for seed in range(12):
        ehr, sent = Ehr(here, Random(seed), Sender(here.mllp)), list[list[str]]()
        monkeypatch.setattr(ehr, "send", sent.append)
        placer = ehr.order(ada, knee, "R", None, may_go_wrong=False)
        ehr.go_wrong(Fault.DUPLICATE, ada, knee, placer, sent[0])
        ehr.pending.pop()[2]()
        first, second = map(side_of, sent)
        assert first == second != ""
        sides.add(first)
    assert sides == {"L", "R"}


def test_a_mishap_that_could_not_be_done_is_done_to_another_exam(tmp_path: Path) -> None:
    chances = Chances(tmp_path, seed=1, one_in=1)
    chances.met()
    fault = chances.take(set(Fault))
    assert fault is not None
    assert chances.take(set(Fault)) is None
    chances.give_back(fault)
    assert Chances(tmp_path, seed=1, one_in=1).take({fault}) is fault


def test_an_order_that_is_still_to_be_written_is_found_once_when_it_is_due(tmp_path: Path) -> None:
    person = invent(Random(1), "47000001", date(2026, 3, 2))
    late.leave(tmp_path, late.ToOrder(person, "XRCHEST2", "", due=100.0))
    assert late.take(tmp_path, now=99.0) == []
    assert late.take(tmp_path, now=100.0) == [late.ToOrder(person, "XRCHEST2", "", 100.0)]
    assert late.take(tmp_path, now=100.0) == []


class Desk(Browser):
    """A desk with one result that must be told, as its pages say it."""

    def __init__(self) -> None:
        super().__init__(Address("127.0.0.1", 1), "", "")
        self.suspected, self.people, self.turn = True, ["Dr O&#x27;Hara", "Ward W3"], 0
        self.pressed: list[tuple[str, dict[str, str]]] = []

    def page(self, path: str) -> str:
        if path == "/results":
            return "" if self.ended else '<a href="/results/7"><b>pneumothorax</b></a>'
        if self.suspected:
            return '<form method="post" action="/results/7/confirm">'
        return (
            '<form method="post" action="/results/7/call"><input type="hidden" name="role" value="orders">'
            '<input type="hidden" name="reached_at" value="555"><input class="in" id="recipient" name="recipient" '
            f'maxlength="200" value="{self.people[self.turn % 2]}">'
        )

    @property
    def ended(self) -> bool:
        return any(form.get("outcome") == "read back" for _, form in self.pressed)

    def press(self, page: str, path: str, form: dict[str, str]) -> None:
        self.pressed.append((path, form))
        self.suspected = False
        self.turn += form.get("outcome") == "no answer"


def test_a_reader_calls_until_it_is_read_back_and_sometimes_the_first_does_not_answer() -> None:
    firsts = set()
    for seed in range(40):
        desk = Desk()
        reader = Reader(desk, Random(seed))
        reader.work(0.0)
        assert desk.pressed == [], "a visitor may be faster"
        now = 0.0
        while not desk.ended:
            now += 60
            assert now < 3600
            reader.work(now)
        (path, _), *calls = desk.pressed
        assert path == "/results/7/confirm"
        assert all(path == "/results/7/call" for path, _ in calls)
        outcomes = [form["outcome"] for _, form in calls]
        firsts.add(outcomes[0])
        assert outcomes.count("read back") == 1
        assert calls[0][1]["recipient"] == "Dr O'Hara"
        if outcomes[0] == "no answer":
            assert calls[1][1]["recipient"] == "Ward W3"
        assert calls[-1][1]["read_back"]
    assert firsts == {"no answer", "read back"}


def test_the_simulated_pacs_promises_what_it_took_even_after_it_was_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = department(tmp_path)
    told: list[tuple[list[str], list[str], int]] = []

    def tell(self: Promises, report: Dataset, event_type: int) -> None:
        failed = [item.ReferencedSOPInstanceUID for item in report.get("FailedSOPSequence", ())]
        told.append(([i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence], failed, event_type))

    monkeypatch.setattr(Promises, "_tell", tell)
    before = Promises(tmp_path / "kept.txt", here)
    before.took("1.2.3")
    before.took("1.2.3")
    pacs = Promises(tmp_path / "kept.txt", here)
    for uids in (["1.2.3"], ["1.2.3", "1.2.4"]):
        pacs.asked.put(question("1.2.9", [("1.2.840.1", uid) for uid in uids]))
    pacs.answer()
    assert told == [(["1.2.3"], [], 1), (["1.2.3"], ["1.2.4"], 2)]


def test_the_page_about_the_demonstration_tells_of_every_mishap() -> None:
    told = (HOSPITAL.parents[1] / "docs" / "howto" / "demonstration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", told, re.M))
    rows.pop("what goes wrong")
    assert rows == {str(fault): noticed for fault, noticed in SHOULD_NOTICE.items()}


def test_what_went_wrong_is_on_record_with_what_should_have_been_noticed(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    done = Done("2026-03-02T10:00:00+0000", Fault.DUPLICATE, {"placer": "P1"}, "ordered again")
    note(tmp_path / "parties", done)
    assert read(tmp_path / "parties") == [done]
    assert "duplicate" in done.should_notice
    assert set(SHOULD_NOTICE) == set(Fault) == {*TO_EXAMS, *TO_ANSWERS, *TO_FHIR, Fault.AWAY}
    assert set(NOTICED) == {fault.value for fault in Fault}
