"""What a DICOMDIR names, and what it may not name (row 29 of the faults)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from tests.shared_data import shared_data
from xraydesk.links.dicom.file_head import where_it_begins
from xraydesk.links.dicom.media_codec import file_ids
from xraydesk.links.dicom.object_file import read_object


def record(*parts: str) -> Dataset:
    made = Dataset()
    if parts:
        made.ReferencedFileID = list(parts)
    return made


def directory(*records: Dataset) -> Dataset:
    made = Dataset()
    made.DirectoryRecordSequence = list(records)
    return made


def test_files_are_named_once_each_and_records_without_a_file_name_none() -> None:
    named = file_ids(directory(record(), record("A", "B1"), record("A", "B1"), record("ONE.DCM")))
    assert (named.parts, named.strange) == ((("A", "B1"), ("ONE.DCM",)), 0)


def test_a_name_that_leads_elsewhere_is_counted_and_never_a_path() -> None:
    named = file_ids(
        directory(
            record("..", "etc"), record("/etc/passwd"), record("A/../../B"), record(*["A"] * 9), record("..")
        )
    )
    assert (named.parts, named.strange) == ((), 5)


def test_a_directory_without_records_names_nothing() -> None:
    assert file_ids(Dataset()).parts == ()


def test_the_directory_of_a_real_disc_names_its_files() -> None:
    path = shared_data("dicom_dir", "DICOMDIR")
    with path.open("rb") as file:
        head = where_it_begins(file)
    read = read_object(path, dataset_offset=head.dataset_offset, transfer_syntax=head.transfer_syntax_uid)
    named = file_ids(read)
    assert len(named.parts) == 31
    assert named.strange == 0
