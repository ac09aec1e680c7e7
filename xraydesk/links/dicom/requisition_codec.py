"""A requisition as a document in its study: an Encapsulated PDF object (PS3.3 A.45.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
TITLE = "Requisition and clinical history"
SERIES_NUMBER = 9000
"""Beyond the numbers that machines give their series."""


@dataclass(frozen=True)
class Subject:
    """Whose study the document stands in. Texts as DICOM writes them; empty where they are not known."""

    study_instance_uid: str
    accession: str
    patient_id: str
    patient_id_issuer: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str


def uid_for(study_instance_uid: str, *of: str) -> str:
    """A UID that is the same for the same things said of a study, under the root of UUIDs (PS3.5 B.2)."""
    told = "\0".join((study_instance_uid, *of)).encode()
    return f"2.25.{int.from_bytes(sha256(told).digest()[:16], 'big')}"


def encapsulated(subject: Subject, pdf: bytes, *, digest: str, wall: datetime) -> Dataset:
    """The object, with its file meta information. `digest` stands for what the document says: with the same one it is
    the same object. `wall` is the naive time at which it was made, on the site's wall.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ENCAPSULATED_PDF
    ds.SOPInstanceUID = uid_for(subject.study_instance_uid, "requisition", digest)
    ds.StudyInstanceUID = subject.study_instance_uid
    ds.SeriesInstanceUID = uid_for(subject.study_instance_uid, "requisitions")
    ds.PatientName, ds.PatientID = subject.patient_name, subject.patient_id
    ds.IssuerOfPatientID = subject.patient_id_issuer
    ds.PatientBirthDate = f"{subject.patient_birth_date:%Y%m%d}" if subject.patient_birth_date else ""
    ds.PatientSex = subject.patient_sex
    ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = subject.accession, "", ""
    ds.StudyDate, ds.StudyTime = f"{wall:%Y%m%d}", f"{wall:%H%M%S}"
    ds.ContentDate, ds.ContentTime = ds.StudyDate, ds.StudyTime
    ds.AcquisitionDateTime = f"{wall:%Y%m%d%H%M%S}"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "DOC", SERIES_NUMBER, 1
    ds.Manufacturer, ds.ConversionType = "xraydesk", "WSD"
    ds.BurnedInAnnotation = "YES"
    ds.DocumentTitle = TITLE
    ds.ConceptNameCodeSequence = []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds
