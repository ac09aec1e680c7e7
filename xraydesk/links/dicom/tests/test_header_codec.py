"""What an object says of itself, and which objects are refused."""

from __future__ import annotations

import struct
from datetime import date, datetime, time
from pathlib import Path

import pytest
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from xraydesk.links.dicom import object_file
from xraydesk.links.dicom.header_codec import (
    check_depth,
    day,
    is_wire_uid,
    marker_texts,
    moment,
    number,
    read_header,
    text,
    wall_time,
)
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.reading import BadDataSet

CR = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT, IMPLICIT, BIG, JPEG = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
)


def dataset(**values) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID = CR, "1.9", "1.2"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def header(ds: Dataset):
    return read_header(ds, sop_class_uid=CR, sop_instance_uid="1.9", transfer_syntax_uid=EXPLICIT)


def test_values_are_read_in_the_units_of_the_department() -> None:
    asked = Dataset()
    asked.AccessionNumber, asked.RequestedProcedureID, asked.ScheduledProcedureStepID = "A1", "R1", "S1"
    said = header(
        dataset(
            PatientName="Prüfer^Ada",
            PatientID=" N1 ",
            PatientBirthDate="19690512",
            RequestAttributesSequence=[asked],
            Laterality="L",
            AcquisitionDate="20260302",
            AcquisitionTime="1015",
            ImageAndFluoroscopyAreaDoseProduct=2.05,
            ExposureInuAs=2500,
            ExposureTime=19,
            KVP=80,
            ExposureIndex=286.8,
        )
    )
    assert (said.patient_id, said.patient_birth_date) == ("N1", date(1969, 5, 12))
    assert (said.accession, said.requested_procedure_id, said.scheduled_step_id) == ("A1", "R1", "S1")
    assert said.dap_gym2 == pytest.approx(2.05e-5)
    assert (said.mas, said.exposure_time_ms, said.kvp) == (2.5, 19, 80)
    assert (said.laterality, said.acquired_at) == ("L", datetime(2026, 3, 2, 10, 15))


def test_the_whole_acquisition_time_comes_first_then_content_time_then_none() -> None:
    assert header(dataset(AcquisitionDateTime="20260302101500.5")).acquired_at == datetime(2026, 3, 2, 10, 15)
    wrong = dataset(AcquisitionDateTime="20261302101500", ContentDate="20260302", ContentTime="10")
    assert header(wrong).acquired_at == datetime(2026, 3, 2, 10)
    assert header(dataset(ContentDate="20260302")).acquired_at is None


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("ImageAndFluoroscopyAreaDoseProduct", b"-1"), ("ExposureIndex", b"much"), ("KVP", b"1e999")],
)
def test_numbers_that_are_none_are_as_good_as_absent(keyword: str, value: bytes) -> None:
    ds = dataset()
    ds.add_new(keyword, "UN", b"")
    ds[keyword].VR, ds[keyword]._value = "DS", value.decode()
    assert (header(ds).dap_gym2, header(ds).exposure_index, header(ds).kvp) == (None, None, None)


def test_text_loses_control_characters_and_takes_the_first_of_several() -> None:
    ds = dataset(PatientID="N\x001", BodyPartExamined="KNEE", ManufacturerModelName=None)
    ds.add_new("ImageType", "CS", ["ORIGINAL", "PRIMARY"])
    assert (text(ds, "PatientID"), text(ds, "ImageType"), text(ds, "ManufacturerModelName")) == (
        "N1",
        "ORIGINAL",
        "",
    )
    ds.add_new("OtherPatientIDs", "LO", [])
    assert text(ds, "OtherPatientIDs") == ""


def test_a_sequence_where_a_value_should_stand_says_nothing() -> None:
    item = dataset(PatientName="Ada^Z")
    item[0x00280010] = RawDataElement(Tag(0x00280010), "US", 3, b"\0\1\2", 0, False, True)
    said = dataset()
    said.add(DataElement(0x00400250, "SQ", Sequence([item])))
    assert text(said, "PerformedProcedureStepEndDate") == ""
    assert day(said, "PerformedProcedureStepEndDate") is None


def test_dates_and_times_in_all_their_forms() -> None:
    ds = dataset(
        PatientBirthDate="1969.05.12", StudyTime="101530.25", SeriesTime="256161", ContentTime="10:15:60"
    )
    assert day(ds, "PatientBirthDate") == date(1969, 5, 12)
    assert wall_time(ds, "StudyTime") == time(10, 15, 30, 250000)
    assert wall_time(ds, "SeriesTime") is None
    assert wall_time(ds, "ContentTime") == time(10, 15, 59)
    assert wall_time(ds, "AcquisitionTime") is None
    assert moment(ds, "StudyDate", "StudyTime") is None


@pytest.mark.parametrize(
    "values",
    [
        {"SOPInstanceUID": "1.8"},
        {"SOPClassUID": "1.2.3"},
        {"StudyInstanceUID": "../../etc/passwd"},
        {"SeriesInstanceUID": "1..2"},
        {"Rows": 20000, "Columns": 20000, "BitsAllocated": 16},
        {"Rows": 2000, "Columns": 2000, "NumberOfFrames": 200},
    ],
)
def test_objects_that_contradict_their_message_or_would_do_harm_are_refused(values) -> None:
    """Rows 27 and 29: more than 256 MiB unpacked, and `../` in a UID, are refused."""
    with pytest.raises(BadDataSet):
        header(dataset(**values))


def test_uids_with_leading_zeros_are_taken_as_machines_send_them() -> None:
    assert is_wire_uid("999.999.01.23.45.6789")
    assert not is_wire_uid("1" * 65)
    assert not is_wire_uid("1.2.")
    assert not is_wire_uid("")


def nested(depth: int) -> Dataset:
    ds = Dataset()
    ds.PatientID = "deep"
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = Sequence([ds])
        ds = outer
    return ds


def test_sequences_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 28."""
    check_depth(nested(10))
    with pytest.raises(BadDataSet):
        check_depth(nested(40))
    monkeypatch.setattr("xraydesk.links.dicom.header_codec.ITEMS_MAX", 5)
    with pytest.raises(BadDataSet):
        check_depth(nested(10))


def written(ds: Dataset, syntax: str = EXPLICIT, pixels: bytes = b"") -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(buffer, ds)
    return buffer.getvalue() + pixels


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "object"
    path.write_bytes(b"head" + data)
    return path


def read(folder: Path, data: bytes, syntax: str = EXPLICIT) -> Dataset:
    return read_object(saved(folder, data), dataset_offset=4, transfer_syntax=syntax)


PLAIN = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 4) + b"1234"
IMPLICIT_PIXELS = struct.pack("<HHL", 0x7FE0, 0x10, 4) + b"1234"
BIG_PIXELS = struct.pack(">HH2sHL", 0x7FE0, 0x10, b"OW", 0, 4) + b"1234"
FRAGMENTS = (
    struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    + struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    + struct.pack("<HHL", 0xFFFE, 0xE000, 4)
    + b"1234"
    + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
)
PADDING = struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, 2) + b"\0\0"
SHORT = struct.pack("<HH2sH", 0xFFFA, 0x10, b"SH", 2) + b"ab"


@pytest.mark.parametrize(
    ("syntax", "pixels"),
    [
        (EXPLICIT, b""),
        (EXPLICIT, PLAIN),
        (EXPLICIT, PLAIN + SHORT + PADDING),
        (IMPLICIT, IMPLICIT_PIXELS),
        (BIG, BIG_PIXELS),
        (JPEG, FRAGMENTS),
        (JPEG, FRAGMENTS + PADDING),
        (EXPLICIT, PLAIN + b"\0"),
        (JPEG, FRAGMENTS + bytes(7)),
    ],
)
def test_a_whole_object_is_read_up_to_its_pixels(tmp_path: Path, syntax: str, pixels: bytes) -> None:
    ds = read(tmp_path, written(dataset(PatientID="N1"), syntax, pixels), syntax)
    assert ds.PatientID == "N1"
    assert "PixelData" not in ds


@pytest.mark.parametrize(
    ("pixels", "cut"), [(PLAIN, 1), (PLAIN, 6), (PLAIN, 10), (FRAGMENTS, 8), (FRAGMENTS, 10)]
)
def test_an_object_cut_short_is_refused(tmp_path: Path, pixels: bytes, cut: int) -> None:
    with pytest.raises(BadDataSet, match="cut short"):
        read(tmp_path, written(dataset(), EXPLICIT, pixels)[:-cut])


def test_a_beginning_of_an_element_after_the_pixels_is_no_padding(tmp_path: Path) -> None:
    with pytest.raises(BadDataSet, match="cut short"):
        read(tmp_path, written(dataset(), EXPLICIT, PLAIN + SHORT[:5]))


def test_items_of_undefined_length_after_the_pixels_are_not_followed(tmp_path: Path) -> None:
    tail = struct.pack("<HH2sHL", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    assert read(tmp_path, written(dataset(), EXPLICIT, PLAIN + tail)).SOPInstanceUID == "1.9"


def test_a_long_value_is_left_in_the_file_and_must_be_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_file, "DEFERRED_BYTES", 1000)
    ds = dataset(PatientID="N1")
    ds.add_new(0x00091010, "OB", bytes(5000))
    ds.add_new(0x00090010, "LO", "X")
    data = written(ds)
    ds = read(tmp_path, data)
    assert next(e for e in ds.values() if e.tag == 0x00091010).value is None
    assert ds[0x00091010].value == bytes(5000)
    last = written(dataset(), EXPLICIT) + written(_private(5000))
    with pytest.raises(BadDataSet, match="cut short"):
        read(tmp_path, last[:-100])


def _private(size: int) -> Dataset:
    ds = Dataset()
    ds.add_new(0x70010010, "LO", "X")
    ds.add_new(0x70011010, "OB", bytes(size))
    return ds


def test_a_sequence_left_in_the_file_may_not_be_larger_than_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_file, "DEFERRED_BYTES", 100)
    monkeypatch.setattr(object_file, "HEADER_BYTES_MAX", 1000)
    item = (
        struct.pack("<HHL", 0xFFFE, 0xE000, 4992)
        + struct.pack("<HH2sHL", 9, 0x10, b"OB", 0, 4980)
        + bytes(4980)
    )
    long = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 5000) + item
    with pytest.raises(BadDataSet, match="too large"):
        read(tmp_path, written(dataset()) + long)


def test_no_dicom_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataSet):
        read(tmp_path, b"")
    with pytest.raises(BadDataSet):
        read(tmp_path, b"this is no DICOM at all, by any reading of it")


def test_a_header_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 27: memory stays flat."""
    monkeypatch.setattr(object_file, "HEADER_BYTES_MAX", 100)
    with pytest.raises(BadDataSet, match="too large"):
        read(tmp_path, written(dataset(PatientComments="x" * 500)))


def test_twenty_thousand_nested_sequences_are_refused(tmp_path: Path) -> None:
    """Row 28: the object is refused, the reader lives."""
    begin = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(BadDataSet):
        header(read(tmp_path, written(dataset()) + begin * 20_000))


@pytest.mark.parametrize("depth", [200, 5000])
def test_sequences_of_stated_length_nested_deeply_are_refused(tmp_path: Path, depth: int) -> None:
    """Row 28, in the form that is not seen before somebody looks into it."""
    body = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body
        body = struct.pack("<HHL", 0x0040, 0xA730, len(item)) + item
    ds = read(tmp_path, written(dataset(), IMPLICIT) + body, IMPLICIT)
    with pytest.raises(BadDataSet):
        header(ds)


def test_number_of_what_is_no_number() -> None:
    ds = dataset()
    ds.add_new("PatientComments", "LT", "many")
    assert number(ds, "PatientComments") is None
    assert number(ds, "Rows") is None


def test_a_sequence_that_is_none_refuses_the_object(tmp_path: Path) -> None:
    broken = struct.pack("<HHL", 0x0040, 0xA730, 4) + b"\x01\x02\x03\x04"
    ds = read(tmp_path, written(dataset(), IMPLICIT) + broken, IMPLICIT)
    with pytest.raises(BadDataSet):
        header(ds)


def test_elements_that_no_dictionary_knows_are_left_alone(tmp_path: Path) -> None:
    strange = struct.pack("<HHL", 0x0041, 0x1010, 4) + b"abcd"
    assert (
        header(read(tmp_path, written(dataset(), IMPLICIT) + strange, IMPLICIT)).study_instance_uid == "1.2"
    )


def test_a_value_of_the_wrong_length_is_as_good_as_absent(tmp_path: Path) -> None:
    rows = struct.pack("<HH2sH", 0x0028, 0x10, b"US", 3) + b"abc"
    assert header(read(tmp_path, written(dataset()) + rows)).study_instance_uid == "1.2"


def test_the_machines_own_words_are_read_and_the_studys_are_not() -> None:
    view, region = Dataset(), Dataset()
    view.CodeMeaning, region.CodeMeaning = "medio-lateral", "Knee"
    said = dataset(
        StudyDescription="Chest",
        SeriesDescription="R KNEE LAT",
        ProtocolName="R KNEE LAT",
        AcquisitionDeviceProcessingDescription="KNEE",
        ViewCodeSequence=[view],
        AnatomicRegionSequence=[region],
    )
    said.add_new((0x6002, 0x1500), "LO", "R" * 70)
    assert marker_texts(said) == ("R KNEE LAT", "KNEE", "Knee", "medio-lateral", "R" * 64)
    assert header(said).marker_texts == marker_texts(said)
    assert marker_texts(dataset()) == ()
