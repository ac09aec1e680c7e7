"""The DICOM objects that the simulated modalities send: images and a dose report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from xraydesk.lib.ids import new_uid
from xraydesk.parties.draw import BITS_STORED, COLUMNS, ROWS, draw
from xraydesk.siteplan.invented import dap_dgycm2

DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
XRAY_DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"


@dataclass(frozen=True)
class Exposure:
    """One view with its exposure: dose area product in dGy·cm², tube voltage in kV, mA·s, ms, and indices."""

    view: str
    dap_dgycm2: float
    kvp: float
    mas: float
    exposure_time_ms: int
    exposure_index: float
    target_exposure_index: float
    event_uid: str

    @property
    def deviation_index(self) -> float:
        """IEC 62494-1: 10 log10(EI / EIT)."""
        return round(10 * math.log10(self.exposure_index / self.target_exposure_index), 1)


def expose(random: Random, body_part: str, view: str) -> Exposure:
    """Plausible values for one view of a part."""
    dap = dap_dgycm2(random, body_part)
    mas = round(random.uniform(1.0, 3.0) * dap**0.6, 2)
    return Exposure(
        view=view,
        dap_dgycm2=dap,
        kvp=round(random.gauss(115 if "CHEST" in body_part.upper() else 70, 3), 1),
        mas=mas,
        exposure_time_ms=max(2, int(mas * random.uniform(3, 6))),
        exposure_index=round(400 * random.lognormvariate(0, 0.25), 1),
        target_exposure_index=400.0,
        event_uid=new_uid(),
    )


def _patient_and_study(target: Dataset, entry: Dataset) -> None:
    """Copy what the worklist says of patient and study, as a modality does."""
    for keyword in (
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyInstanceUID",
        "ReferringPhysicianName",
    ):
        if keyword in entry:
            setattr(target, keyword, entry.get(keyword))
        elif keyword != "IssuerOfPatientID":
            setattr(target, keyword, "")
    target.SpecificCharacterSet = "ISO_IR 192"


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def image(
    entry: Dataset,
    *,
    exposure: Exposure,
    series_uid: str,
    number: int,
    modality: str,
    station: str,
    body_part: str,
    side: str,
    at: datetime,
    random: Random,
) -> Dataset:
    """One image of a worklist entry's exam. `side` is `L`, `R` or empty; `at` is wall time."""
    target = Dataset()
    _patient_and_study(target, entry)
    target.SOPClassUID = CR_IMAGE if modality == "CR" else DX_IMAGE
    target.SOPInstanceUID = new_uid()
    target.SeriesInstanceUID, target.SeriesNumber, target.InstanceNumber = series_uid, 1, number
    target.StudyID, target.Modality = "1", modality
    target.StudyDate = target.SeriesDate = target.AcquisitionDate = target.ContentDate = f"{at:%Y%m%d}"
    target.StudyTime = target.SeriesTime = target.AcquisitionTime = target.ContentTime = f"{at:%H%M%S}"
    target.Manufacturer, target.ManufacturerModelName = "xraydesk simulator", "Simulated DR"
    target.StationName = station
    target.BodyPartExamined, target.ViewPosition = body_part[:16], exposure.view[:16]
    target.ImageLaterality = side or "U"
    target.KVP, target.ExposureTime = exposure.kvp, exposure.exposure_time_ms
    target.ExposureInuAs = int(exposure.mas * 1000)
    target.ImageAndFluoroscopyAreaDoseProduct = exposure.dap_dgycm2
    target.ExposureIndex, target.TargetExposureIndex = exposure.exposure_index, exposure.target_exposure_index
    target.DeviationIndex = exposure.deviation_index
    target.IrradiationEventUID = exposure.event_uid
    target.ImageType = ["ORIGINAL", "PRIMARY", ""]
    target.PresentationIntentType = "FOR PRESENTATION"
    target.BurnedInAnnotation = "NO"
    target.SamplesPerPixel, target.PhotometricInterpretation = 1, "MONOCHROME2"
    target.Rows, target.Columns = ROWS, COLUMNS
    target.BitsAllocated, target.BitsStored, target.HighBit = 16, BITS_STORED, BITS_STORED - 1
    target.PixelRepresentation = 0
    target.add_new("PixelData", "OW", draw(body_part, exposure.view, side if side != "B" else "", random))
    target.file_meta = _file_meta(target)
    return target


def _code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _content(kind: str, relation: str, concept: tuple[str, str], **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    item.ConceptNameCodeSequence = [_code(*concept)]
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _number(concept: tuple[str, str], value: float, unit: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue = f"{value:.10g}"[:16]
    measured.MeasurementUnitsCodeSequence = [_code(unit, unit, "UCUM")]
    return _content("NUM", "CONTAINS", concept, MeasuredValueSequence=[measured])


def _event(exposure: Exposure, protocol: str, body_part: str, at: datetime) -> Dataset:
    region = _content("CODE", "CONTAINS", ("123014", "Target Region"))
    region.ConceptCodeSequence = [
        _code(body_part[:16] or "UNKNOWN", body_part.capitalize() or "Unknown", "99XD")
    ]
    view = _content("CODE", "CONTAINS", ("111031", "Image View"))
    view.ConceptCodeSequence = [_code(exposure.view[:16], exposure.view, "99XD")]
    kind = _content("CODE", "CONTAINS", ("113721", "Irradiation Event Type"))
    kind.ConceptCodeSequence = [_code("113611", "Stationary Acquisition")]
    return _content(
        "CONTAINER",
        "CONTAINS",
        ("113706", "Irradiation Event X-Ray Data"),
        ContinuityOfContent="SEPARATE",
        ContentSequence=[
            _content("UIDREF", "CONTAINS", ("113769", "Irradiation Event UID"), UID=exposure.event_uid),
            _content("DATETIME", "CONTAINS", ("111526", "DateTime Started"), DateTime=f"{at:%Y%m%d%H%M%S}"),
            kind,
            _content("TEXT", "CONTAINS", ("125203", "Acquisition Protocol"), TextValue=protocol),
            region,
            view,
            _number(("122130", "Dose Area Product"), exposure.dap_dgycm2 * 1e-5, "Gy.m2"),
            _number(("113733", "KVP"), exposure.kvp, "kV"),
            _number(("113736", "Exposure"), exposure.mas * 1000, "uA.s"),
            _number(("113824", "Exposure Time"), exposure.exposure_time_ms, "ms"),
            _number(("113845", "Exposure Index"), exposure.exposure_index, "1"),
            _number(("113846", "Target Exposure Index"), exposure.target_exposure_index, "1"),
            _number(("113847", "Deviation Index"), exposure.deviation_index, "1"),
        ],
    )


def dose_report(
    entry: Dataset,
    *,
    exposures: Sequence[Exposure],
    protocol: str,
    body_part: str,
    station: str,
    at: datetime,
) -> Dataset:
    """An X-ray radiation dose SR (TID 10001) over the exposures of one exam."""
    target = Dataset()
    _patient_and_study(target, entry)
    target.SOPClassUID, target.SOPInstanceUID = XRAY_DOSE_SR, new_uid()
    target.SeriesInstanceUID, target.SeriesNumber, target.InstanceNumber = new_uid(), 99, 1
    target.Modality, target.StudyID = "SR", "1"
    target.StudyDate = target.SeriesDate = target.ContentDate = f"{at:%Y%m%d}"
    target.StudyTime = target.SeriesTime = target.ContentTime = f"{at:%H%M%S}"
    target.Manufacturer, target.ManufacturerModelName = "xraydesk simulator", "Simulated DR"
    target.StationName = station
    target.CompletionFlag, target.VerificationFlag = "COMPLETE", "UNVERIFIED"
    target.ValueType, target.ContinuityOfContent = "CONTAINER", "SEPARATE"
    target.ConceptNameCodeSequence = [_code("113701", "X-Ray Radiation Dose Report")]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "10001"
    target.ContentTemplateSequence = [template]
    reported = _content("CODE", "HAS CONCEPT MOD", ("121058", "Procedure reported"))
    reported.ConceptCodeSequence = [_code("113704", "Projection X-Ray")]
    observer = _content("CODE", "HAS OBS CONTEXT", ("121005", "Observer Type"))
    observer.ConceptCodeSequence = [_code("121007", "Device")]
    total = sum(exposure.dap_dgycm2 for exposure in exposures) * 1e-5
    accumulated = _content(
        "CONTAINER",
        "CONTAINS",
        ("113702", "Accumulated X-Ray Dose Data"),
        ContinuityOfContent="SEPARATE",
        ContentSequence=[_number(("113722", "Dose Area Product Total"), total, "Gy.m2")],
    )
    events = [_event(exposure, protocol, body_part, at) for exposure in exposures]
    target.ContentSequence = [reported, observer, accumulated, *events]
    target.file_meta = _file_meta(target)
    return target
