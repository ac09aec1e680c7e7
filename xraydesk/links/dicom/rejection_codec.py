"""A rejection note as DICOM writes it: a Key Object Selection document (PS3.3 A.35.4, TID 2010). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from xraydesk.imaging.rejection_rules import CODE_MEANINGS, KEY_OBJECT_SELECTION, Reference, RejectionNote

MANUFACTURER = "xraydesk"


def rejection_document(
    note: RejectionNote, *, sop_instance_uid: str, series_instance_uid: str, at: datetime
) -> Dataset:
    """The document that tells who has them that some objects are not to be used any more. `at` is wall time."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = KEY_OBJECT_SELECTION, sop_instance_uid
    ds.PatientName, ds.PatientID = note.patient_name, note.patient_id
    if note.patient_id_issuer:
        ds.IssuerOfPatientID = note.patient_id_issuer
    ds.PatientBirthDate, ds.PatientSex = note.patient_birth_date, note.patient_sex
    ds.StudyInstanceUID, ds.AccessionNumber = note.study_instance_uid, note.accession
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.ReferringPhysicianName = ""
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "KO", series_instance_uid, 1
    ds.SeriesDescription = CODE_MEANINGS[note.code]
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.Manufacturer = MANUFACTURER
    ds.InstanceNumber = 1
    ds.ContentDate, ds.ContentTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    ds.CurrentRequestedProcedureEvidenceSequence = [_evidence(note)]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code(note.code, "DCM", CODE_MEANINGS[note.code])]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    ds.ContentTemplateSequence = [template]
    ds.ContentSequence = [_contained(reference) for reference in note.references]
    return ds


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _evidence(note: RejectionNote) -> Dataset:
    """Every object that the note speaks of, by study and series (PS3.3 C.17.6.2.1)."""
    study = Dataset()
    study.StudyInstanceUID = note.study_instance_uid
    series: dict[str, list[Reference]] = {}
    for reference in note.references:
        series.setdefault(reference.series_instance_uid, []).append(reference)
    study.ReferencedSeriesSequence = [_series(uid, references) for uid, references in series.items()]
    return study


def _series(uid: str, references: Iterable[Reference]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = [_object(reference) for reference in references]
    return series


def _object(reference: Reference) -> Dataset:
    named = Dataset()
    named.ReferencedSOPClassUID = reference.sop_class_uid
    named.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return named


def _contained(reference: Reference) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [_object(reference)]
    return item
