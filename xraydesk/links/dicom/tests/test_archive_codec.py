"""What an archive is asked, and whether what it answers is this patient's."""

from __future__ import annotations

from datetime import date

import pytest
from pydicom.dataset import Dataset

from xraydesk.imaging.prior_rules import Looked, Study
from xraydesk.links.dicom.archive_codec import (
    Asked,
    is_of,
    said_in,
    series_wanted,
    studies_wanted,
    study_of,
    study_to_move,
)

ADA = Asked("MR1", "HOSP", date(1969, 5, 12))


def said(**values: str) -> dict[str, str]:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    assert said_in(ds) == values
    return values


def test_studies_are_asked_for_by_number_and_series_and_moves_by_study() -> None:
    wanted = studies_wanted(ADA)
    assert (wanted.QueryRetrieveLevel, wanted.PatientID, wanted.StudyDate) == ("STUDY", "MR1", "")
    assert (series_wanted("1.2").QueryRetrieveLevel, series_wanted("1.2").StudyInstanceUID) == (
        "SERIES",
        "1.2",
    )
    assert list(study_to_move("1.2").keys()) == [0x00080052, 0x0020000D]


@pytest.mark.parametrize(
    ("answer", "is_hers"),
    [
        ({"PatientID": "MR1"}, True),
        ({"PatientID": "MR1", "IssuerOfPatientID": "hosp", "PatientBirthDate": "19690512"}, True),
        ({"PatientID": "MR12"}, False),
        ({}, False),
        ({"PatientID": "MR1", "IssuerOfPatientID": "ELSEWHERE"}, False),
        ({"PatientID": "MR1", "PatientBirthDate": "19700101"}, False),
    ],
)
def test_an_answer_is_the_patients_by_all_that_both_sides_know(answer: dict[str, str], is_hers: bool) -> None:
    assert is_of(ADA, said(**answer)) is is_hers


def test_an_archive_or_a_desk_that_knows_less_is_taken_at_its_word() -> None:
    unknown = Asked("MR1", "", None)
    assert is_of(unknown, said(PatientID="MR1", IssuerOfPatientID="X", PatientBirthDate="19700101"))


def test_a_study_is_what_its_series_look_at() -> None:
    answer = said(StudyInstanceUID="1.2", StudyDate="20250301", StudyDescription="Knee left")
    series = [said(), said(BodyPartExamined="KNEE", Laterality="l"), said(BodyPartExamined="FOOT")]
    assert study_of(answer, series) == Study("1.2", Looked("KNEE", "L", date(2025, 3, 1)), "Knee left")
    bare = said(StudyInstanceUID="1.2", StudyDate="20250301")
    assert study_of(bare, [said(Laterality="U")]) == Study("1.2", Looked("", "", date(2025, 3, 1)), "a study")
    assert study_of(said(StudyDate="20250301"), []) is None
    assert study_of(said(StudyInstanceUID="1.2", StudyDate="2025"), []) is None
    assert study_of(said(StudyInstanceUID="1.2"), []) is None
