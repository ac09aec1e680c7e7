"""Dose as a report or a header tells it; frozen, SI units, without DICOM and without a database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DoseSource(StrEnum):
    """Where a dose value was read, the best source first."""

    REPORT = "dose report"
    STEP = "performed step"
    HEADER = "image header"


@dataclass(frozen=True)
class DoseEvent:
    """One irradiation event. None where the source does not say, or gives several values for one number.

    `dap_gym2` in Gy·m², `dose_rp_gy` in Gy at the reference point, `kvp` in kV (one a pulse
    where several were given), `mas` in mA·s, `exposure_time_ms` in ms.
    """

    event_uid: str
    protocol: str | None = None
    target_region: str | None = None
    view: str | None = None
    laterality: str | None = None
    dap_gym2: float | None = None
    dose_rp_gy: float | None = None
    kvp: tuple[float, ...] = ()
    mas: float | None = None
    exposure_time_ms: float | None = None
    exposure_index: float | None = None
    target_exposure_index: float | None = None
    deviation_index: float | None = None


@dataclass(frozen=True)
class DoseReport:
    """One source's account of the dose of a study."""

    source: DoseSource
    sop_instance_uid: str
    study_instance_uid: str = ""
    accession: str = ""
    patient_id: str = ""
    manufacturer: str = ""
    total_dap_gym2: float | None = None
    events: tuple[DoseEvent, ...] = ()
