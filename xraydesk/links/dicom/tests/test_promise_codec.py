"""What storage commitment is asked and answered with."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from xraydesk.links.dicom import promise_codec
from xraydesk.links.dicom.promise_codec import NoReport, Report, question, read_report


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def test_a_question_names_each_object_with_its_class() -> None:
    asked = question("1.2.3", [("1.2.840.1", "1.2.4"), ("1.2.840.1", "1.2.5")])
    assert asked.TransactionUID == "1.2.3"
    assert [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in asked.ReferencedSOPSequence] == [
        ("1.2.840.1", "1.2.4"),
        ("1.2.840.1", "1.2.5"),
    ]


def test_a_report_says_what_is_kept_and_what_not_with_the_reason() -> None:
    said = item(
        TransactionUID="1.2.3",
        ReferencedSOPSequence=[item(ReferencedSOPInstanceUID="1.2.4"), item()],
        FailedSOPSequence=[
            item(ReferencedSOPInstanceUID="1.2.5", FailureReason=0x0112),
            item(ReferencedSOPInstanceUID="1.2.6"),
            item(FailureReason=0x0112),
        ],
    )
    assert read_report(said) == Report("1.2.3", frozenset({"1.2.4"}), {"1.2.5": 0x0112, "1.2.6": None})
    assert read_report(item(TransactionUID="1.2.3")) == Report("1.2.3", frozenset(), {})


def test_what_is_no_report_is_refused(monkeypatch) -> None:
    with pytest.raises(NoReport):
        read_report(item())
    with pytest.raises(NoReport):
        read_report(item(TransactionUID="../../etc"))
    monkeypatch.setattr(promise_codec, "REPORTED_MAX", 1)
    with pytest.raises(NoReport):
        read_report(item(TransactionUID="1.2", ReferencedSOPSequence=[item(), item()]))
