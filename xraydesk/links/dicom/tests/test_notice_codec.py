"""A notice that images can be read: what is written, what is read, and what is refused."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from xraydesk.journey.announced import Announced
from xraydesk.links.dicom.notice_codec import BadNotice, notice_of, read_notice

SAID = {
    "study": "1.2.3",
    "series": {
        "1.2.3.4": [["1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.1"], ["1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.2"]]
    },
    "steps": ["1.2.9"],
    "retrieve_ae": "PACS",
}


def test_a_notice_says_study_series_objects_steps_and_where_to_get_them() -> None:
    notice = notice_of(SAID)
    assert notice.StudyInstanceUID == "1.2.3"
    (step,) = notice.ReferencedPerformedProcedureStepSequence
    assert (step.ReferencedSOPClassUID, step.ReferencedSOPInstanceUID) == ("1.2.840.10008.3.1.2.3.3", "1.2.9")
    assert list(step.PerformedWorkitemCodeSequence) == []
    (series,) = notice.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.3.4"
    assert [
        (one.ReferencedSOPInstanceUID, one.InstanceAvailability, one.RetrieveAETitle)
        for one in series.ReferencedSOPSequence
    ] == [("1.2.3.4.1", "ONLINE", "PACS"), ("1.2.3.4.2", "ONLINE", "PACS")]
    assert "PatientName" not in notice


def test_what_is_online_can_be_read_and_nothing_else() -> None:
    notice = notice_of(SAID)
    objects = notice.ReferencedSeriesSequence[0].ReferencedSOPSequence
    objects[1].InstanceAvailability = "NEARLINE"
    objects.append(Dataset())
    notice.ReferencedSeriesSequence.append(Dataset())
    assert read_notice(notice) == Announced(frozenset({"1.2.3.4.1"}), frozenset({"1.2.3.4.2"}))


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("StudyInstanceUID", None, 0x0120),
        ("StudyInstanceUID", "", 0x0121),
        ("ReferencedSeriesSequence", None, 0x0120),
    ],
)
def test_a_notice_without_a_study_or_its_series_is_refused(
    keyword: str, value: str | None, status: int
) -> None:
    notice = notice_of(SAID)
    if value is None:
        del notice[keyword]
    else:
        setattr(notice, keyword, value)
    with pytest.raises(BadNotice, match=keyword) as refused:
        read_notice(notice)
    assert (refused.value.status, refused.value.keyword) == (status, keyword)


def test_a_notice_of_a_study_without_series_is_taken() -> None:
    notice = notice_of(SAID)
    notice.ReferencedSeriesSequence = []
    assert read_notice(notice) == Announced(frozenset(), frozenset())
