"""What a modality sends, made with pydicom alone: images, a dose report, performed steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE

MPPS = "1.2.840.10008.3.1.2.3.3"
DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"


def new_uid() -> str:
    """A new UID."""
    return str(generate_uid(prefix="2.25."))


def object_of(sop_class: str, **fields: Any) -> Dataset:
    """A data set of a class with its file meta information."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, new_uid()
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "1", 1, 1
    made.PatientBirthDate, made.PatientSex = "19690512", "F"
    now = datetime.now()
    made.StudyDate = made.ContentDate = f"{now:%Y%m%d}"
    made.StudyTime = made.ContentTime = f"{now:%H%M%S}"
    for keyword, value in fields.items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def image(**fields: Any) -> Dataset:
    """A small DX image with a dose area product of 2.05 dGy·cm²."""
    made = object_of(
        DX_IMAGE, Modality="DX", SeriesInstanceUID=new_uid(), BodyPartExamined="CHEST", ViewPosition="PA",
        ImageAndFluoroscopyAreaDoseProduct=2.05, ExposureIndex=286.8, TargetExposureIndex=438.5, DeviationIndex=-1.8,
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", Rows=8, Columns=8, BitsAllocated=16,
        BitsStored=12, HighBit=11, PixelRepresentation=0,
    )  # fmt: skip
    for keyword, value in fields.items():
        setattr(made, keyword, value)
    made.add_new("PixelData", "OW", bytes(range(128)))
    return made


def dose_report(total_gym2: float, **fields: Any) -> Dataset:
    """A dose report with a total in Gy·m² and no events."""

    def code(value: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", value
        return item

    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = f"{total_gym2:.8f}", [code("Gy.m2")]
    total = Dataset()
    total.RelationshipType, total.ValueType = "CONTAINS", "NUM"
    total.ConceptNameCodeSequence, total.MeasuredValueSequence = [code("113722")], [measured]
    container = Dataset()
    container.RelationshipType, container.ValueType, container.ContinuityOfContent = (
        "CONTAINS",
        "CONTAINER",
        "SEPARATE",
    )
    container.ConceptNameCodeSequence, container.ContentSequence = [code("113702")], [total]
    return object_of(
        DOSE_SR, Modality="SR", SeriesInstanceUID=new_uid(), ValueType="CONTAINER", ContinuityOfContent="SEPARATE",
        CompletionFlag="COMPLETE", VerificationFlag="UNVERIFIED", ConceptNameCodeSequence=[code("113701")],
        ContentSequence=[container], **fields,
    )  # fmt: skip


def step_begun(ae_title: str, *, accession: str, study: str, **fields: Any) -> Dataset:
    """The data set of an MPPS N-CREATE."""
    reference = Dataset()
    reference.StudyInstanceUID, reference.AccessionNumber = study, accession
    reference.RequestedProcedureID = fields.pop("requested_procedure_id", "")
    reference.ScheduledProcedureStepID = fields.pop("scheduled_step_id", "")
    reference.ReferencedStudySequence, reference.ScheduledProtocolCodeSequence = [], []
    reference.RequestedProcedureDescription = reference.ScheduledProcedureStepDescription = ""
    now = datetime.now()
    told = Dataset()
    told.SpecificCharacterSet = "ISO_IR 192"
    told.ScheduledStepAttributesSequence = [reference]
    told.PatientName = told.PatientID = told.PatientBirthDate = told.PatientSex = ""
    told.ReferencedPatientSequence = []
    told.PerformedProcedureStepID, told.PerformedStationAETitle = "PPS1", ae_title
    told.PerformedStationName = told.PerformedLocation = ""
    told.PerformedProcedureStepStartDate, told.PerformedProcedureStepStartTime = (
        f"{now:%Y%m%d}",
        f"{now:%H%M%S}",
    )
    told.PerformedProcedureStepStatus = "IN PROGRESS"
    told.PerformedProcedureStepDescription = told.PerformedProcedureTypeDescription = ""
    told.ProcedureCodeSequence = []
    told.PerformedProcedureStepEndDate = told.PerformedProcedureStepEndTime = ""
    told.Modality, told.StudyID = "DX", "1"
    told.PerformedProtocolCodeSequence, told.PerformedSeriesSequence = [], []
    for keyword, value in fields.items():
        setattr(told, keyword, value)
    return told


def step_ended(images: list[Dataset], status: str = "COMPLETED", reason: str = "") -> Dataset:
    """The data set of the final MPPS N-SET."""
    now = datetime.now()
    series = Dataset()
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = (
        series.RetrieveAETitle
    ) = ""
    series.ProtocolName = "CHEST"
    series.SeriesInstanceUID = images[0].SeriesInstanceUID if images else new_uid()
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    series.ReferencedImageSequence = []
    for one in images:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
            one.SOPClassUID,
            one.SOPInstanceUID,
        )
        series.ReferencedImageSequence.append(reference)
    told = Dataset()
    told.PerformedProcedureStepStatus = status
    told.PerformedProcedureStepEndDate, told.PerformedProcedureStepEndTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    told.PerformedSeriesSequence = [series]
    if reason:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = reason, "DCM", "reason"
        told.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
    return told


def tell_step(port: int, ae_title: str, what: str, dataset: Dataset, uid: str) -> int | None:
    """Send an N-CREATE or N-SET; its status, None where none came."""
    entity = AE(ae_title=ae_title)
    entity.add_requested_context(MPPS, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", port, ae_title="XRAYDESK")
    if not association.is_established:
        return None
    try:
        status, _ = getattr(association, what)(dataset, MPPS, uid)
        return int(status.Status) if "Status" in status else None
    finally:
        association.release()


def store(port: int, ae_title: str, objects: list[Dataset]) -> list[int | None]:
    """C-STORE objects over one association; a status each, None where none came."""
    entity = AE(ae_title=ae_title)
    for sop_class in sorted({str(one.SOPClassUID) for one in objects}):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", port, ae_title="XRAYDESK")
    if not association.is_established:
        return [None] * len(objects)
    try:
        statuses = [association.send_c_store(one) for one in objects]
        return [int(status.Status) if "Status" in status else None for status in statuses]
    finally:
        if association.is_established:
            association.release()
