"""What a DICOM file says, for `xraydesk read`: an image, a dose report, a performed step, a worklist entry."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from xraydesk.links.dicom.dose_codec import is_dose_report, read_dose_report
from xraydesk.links.dicom.file_head import where_it_begins
from xraydesk.links.dicom.header_codec import (
    DECODED_BYTES_MAX,
    check_depth,
    decoded_bytes,
    number,
    read_header,
    text,
)
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.reading import BadDataSet, items_of

MPPS_CLASS = "1.2.840.10008.3.1.2.3.3"
WORKLIST_CLASS = "1.2.840.10008.5.1.4.31"
_INFLATE_STEP = 1_048_576


class NotReadable(ValueError):
    """The file is no DICOM of a kind that can be read, or it is broken; the message says why."""


def describe(path: Path) -> list[dict[str, Any]]:
    """What one file says, as one object.

    Doses in Gy·m² and Gy, tube voltage in kV, times in ms. Raises NotReadable, also for a file
    that is cut short, even where the rest of it would parse.
    """
    try:
        with _whole_dataset(path) as dataset:
            check_depth(dataset)
            return [_told(dataset)]
    except BadDataSet as trouble:
        raise NotReadable(f"is no DICOM object that can be read: {trouble}") from None


def _told(dataset: Dataset) -> dict[str, Any]:
    if is_dose_report(dataset):
        return _dose_report(dataset)
    for fits, tell in _KINDS:
        if fits(dataset):
            return tell(dataset)
    modality = text(dataset, "Modality")
    raise NotReadable(
        f"is a DICOM object, but no image, dose report, performed step or worklist entry (modality {modality or 'not said'})"
    )


# ---- opening ----------------------------------------------------------------------------


@contextmanager
def _whole_dataset(path: Path) -> Any:
    """The data set of a file with or without a preamble; raises BadDataSet."""
    with path.open("rb") as file:
        begins = where_it_begins(file)
        if begins.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            with tempfile.NamedTemporaryFile(suffix=".dcm") as inflated:
                _inflate(file, inflated.file)
                yield read_object(
                    Path(inflated.name), dataset_offset=0, transfer_syntax=str(ExplicitVRLittleEndian)
                )
            return
    yield read_object(path, dataset_offset=begins.dataset_offset, transfer_syntax=begins.transfer_syntax_uid)


def _inflate(file: BinaryIO, into: Any) -> None:
    """Unpack a deflated data set up to the cap; raises BadDataSet."""
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    written = 0
    try:
        while packed := file.read(_INFLATE_STEP):
            while packed:
                part = unpack.decompress(packed, _INFLATE_STEP)
                written += len(part)
                if written > DECODED_BYTES_MAX:
                    raise BadDataSet("it would unpack to more than is taken")
                into.write(part)
                packed = unpack.unconsumed_tail
    except zlib.error:
        raise BadDataSet("it cannot be unpacked") from None
    if not unpack.eof:
        raise BadDataSet("it is cut short")
    into.flush()


# ---- telling ----------------------------------------------------------------------------


def _or_none(dataset: Dataset, keyword: str) -> str | None:
    return text(dataset, keyword) or None


def _dose_report(dataset: Dataset) -> dict[str, Any]:
    report = read_dose_report(dataset)
    return {
        "kind": "rdsr",
        "sop_instance_uid": report.sop_instance_uid or None,
        "study_instance_uid": report.study_instance_uid or None,
        "accession_number": report.accession or None,
        "manufacturer": report.manufacturer or None,
        "total_dap_gym2": report.total_dap_gym2,
        "events": [asdict(event) | {"kvp": list(event.kvp)} for event in report.events],
    }


def _image(dataset: Dataset) -> dict[str, Any]:
    header = read_header(
        dataset,
        sop_class_uid=text(dataset, "SOPClassUID"),
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        transfer_syntax_uid="",
    )
    told: dict[str, Any] = {
        "kind": "image",
        "modality": header.modality,
        "sop_class_uid": header.sop_class_uid,
        "sop_instance_uid": header.sop_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "series_instance_uid": header.series_instance_uid,
        "patient_id": header.patient_id,
        "patient_name": header.patient_name,
        "accession_number": header.accession,
        "body_part": header.body_part,
        "view_position": header.view_position,
        "laterality": header.laterality,
        "manufacturer": header.manufacturer,
        "station_name": header.station_name,
    }
    told = {name: value or None for name, value in told.items()}
    return told | {
        "dap_gym2": header.dap_gym2,
        "exposure_index": header.exposure_index,
        "target_exposure_index": header.target_exposure_index,
        "deviation_index": header.deviation_index,
        "kvp": header.kvp,
        "mas": header.mas,
        "exposure_time_ms": header.exposure_time_ms,
    }


def _step(dataset: Dataset) -> dict[str, Any]:
    area_dose = number(dataset, "ImageAndFluoroscopyAreaDoseProduct", minimum=0)
    items = items_of(dataset, "ScheduledStepAttributesSequence")
    return {
        "kind": "mpps",
        "sop_instance_uid": _or_none(dataset, "SOPInstanceUID"),
        "status": _or_none(dataset, "PerformedProcedureStepStatus"),
        "patient_id": _or_none(dataset, "PatientID"),
        "patient_name": _or_none(dataset, "PatientName"),
        "modality": _or_none(dataset, "Modality"),
        "accession_number": text(items[0], "AccessionNumber") or None if items else None,
        "dap_gym2": None if area_dose is None else area_dose * 1e-5,
    }


def _worklist(dataset: Dataset) -> dict[str, Any]:
    items = items_of(dataset, "ScheduledProcedureStepSequence")
    step = items[0] if items else Dataset()
    return {
        "kind": "worklist",
        "patient_id": _or_none(dataset, "PatientID"),
        "patient_name": _or_none(dataset, "PatientName"),
        "accession_number": _or_none(dataset, "AccessionNumber"),
        "study_instance_uid": _or_none(dataset, "StudyInstanceUID"),
        "requested_procedure_id": _or_none(dataset, "RequestedProcedureID"),
        "scheduled_step_id": _or_none(step, "ScheduledProcedureStepID"),
        "ae_title": _or_none(step, "ScheduledStationAETitle"),
        "modality": _or_none(step, "Modality"),
    }


def _is_step(dataset: Dataset) -> bool:
    return text(dataset, "SOPClassUID") == MPPS_CLASS or (
        "PerformedProcedureStepStatus" in dataset and "Rows" not in dataset
    )


def _is_worklist(dataset: Dataset) -> bool:
    return text(dataset, "SOPClassUID") == WORKLIST_CLASS or "ScheduledProcedureStepSequence" in dataset


def _is_image(dataset: Dataset) -> bool:
    return decoded_bytes(dataset) > 0 or "Image Storage" in UID(text(dataset, "SOPClassUID")).name


_KINDS: tuple[tuple[Callable[[Dataset], bool], Callable[[Dataset], dict[str, Any]]], ...] = (
    (_is_step, _step),
    (_is_worklist, _worklist),
    (_is_image, _image),
)
