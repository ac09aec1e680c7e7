"""A rejection note as DICOM writes it."""

from __future__ import annotations

from datetime import datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from xraydesk.imaging.rejection_rules import CODE_MEANINGS, Reference, RejectionCode, RejectionNote
from xraydesk.links.dicom.reading import decode
from xraydesk.links.dicom.rejection_codec import rejection_document

CR = "1.2.840.10008.5.1.4.1.1.1"
NOTE = RejectionNote(
    code=RejectionCode.WRONG_ENTRY,
    study_instance_uid="1.2",
    references=(
        Reference(1, "1.3", CR, "1.4"),
        Reference(2, "1.3", CR, "1.5"),
        Reference(3, "1.9", CR, "1.6"),
    ),
    accession="A1",
    patient_id="N1",
    patient_id_issuer="HOSP",
    patient_name="Щербакова^Юлия",
    patient_birth_date="19690512",
    patient_sex="F",
)


def document(note: RejectionNote = NOTE) -> Dataset:
    made = rejection_document(
        note, sop_instance_uid="2.25.1", series_instance_uid="2.25.2", at=datetime(2026, 3, 2, 12, 30)
    )
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    del made.file_meta
    write_dataset(buffer, made)
    return decode(buffer.getvalue(), "1.2.840.10008.1.2.1")


def test_it_is_a_key_object_selection_of_the_study_and_patient_that_others_have() -> None:
    ds = document()
    assert (ds.SOPClassUID, ds.Modality) == ("1.2.840.10008.5.1.4.1.1.88.59", "KO")
    assert (ds.PatientID, ds.IssuerOfPatientID, ds.PatientBirthDate) == ("N1", "HOSP", "19690512")
    assert str(ds.PatientName) == "Щербакова^Юлия"
    assert (ds.StudyInstanceUID, ds.AccessionNumber) == ("1.2", "A1")
    assert (ds.ContentDate, ds.ContentTime) == ("20260302", "123000")
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert (ds.ValueType, ds.ContinuityOfContent) == ("CONTAINER", "SEPARATE")


@pytest.mark.parametrize("code", RejectionCode)
def test_its_title_is_the_reason(code: RejectionCode) -> None:
    title = document(RejectionNote(code, "1.2", NOTE.references)).ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == (code, "DCM")
    assert title.CodeMeaning == CODE_MEANINGS[code]


def test_it_names_every_object_as_evidence_by_series_and_in_its_content() -> None:
    ds = document()
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        series.SeriesInstanceUID: [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence]
        for series in study.ReferencedSeriesSequence
    }
    assert (study.StudyInstanceUID, evidence) == ("1.2", {"1.3": ["1.4", "1.5"], "1.9": ["1.6"]})
    contained = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in ds.ContentSequence]
    assert contained == ["1.4", "1.5", "1.6"]
    assert {(item.RelationshipType, item.ValueType) for item in ds.ContentSequence} == {("CONTAINS", "IMAGE")}


def test_what_is_not_known_of_the_patient_is_left_empty() -> None:
    ds = document(RejectionNote(RejectionCode.SAFETY, "1.2", NOTE.references))
    assert (str(ds.PatientName), ds.PatientID, ds.PatientBirthDate, ds.PatientSex) == ("", "", "", "")
    assert "IssuerOfPatientID" not in ds
