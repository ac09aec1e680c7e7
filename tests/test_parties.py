"""What the simulated parties send is read by the desk's own codecs, and is what a real one would send."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import Dataset

from xraydesk.links.dicom.dose_codec import read_dose_report
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.report import read_reports
from xraydesk.parties.department import Address, Department, NotLoopback, loopback, read_department
from xraydesk.parties.draw import COLUMNS, ROWS, draw
from xraydesk.parties.faults import AT_EHR, AT_MACHINES, SHOULD_NOTICE, Done, Fault, fault_of, note, read
from xraydesk.parties.inbox import Inbox
from xraydesk.parties.mllp import Sender, escaped
from xraydesk.parties.objects import dose_report, expose, image
from xraydesk.parties.reports import NOTES, Reports, leave_note, link_of
from xraydesk.project.cli_parties import NOTICED
from xraydesk.siteplan.reading import read_toml, to_json

HOSPITAL = Path(__file__).parents[1] / "site" / "hospital.toml"


def entry() -> Dataset:
    told = Dataset()
    told.PatientName, told.PatientID, told.AccessionNumber = "Prüfer^Ada", "N1", "A1"
    told.StudyInstanceUID = "2.25.7"
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


def test_the_simulated_ehr_acknowledges_and_keeps_a_list(tmp_path: Path) -> None:
    inbox = Inbox(department(tmp_path), Random(1))
    answer = inbox.answer(b"MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302||SIU^S12|M7|P|2.5.1\rSCH|1\r")
    assert b"MSA|AA|M7\r" in answer
    (line,) = inbox.path.read_text().splitlines()
    assert json.loads(line)["control_id"] == "M7"


def test_in_each_run_of_exams_one_goes_wrong_and_each_mishap_has_its_turn() -> None:
    happened = [fault_of("7 XR1", number, AT_MACHINES, 40) for number in range(40 * 8)]
    for block in range(8):
        assert sum(fault is not None for fault in happened[block * 40 : block * 40 + 40]) == 1
    counted = Counter(fault for fault in happened if fault)
    assert counted == dict.fromkeys(AT_MACHINES, 2)
    assert happened == [fault_of("7 XR1", number, AT_MACHINES, 40) for number in range(40 * 8)]
    assert happened != [fault_of("8 XR1", number, AT_MACHINES, 40) for number in range(40 * 8)]


def test_what_went_wrong_is_on_record_with_what_should_have_been_noticed(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    done = Done("2026-03-02T10:00:00+0000", Fault.DUPLICATE, {"placer": "P1"}, "ordered again")
    note(tmp_path / "parties", done)
    assert read(tmp_path / "parties") == [done]
    assert "duplicate" in done.should_notice
    assert set(SHOULD_NOTICE) == set(Fault) == {*AT_EHR, *AT_MACHINES}
    assert set(NOTICED) == {fault.value for fault in Fault}
