"""Performed procedure steps as machines tell them (MPPS, PS3.4 F.7): data sets in, `imaging.StepReport` out. Pure.

Refused is what lacks an attribute that the desk cannot do without (type 1 of table
F.7.2-1). Attributes of type 2 that a machine leaves out are as good as empty: the exposure
happened, and a refusal would only lose the news of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from xraydesk.imaging.header import DOCUMENTS, ScheduledReference, StepReport
from xraydesk.imaging.states import FINAL_STEP_STATES, StepState
from xraydesk.lib.units import gym2_from_dgycm2
from xraydesk.links.dicom.header_codec import day, is_wire_uid, moment, number, text
from xraydesk.links.dicom.reading import items_of

MISSING_ATTRIBUTE, MISSING_VALUE, BAD_VALUE = 0x0120, 0x0121, 0x0106
REFERENCED_IMAGES_MAX = 5000
SERIES_MAX = 200
AT_CREATION = (
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
AT_THE_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
DOCUMENTS_MAX = 100
_NO_PICTURES = (
    "1.2.840.10008.5.1.4.1.1.88.",  # reports and key objects
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.104.",  # documents
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # for processing: never sent where the same for presentation is
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3.1",
)
"""How the SOP classes begin of what a step made besides the pictures that are read; some machines list it among the images."""

HAS_SERIES, HAS_END = "has series", "has end"
"""Attributes kept with a step: what an earlier report gave need not be repeated in the last one."""


class BadStep(ValueError):
    """The report cannot be taken; `status` is the DIMSE status (PS3.7 annex C), `keyword` the attribute."""

    def __init__(self, status: int, keyword: str) -> None:
        super().__init__(f"{keyword}: {_WORDS[status]}")
        self.status = status
        self.keyword = keyword


_WORDS = {MISSING_ATTRIBUTE: "is missing", MISSING_VALUE: "has no value", BAD_VALUE: "has a bad value"}


def read_creation(dataset: Dataset, *, sop_instance_uid: str) -> StepReport:
    """What an N-CREATE tells. Raises BadStep."""
    for keyword in AT_CREATION:
        _require(dataset, keyword)
    if "ScheduledStepAttributesSequence" not in dataset:
        raise BadStep(MISSING_ATTRIBUTE, "ScheduledStepAttributesSequence")
    if not items_of(dataset, "ScheduledStepAttributesSequence"):
        raise BadStep(MISSING_VALUE, "ScheduledStepAttributesSequence")
    if _state(dataset) is not StepState.IN_PROGRESS:
        raise BadStep(BAD_VALUE, "PerformedProcedureStepStatus")
    report = _report(dataset, sop_instance_uid, StepState.IN_PROGRESS)
    if report.started_at is None:
        raise BadStep(BAD_VALUE, "PerformedProcedureStepStartDate")
    return report


def read_update(
    dataset: Dataset, *, sop_instance_uid: str, has_end: bool = False, has_series: bool = False
) -> StepReport:
    """What an N-SET tells; `has_end` and `has_series` say what earlier reports gave already. Raises BadStep."""
    state = None
    if "PerformedProcedureStepStatus" in dataset:
        _require(dataset, "PerformedProcedureStepStatus")
        state = _state(dataset)
    report = _report(dataset, sop_instance_uid, state)
    if state in FINAL_STEP_STATES:
        if not has_end:
            for keyword in AT_THE_END:
                _require(dataset, keyword)
            if report.ended_at is None:
                raise BadStep(BAD_VALUE, "PerformedProcedureStepEndDate")
        if not has_series:
            _require_series(dataset, state)
    return report


def _require_series(dataset: Dataset, state: StepState | None) -> None:
    """A completed step has made at least one series; one that was broken off may have made none (PS3.3 C.4.16)."""
    if "PerformedSeriesSequence" not in dataset:
        raise BadStep(MISSING_ATTRIBUTE, "PerformedSeriesSequence")
    if state is StepState.COMPLETED and not items_of(dataset, "PerformedSeriesSequence"):
        raise BadStep(MISSING_VALUE, "PerformedSeriesSequence")


def _require(dataset: Dataset, keyword: str) -> None:
    if keyword not in dataset:
        raise BadStep(MISSING_ATTRIBUTE, keyword)
    if not text(dataset, keyword):
        raise BadStep(MISSING_VALUE, keyword)


def _state(dataset: Dataset) -> StepState:
    try:
        return StepState(text(dataset, "PerformedProcedureStepStatus"))
    except ValueError:
        raise BadStep(BAD_VALUE, "PerformedProcedureStepStatus") from None


def _report(dataset: Dataset, uid: str, state: StepState | None) -> StepReport:
    code, meaning = _code(dataset, "ProcedureCodeSequence")
    reason, reason_text = _code(dataset, "PerformedProcedureStepDiscontinuationReasonCodeSequence")
    area_dose = number(dataset, "ImageAndFluoroscopyAreaDoseProduct", minimum=0)
    references = tuple(_reference(i) for i in items_of(dataset, "ScheduledStepAttributesSequence"))
    described = next((r for r in _descriptions(dataset) if r), "")
    return StepReport(
        sop_instance_uid=uid,
        state=state,
        ae_title=text(dataset, "PerformedStationAETitle"),
        step_id=text(dataset, "PerformedProcedureStepID"),
        modality=text(dataset, "Modality"),
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        patient_id_issuer=text(dataset, "IssuerOfPatientID"),
        patient_birth_date=day(dataset, "PatientBirthDate"),
        patient_sex=text(dataset, "PatientSex"),
        procedure_code=code,
        procedure_text=meaning or described,
        references=references,
        started_at=moment(dataset, "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
        ended_at=moment(dataset, *AT_THE_END),
        reason_code=reason,
        reason_text=reason_text,
        referenced_images=tuple(dict.fromkeys(_referenced_images(dataset)))[:REFERENCED_IMAGES_MAX],
        dap_gym2=None if area_dose is None else gym2_from_dgycm2(area_dose),
        attributes=_attributes(dataset),
    )


def _reference(item: Dataset) -> ScheduledReference:
    study = text(item, "StudyInstanceUID")
    return ScheduledReference(
        accession=text(item, "AccessionNumber"),
        study_instance_uid=study if is_wire_uid(study) else "",
        requested_procedure_id=text(item, "RequestedProcedureID"),
        scheduled_step_id=text(item, "ScheduledProcedureStepID"),
    )


def _descriptions(dataset: Dataset) -> Iterator[str]:
    yield text(dataset, "PerformedProcedureStepDescription")
    yield text(dataset, "PerformedProcedureTypeDescription")
    for item in items_of(dataset, "ScheduledStepAttributesSequence"):
        yield text(item, "RequestedProcedureDescription")
        yield text(item, "ScheduledProcedureStepDescription")


def _code(dataset: Dataset, keyword: str) -> tuple[str, str]:
    items = items_of(dataset, keyword)
    return (text(items[0], "CodeValue"), text(items[0], "CodeMeaning")) if items else ("", "")


def _referenced_images(dataset: Dataset) -> Iterator[str]:
    for series in items_of(dataset, "PerformedSeriesSequence")[:SERIES_MAX]:
        for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            for item in items_of(series, keyword):
                uid = text(item, "ReferencedSOPInstanceUID")
                if is_wire_uid(uid):
                    yield uid


def _documents(dataset: Dataset) -> Iterator[str]:
    """Of what the step made, the objects that are no pictures to be read."""
    for series in items_of(dataset, "PerformedSeriesSequence")[:SERIES_MAX]:
        for item in items_of(series, "ReferencedNonImageCompositeSOPInstanceSequence"):
            yield text(item, "ReferencedSOPInstanceUID")
        for item in items_of(series, "ReferencedImageSequence"):
            if text(item, "ReferencedSOPClassUID").startswith(_NO_PICTURES):
                yield text(item, "ReferencedSOPInstanceUID")


def _attributes(dataset: Dataset) -> dict[str, Any]:
    """What else is worth keeping of a step, without anything of the patient."""
    series = items_of(dataset, "PerformedSeriesSequence")
    found: dict[str, Any] = {
        "description": text(dataset, "PerformedProcedureStepDescription")[:64],
        "protocols": [p for p in (text(s, "ProtocolName")[:64] for s in series[:SERIES_MAX]) if p],
        "exposures": number(dataset, "TotalNumberOfExposures", minimum=0),
        DOCUMENTS: [uid for uid in dict.fromkeys(_documents(dataset)) if is_wire_uid(uid)][:DOCUMENTS_MAX],
        HAS_SERIES: bool(series),
        HAS_END: all(text(dataset, keyword) for keyword in AT_THE_END),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [], False)}
