"""`xraydesk read`: what a file says, and a reason where it says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.shared_data import shared_data
from xraydesk.project.cli import run
from xraydesk.project.cli_read import HL7_BYTES_MAX

Read = Callable[..., tuple[int, list[Any], str]]
DX = "1.2.840.10008.5.1.4.1.1.1.1"
HL7 = (
    b"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302100000||ORM^O01|C1|P|2.5\r"
    b"PID|||N1^^^HOSP^MR||Pr\xc3\xbcfer^Ada\rORC|NW|P1\rOBR|1|P1||XRCHEST2^Chest 2 views^L\r"
)


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Read:
    def read(*files: Path) -> tuple[int, list[Any], str]:
        status = run(["read", "--json", *(str(file) for file in files)])
        told = capsys.readouterr()
        return status, [json.loads(line) for line in told.out.splitlines()], told.err

    return read


def put(path: Path, *, sop_class: str = DX, syntax: str = ExplicitVRLittleEndian, **values: Any) -> Path:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    if sop_class:
        dataset.SOPClassUID = sop_class
        dataset.SOPInstanceUID = "1.2.3"
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = sop_class or DX
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.save_as(path, enforce_file_format=True)
    return path


def image(path: Path, **values: Any) -> Path:
    defaults = {
        "PatientName": "Prüfer^Ada",
        "PatientID": "N1",
        "AccessionNumber": "A1",
        "Modality": "DX",
        "ImageAndFluoroscopyAreaDoseProduct": "2.05",
        "Rows": 2,
        "Columns": 2,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "SamplesPerPixel": 1,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": b"\x00" * 4,
    }
    return put(path, **(defaults | values))


def test_a_message_is_read_with_its_patient_and_orders(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "order.hl7"
    file.write_bytes(b"\xef\xbb\xbf\n" + HL7)
    status, (told,), err = read(file)
    assert (status, err) == (0, "")
    assert (told["file"], told["kind"], told["type"], told["control_id"]) == (
        str(file),
        "hl7",
        "ORM^O01",
        "C1",
    )
    assert told["patient"]["name"]["family"] == "Prüfer"
    assert told["orders"][0]["procedure"] == {"code": "XRCHEST2", "text": "Chest 2 views", "system": "L"}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_image_is_read_in_si_units(read: Read, tmp_path: Path, syntax: str) -> None:
    status, (told,), _ = read(image(tmp_path / "a.dcm", syntax=syntax))
    assert status == 0
    assert (told["kind"], told["sop_class_uid"], told["patient_name"]) == ("image", DX, "Prüfer^Ada")
    assert told["dap_gym2"] == pytest.approx(2.05e-5)
    assert told["laterality"] is None


def test_a_performed_step_and_a_worklist_entry_are_read(read: Read, tmp_path: Path) -> None:
    step = put(
        tmp_path / "s.dcm",
        sop_class="1.2.840.10008.3.1.2.3.3",
        PerformedProcedureStepStatus="COMPLETED",
        PatientID="N1",
        ImageAndFluoroscopyAreaDoseProduct="1",
    )
    scheduled = Dataset()
    scheduled.ScheduledStationAETitle = "XR1"
    entry = put(
        tmp_path / "w.wl",
        sop_class="",
        PatientID="N2",
        RequestedProcedureID="R1",
        ScheduledProcedureStepSequence=[scheduled],
    )
    status, (first, second), _ = read(step, entry)
    assert status == 0
    assert (first["kind"], first["status"], first["dap_gym2"]) == ("mpps", "COMPLETED", pytest.approx(1e-5))
    assert (second["kind"], second["requested_procedure_id"]) == ("worklist", "R1")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_data_set_without_file_meta_information_is_read(read: Read, tmp_path: Path, syntax: str) -> None:
    whole = image(tmp_path / "a.dcm", syntax=syntax).read_bytes()
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(whole[whole.index(b"\x08\x00\x05\x00") :])
    status, (told,), _ = read(bare)
    assert (status, told["kind"], told["accession_number"]) == (0, "image", "A1")


def test_after_a_file_that_cannot_be_read_the_next_ones_are(read: Read, tmp_path: Path) -> None:
    missing, empty, text, good = (tmp_path / name for name in ("missing", "empty", "text", "good"))
    empty.write_bytes(b"")
    text.write_text("Dear Sir or Madam")
    good.write_bytes(HL7)
    status, told, err = read(missing, empty, text, good)
    assert (status, err) == (1, "")
    assert [sorted(one)[:2] for one in told[:3]] == [["error", "file"]] * 3
    assert "No such file" in told[0]["error"]
    assert told[1]["error"] == "is empty"
    assert told[3]["kind"] == "hl7"


@pytest.mark.parametrize("bare", [rb"MSH|^~\&|", b"MSH|^~\\&|A|B\r"])
def test_a_header_with_nothing_in_it_is_refused(read: Read, tmp_path: Path, bare: bytes) -> None:
    (tmp_path / "bare").write_bytes(bare)
    status, (told,), _ = read(tmp_path / "bare")
    assert status == 1
    assert "after the MSH there is nothing" in told["error"]


def test_without_json_reasons_go_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "text"
    file.write_text("Dear Sir or Madam")
    assert run(["read", str(file)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{file}: is no DICOM object")


def test_a_directory_or_a_message_without_end_is_refused(read: Read, tmp_path: Path) -> None:
    huge = tmp_path / "huge.hl7"
    with huge.open("wb") as file:
        file.write(HL7)
        file.truncate(HL7_BYTES_MAX + 1)
    status, told, _ = read(tmp_path, huge)
    assert status == 1
    assert "directory" in told[0]["error"].lower()
    assert "longer than" in told[1]["error"]


def test_a_dicom_object_of_another_kind_is_refused(read: Read, tmp_path: Path) -> None:
    file = put(tmp_path / "pr.dcm", sop_class="1.2.840.10008.5.1.4.1.1.11.1", Modality="PR")
    status, (told,), _ = read(file)
    assert status == 1
    assert "modality PR" in told["error"]


@pytest.mark.parametrize("cut", [1, 2, 3, 8, 20, 60, 133, 180, 300])
def test_an_image_that_is_cut_short_is_refused(read: Read, tmp_path: Path, cut: int) -> None:
    whole = image(tmp_path / "a.dcm").read_bytes()
    short = tmp_path / "short.dcm"
    short.write_bytes(whole[:-cut] if cut < 100 else whole[:cut])
    status, (told,), _ = read(short)
    assert status == 1
    assert told["error"]


@pytest.mark.data
def test_real_files_are_read_as_the_kind_that_they_are(read: Read) -> None:
    kinds = {"dicom_images": "image", "rdsr": "rdsr", "mpps": "mpps", "mwl/orthanc_wl": "worklist"}
    for folder, kind in kinds.items():
        files = [
            file
            for file in sorted(shared_data(*folder.split("/")).iterdir())
            if file.suffix in (".dcm", ".wl") and file.name not in ("PR000000.dcm", "ESR_non-dose.dcm")
        ]
        status, told, _ = read(*files)
        assert {one.get("kind") for one in told} == {kind}, folder
        assert status == 0
        assert [one["file"] for one in told] == [str(file) for file in files]
