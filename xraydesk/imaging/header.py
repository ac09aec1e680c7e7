"""What an object or a step says of itself; frozen, without DICOM and without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from xraydesk.imaging.states import StepState


@dataclass(frozen=True)
class Header:
    """What one received object says of itself. Empty or None means that it does not say.

    `marker_texts` are the machine's own words of what it shows (series, protocol, processing, view).
    `dap_gym2` is the Image and Fluoroscopy Area Dose Product (0018,115E), in Gy·m².
    `acquired_at` is naive wall time as the object has it, None where it has none.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    accession: str = ""
    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_name: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = ""
    modality: str = ""
    manufacturer: str = ""
    station_name: str = ""
    body_part: str = ""
    view_position: str = ""
    laterality: str = ""
    marker_texts: tuple[str, ...] = ()
    acquired_at: datetime | None = None
    requested_procedure_id: str = ""
    scheduled_step_id: str = ""
    dap_gym2: float | None = None
    exposure_index: float | None = None
    target_exposure_index: float | None = None
    deviation_index: float | None = None
    kvp: float | None = None
    mas: float | None = None
    exposure_time_ms: float | None = None
    is_dose_report: bool = False


@dataclass(frozen=True)
class ScheduledReference:
    """One scheduled step that a performed step names (Scheduled Step Attributes Sequence)."""

    accession: str = ""
    study_instance_uid: str = ""
    requested_procedure_id: str = ""
    scheduled_step_id: str = ""


DOCUMENTS = "documents"
"""Among a step's attributes: those of its `referenced_images` that are no pictures to be read (dose reports, marks)."""


@dataclass(frozen=True)
class StepReport:
    """What a modality tells of a performed step (MPPS N-CREATE or N-SET).

    Fields that an N-SET does not mention are None or empty. Times are naive wall time of
    the site. `dap_gym2` is in Gy·m².
    """

    sop_instance_uid: str
    state: StepState | None = None
    ae_title: str = ""
    step_id: str = ""
    modality: str = ""
    patient_id: str = ""
    patient_name: str = ""
    patient_id_issuer: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = ""
    procedure_code: str = ""
    procedure_text: str = ""
    references: tuple[ScheduledReference, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason_code: str = ""
    reason_text: str = ""
    referenced_images: tuple[str, ...] = ()
    dap_gym2: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredFile:
    """Where the spool keeps a received object: path relative to the spool, size, SHA-256 of its bytes."""

    path: str
    size_bytes: int
    sha256: str
