"""A requisition as an object of its study."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from xraydesk.lib.ids import is_uid
from xraydesk.links.dicom.requisition_codec import Subject, encapsulated

WALL = datetime(2026, 3, 2, 10, 5)
ADA = Subject("1.2.3", "A1", "MR1", "HOSP", "Prüfer^Ada", date(1969, 5, 12), "F")


@pytest.mark.parametrize("pdf", [b"%PDF-1", b"%PDF-12"])
def test_it_stands_in_the_study_of_the_images_and_holds_the_document_whole(pdf: bytes) -> None:
    made = encapsulated(ADA, pdf, digest="d", wall=WALL)
    assert (made.StudyInstanceUID, made.AccessionNumber, made.PatientID) == ("1.2.3", "A1", "MR1")
    assert (made.PatientBirthDate, made.ContentDate, made.ContentTime) == ("19690512", "20260302", "100500")
    assert (made.Modality, made.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert len(made.EncapsulatedDocument) % 2 == 0
    assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == pdf


def test_the_same_words_are_the_same_object_and_others_another_in_one_series() -> None:
    one, again = (encapsulated(ADA, b"%PDF", digest="d", wall=WALL) for _ in range(2))
    other = encapsulated(replace(ADA, patient_birth_date=None), b"%PDF", digest="e", wall=WALL)
    assert one.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID
    assert is_uid(str(one.SOPInstanceUID))
    assert other.PatientBirthDate == ""
