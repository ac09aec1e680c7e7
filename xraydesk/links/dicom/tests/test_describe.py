"""What `xraydesk read` tells of DICOM files, whole, broken, and of no kind that it reads."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.shared_data import shared_data
from xraydesk.links.dicom import describe as module
from xraydesk.links.dicom import file_head
from xraydesk.links.dicom.describe import NotReadable, describe


def image() -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "2.25.1"
    made.PatientID, made.PatientName, made.Modality = "N1", "Prüfer^Ada", "DX"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageAndFluoroscopyAreaDoseProduct = 2.05
    made.Rows = made.Columns = 4
    made.SamplesPerPixel, made.BitsAllocated, made.BitsStored, made.HighBit = 1, 16, 12, 11
    made.PixelRepresentation, made.PhotometricInterpretation = 0, "MONOCHROME2"
    made.add_new("PixelData", "OW", bytes(32))
    return made


def saved(folder: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    path = folder / "object.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_an_image_is_told_in_every_uncompressed_syntax(tmp_path: Path, syntax: UID) -> None:
    [told] = describe(saved(tmp_path, image(), syntax))
    assert (told["kind"], told["patient_name"], told["modality"]) == ("image", "Prüfer^Ada", "DX")
    assert told["dap_gym2"] == pytest.approx(2.05e-5)
    assert told["accession_number"] is None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_without_preamble_and_meta_is_told_too(tmp_path: Path, syntax: UID) -> None:
    path = tmp_path / "bare.dcm"
    image().save_as(
        path,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=False,
    )
    assert describe(path)[0]["patient_id"] == "N1"


def test_a_step_and_a_worklist_entry_are_told(tmp_path: Path) -> None:
    step, entry, item = Dataset(), Dataset(), Dataset()
    item.AccessionNumber = "A1"
    step.PerformedProcedureStepStatus, step.PatientID = "IN PROGRESS", "N1"
    step.ScheduledStepAttributesSequence = [item]
    assert describe(saved(tmp_path, step))[0] | {"kind": "mpps"} == {
        "kind": "mpps", "sop_instance_uid": None, "status": "IN PROGRESS", "patient_id": "N1", "patient_name": None,
        "modality": None, "accession_number": "A1", "dap_gym2": None,
    }  # fmt: skip
    scheduled = Dataset()
    scheduled.ScheduledStationAETitle = "XR1"
    entry.PatientID, entry.RequestedProcedureID = "N2", "R1"
    entry.ScheduledProcedureStepSequence = [scheduled]
    told = describe(saved(tmp_path, entry))[0]
    assert (told["kind"], told["patient_id"], told["ae_title"]) == ("worklist", "N2", "XR1")


@pytest.mark.parametrize("cut", [1, 20, 33, 60, 150, 300])
def test_a_truncated_file_is_refused_even_where_the_rest_would_parse(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path, image())
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(NotReadable):
        describe(path)


def test_a_dose_report_is_told_with_its_events(tmp_path: Path) -> None:
    report = Dataset()
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.67", "SR"
    told = describe(saved(tmp_path, report))[0]
    assert (told["kind"], told["events"], told["total_dap_gym2"]) == ("rdsr", [], None)


def other() -> bytes:
    return b"no DICOM at all, but some words that are long enough to look like a file of sorts"


@pytest.mark.parametrize(
    "content", [other, lambda: b"\x08\x00", lambda: bytes(128) + b"DICM", lambda: bytes(500)]
)
def test_what_is_no_dicom_is_refused(tmp_path: Path, content: Callable[[], bytes]) -> None:
    path = tmp_path / "x"
    path.write_bytes(content())
    with pytest.raises(NotReadable):
        describe(path)


def test_an_object_of_another_kind_is_refused_by_its_modality(tmp_path: Path) -> None:
    report = Dataset()
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.11", "SR"
    with pytest.raises(NotReadable, match="modality SR"):
        describe(saved(tmp_path, report))


def test_a_deflate_bomb_is_refused_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 27: what would unpack to more than is taken is refused before it is unpacked."""
    monkeypatch.setattr(module, "DECODED_BYTES_MAX", 1_000_000)
    path = saved(tmp_path, image(), DeflatedExplicitVRLittleEndian)
    raw = path.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(raw[:start] + pack.compress(bytes(5_000_000)) + pack.flush())
    with pytest.raises(NotReadable, match="unpack to more"):
        describe(path)
    path.write_bytes(raw[:start] + b"\xff" * 80)
    with pytest.raises(NotReadable, match="unpacked"):
        describe(path)
    path.write_bytes(raw[:-20])
    with pytest.raises(NotReadable, match="cut short"):
        describe(path)


def test_broken_file_meta_information_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, image())
    raw = bytearray(path.read_bytes())
    raw[152:156] = b"\xff\xff\xff\x7f"
    path.write_bytes(bytes(raw))
    with pytest.raises(NotReadable):
        describe(path)


@pytest.mark.data
def test_real_files_are_what_they_are_known_to_be() -> None:
    kinds = {"dicom_images": "image", "dicom_charsets": "image", "mpps": "mpps", "mwl/orthanc_wl": "worklist"}
    refused = {"PR000000.dcm", "chrSQEncoding.dcm"}
    for folder, kind in kinds.items():
        for path in sorted(shared_data(*folder.split("/")).iterdir()):
            if path.suffix not in (".dcm", ".wl"):
                continue
            if path.name in refused:
                with pytest.raises(NotReadable):
                    describe(path)
            else:
                assert describe(path)[0]["kind"] == kind, path.name
    with pytest.raises(NotReadable, match="cut short"):
        describe(shared_data("dicom_other", "MR_truncated.dcm"))


def test_whatever_pydicom_lets_through_for_broken_meta_information_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError

    path = saved(tmp_path, image())
    monkeypatch.setattr(file_head, "read_dataset", broken)
    with pytest.raises(NotReadable, match="file meta information"):
        describe(path)
