"""What machines tell of a performed step, and what is refused."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.shared_data import shared_data
from xraydesk.imaging.header import DOCUMENTS, ScheduledReference
from xraydesk.imaging.states import StepState
from xraydesk.links.dicom.mpps_codec import (
    BAD_VALUE,
    HAS_END,
    HAS_SERIES,
    MISSING_ATTRIBUTE,
    MISSING_VALUE,
    BadStep,
    read_creation,
    read_update,
)


def item(**values) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def creation(**values) -> Dataset:
    base = {
        "ScheduledStepAttributesSequence": [
            item(
                StudyInstanceUID="1.2.3",
                AccessionNumber="A1",
                RequestedProcedureID="R1",
                ScheduledProcedureStepID="S1",
                RequestedProcedureDescription="Chest 2 views",
            )
        ],
        "PatientName": "Prüfer^Ada",
        "PatientID": "N1",
        "PatientBirthDate": "19690512",
        "PatientSex": "F",
        "PerformedProcedureStepID": "P1",
        "PerformedStationAETitle": "XR1",
        "PerformedProcedureStepStartDate": "20260302",
        "PerformedProcedureStepStartTime": "101500",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "Modality": "DX",
    }
    return item(**(base | values))


def end(state: str = "COMPLETED", **values) -> Dataset:
    series = item(
        SeriesInstanceUID="1.5",
        ProtocolName="CHEST",
        ReferencedImageSequence=[item(ReferencedSOPInstanceUID="1.9"), item(ReferencedSOPInstanceUID="../x")],
        ReferencedNonImageCompositeSOPInstanceSequence=[item(ReferencedSOPInstanceUID="1.10")],
    )
    base = {
        "PerformedProcedureStepStatus": state,
        "PerformedProcedureStepEndDate": "20260302",
        "PerformedProcedureStepEndTime": "102000",
        "PerformedSeriesSequence": [series],
    }
    return item(**(base | values))


def without(ds: Dataset, keyword: str) -> Dataset:
    del ds[keyword]
    return ds


def create(ds: Dataset):
    return read_creation(ds, sop_instance_uid="1.7")


def update(ds: Dataset, **known: bool):
    return read_update(ds, sop_instance_uid="1.7", **known)


def test_a_beginning_is_read_with_its_references() -> None:
    report = create(creation())
    assert report.references == (ScheduledReference("A1", "1.2.3", "R1", "S1"),)
    assert (report.state, report.ae_title, report.step_id) == (StepState.IN_PROGRESS, "XR1", "P1")
    assert (report.patient_id, report.patient_birth_date) == ("N1", date(1969, 5, 12))
    assert report.started_at == datetime(2026, 3, 2, 10, 15)
    assert report.procedure_text == "Chest 2 views"


def test_what_is_no_uid_in_a_reference_is_left_out() -> None:
    """Row 29."""
    report = create(creation(ScheduledStepAttributesSequence=[item(StudyInstanceUID="../../x")]))
    assert report.references == (ScheduledReference(),)


def test_the_procedure_is_named_by_its_code() -> None:
    code = item(CodeValue="XRCHEST2", CodeMeaning="Chest")
    report = create(creation(ProcedureCodeSequence=[code]))
    assert (report.procedure_code, report.procedure_text) == ("XRCHEST2", "Chest")


@pytest.mark.parametrize(
    ("dataset", "status", "keyword"),
    [
        (without(creation(), "Modality"), MISSING_ATTRIBUTE, "Modality"),
        (creation(PerformedProcedureStepID=""), MISSING_VALUE, "PerformedProcedureStepID"),
        (creation(PerformedProcedureStepStatus="COMPLETED"), BAD_VALUE, "PerformedProcedureStepStatus"),
        (creation(PerformedProcedureStepStatus="DONE"), BAD_VALUE, "PerformedProcedureStepStatus"),
        (creation(PerformedProcedureStepStartDate="soon"), BAD_VALUE, "PerformedProcedureStepStartDate"),
        (creation(ScheduledStepAttributesSequence=[]), MISSING_VALUE, "ScheduledStepAttributesSequence"),
        (
            without(creation(), "ScheduledStepAttributesSequence"),
            MISSING_ATTRIBUTE,
            "ScheduledStepAttributesSequence",
        ),
    ],
)
def test_a_beginning_that_lacks_what_is_needed_is_refused(
    dataset: Dataset, status: int, keyword: str
) -> None:
    with pytest.raises(BadStep) as refused:
        create(dataset)
    assert (refused.value.status, refused.value.keyword) == (status, keyword)


def test_an_end_is_read_with_its_images_and_dose() -> None:
    report = update(end(ImageAndFluoroscopyAreaDoseProduct=0.5703, TotalNumberOfExposures=2))
    assert (report.state, report.ended_at) == (StepState.COMPLETED, datetime(2026, 3, 2, 10, 20))
    assert report.referenced_images == ("1.9", "1.10")
    assert report.dap_gym2 == pytest.approx(0.5703e-5)
    assert report.attributes == {
        "protocols": ["CHEST"],
        "exposures": 2.0,
        DOCUMENTS: ["1.10"],
        HAS_SERIES: True,
        HAS_END: True,
    }


def test_a_discontinuation_gives_its_reason_and_may_have_made_nothing() -> None:
    reason = item(CodeValue="110514", CodingSchemeDesignator="DCM", CodeMeaning="Incorrect worklist entry")
    report = update(
        end(
            "DISCONTINUED",
            PerformedSeriesSequence=[],
            PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason],
        )
    )
    assert (report.reason_code, report.reason_text) == ("110514", "Incorrect worklist entry")


def test_news_on_the_way_needs_nothing() -> None:
    assert update(Dataset()).state is None
    assert update(item(PerformedProcedureStepStatus="IN PROGRESS")).state is StepState.IN_PROGRESS


@pytest.mark.parametrize(
    ("dataset", "status"),
    [
        (without(end(), "PerformedProcedureStepEndTime"), MISSING_ATTRIBUTE),
        (end(PerformedProcedureStepEndDate=""), MISSING_VALUE),
        (end(PerformedProcedureStepEndTime="late"), BAD_VALUE),
        (without(end(), "PerformedSeriesSequence"), MISSING_ATTRIBUTE),
        (end(PerformedSeriesSequence=[]), MISSING_VALUE),
        (end(""), MISSING_VALUE),
        (end("DONE"), BAD_VALUE),
    ],
)
def test_an_end_that_lacks_what_is_needed_is_refused(dataset: Dataset, status: int) -> None:
    with pytest.raises(BadStep) as refused:
        update(dataset)
    assert refused.value.status == status


def test_what_came_earlier_need_not_come_again() -> None:
    last = item(PerformedProcedureStepStatus="COMPLETED")
    assert update(last, has_end=True, has_series=True).state is StepState.COMPLETED


@pytest.mark.data
def test_a_real_machines_step_is_read() -> None:
    folder = shared_data("mpps")
    begun = create(dcmread(folder / "mpps-inprogress1.dcm"))
    assert (begun.ae_title, begun.patient_id_issuer) == ("DVT", "Issuer of Patient ID1")
    assert begun.references[0].accession == "113425301"
    ended = update(dcmread(folder / "mpps-completed1.dcm"))
    assert len(ended.referenced_images) == 2
    assert ended.dap_gym2 == pytest.approx(0.5703e-5)


def test_what_is_no_picture_to_be_read_is_told_apart() -> None:
    pictures = [
        item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", ReferencedSOPInstanceUID="1.9"),
        item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", ReferencedSOPInstanceUID="1.11"),
        item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1.1.1", ReferencedSOPInstanceUID="1.12"),
    ]
    others = [item(ReferencedSOPInstanceUID="1.10"), item(ReferencedSOPInstanceUID="../x")]
    series = item(ReferencedImageSequence=pictures, ReferencedNonImageCompositeSOPInstanceSequence=others)
    report = update(end(PerformedSeriesSequence=[series]))
    assert report.referenced_images == ("1.9", "1.11", "1.12", "1.10")
    assert report.attributes[DOCUMENTS] == ["1.10", "1.11", "1.12"]
