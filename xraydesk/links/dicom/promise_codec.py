"""Reads and writes what storage commitment is asked and answered with, seen from whoever asks (PS3.4 J.3.2, J.3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from xraydesk.links.dicom.header_codec import is_wire_uid, text
from xraydesk.links.dicom.reading import items_of, value_of

REPORTED_MAX = 10_000
"""A report that names more objects is refused."""


class NoReport(ValueError):
    """What came is no report of storage commitment."""


@dataclass(frozen=True)
class Report:
    """What a destination says: which SOP instances it keeps, and which not, with the reason's code where it gave one."""

    transaction_uid: str
    kept: frozenset[str]
    failed: Mapping[str, int | None]


def question(transaction_uid: str, objects: Iterable[tuple[str, str]]) -> Dataset:
    """The action information of a request: `objects` are (SOP class, SOP instance) pairs."""
    asked = Dataset()
    asked.TransactionUID = transaction_uid
    asked.ReferencedSOPSequence = []
    for sop_class, uid in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


def read_report(dataset: Dataset) -> Report:
    """What an N-EVENT-REPORT says. Raises NoReport where it cannot be one; an item without a UID is passed over.

    Event 1 and event 2 are told apart by what they hold, not by their number: some archives get that wrong.
    """
    transaction_uid = text(dataset, "TransactionUID")
    if not is_wire_uid(transaction_uid):
        raise NoReport("TransactionUID is missing or no UID")
    kept = items_of(dataset, "ReferencedSOPSequence")
    failed = items_of(dataset, "FailedSOPSequence")
    if len(kept) + len(failed) > REPORTED_MAX:
        raise NoReport("it names too many objects")
    return Report(
        transaction_uid,
        frozenset(uid for item in kept if is_wire_uid(uid := text(item, "ReferencedSOPInstanceUID"))),
        {uid: _reason(item) for item in failed if is_wire_uid(uid := text(item, "ReferencedSOPInstanceUID"))},
    )


def _reason(item: Dataset) -> int | None:
    value = value_of(item, "FailureReason")
    return value if isinstance(value, int) else None
