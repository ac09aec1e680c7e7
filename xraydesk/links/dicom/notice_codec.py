"""That images can be read somewhere, as DICOM tells it (Instance Availability Notification, PS3.3 C.4.23). Pure."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from xraydesk.imaging.notice_rules import ONLINE
from xraydesk.journey.announced import Announced
from xraydesk.links.dicom.header_codec import is_wire_uid, text
from xraydesk.links.dicom.mpps_codec import MISSING_ATTRIBUTE, MISSING_VALUE
from xraydesk.links.dicom.sop_classes import MODALITY_PERFORMED_STEP

OBJECTS_MAX = 10_000
"""So many objects are read of one notice."""


class BadNotice(ValueError):
    """A notice that cannot be taken; `status` is the DIMSE status (PS3.7 annex C), `keyword` the attribute."""

    def __init__(self, status: int, keyword: str) -> None:
        super().__init__(f"{keyword} {'is missing' if status == MISSING_ATTRIBUTE else 'has no value'}")
        self.status = status
        self.keyword = keyword


def notice_of(said: dict[str, Any]) -> Dataset:
    """The data set of a notice from what was put down of it (`imaging.AvailabilityNotice.said`)."""
    notice = Dataset()
    notice.ReferencedPerformedProcedureStepSequence = [_step(uid) for uid in said["steps"]]
    notice.StudyInstanceUID = said["study"]
    notice.ReferencedSeriesSequence = []
    for series_uid, objects in said["series"].items():
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = [
            _object(sop_class, uid, said["retrieve_ae"], said.get("availability", ONLINE))
            for sop_class, uid in objects
        ]
        notice.ReferencedSeriesSequence.append(series)
    return notice


def _step(uid: str) -> Dataset:
    step = Dataset()
    step.ReferencedSOPClassUID, step.ReferencedSOPInstanceUID = MODALITY_PERFORMED_STEP, uid
    step.PerformedWorkitemCodeSequence = []
    return step


def _object(sop_class: str, sop_instance: str, retrieve_ae: str, availability: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    item.InstanceAvailability, item.RetrieveAETitle = availability, retrieve_ae
    return item


def read_notice(dataset: Dataset) -> Announced:
    """What a destination tells of. Raises BadNotice."""
    if "StudyInstanceUID" not in dataset:
        raise BadNotice(MISSING_ATTRIBUTE, "StudyInstanceUID")
    if not text(dataset, "StudyInstanceUID"):
        raise BadNotice(MISSING_VALUE, "StudyInstanceUID")
    if "ReferencedSeriesSequence" not in dataset:
        raise BadNotice(MISSING_ATTRIBUTE, "ReferencedSeriesSequence")
    online: set[str] = set()
    away: set[str] = set()
    objects = (
        item
        for series in dataset.ReferencedSeriesSequence or ()
        for item in series.get("ReferencedSOPSequence") or ()
    )
    for item, _ in zip(objects, range(OBJECTS_MAX), strict=False):
        uid = text(item, "ReferencedSOPInstanceUID")
        if is_wire_uid(uid):
            (online if text(item, "InstanceAvailability") == ONLINE else away).add(uid)
    return Announced(frozenset(online), frozenset(away))
