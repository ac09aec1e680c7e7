"""Every kind of fact, in the words of the department."""

from __future__ import annotations

from enum import StrEnum


class FactKind(StrEnum):
    """What can happen. The value is the contract's word; it never changes once facts carry it."""

    ORDER_RECEIVED = "order received"
    ORDER_CHANGED = "order changed"
    ORDER_CANCELLED = "order cancelled"
    EXAM_ACCEPTED = "accepted in triage"
    EXAM_HELD = "held in triage"
    PRIORITY_CHANGED = "priority changed"
    NOTE_WRITTEN = "note written"
    EXAM_BOOKED = "booked"
    EXAM_MOVED = "moved"
    BOOKING_RELEASED = "booking released"
    BOOKING_FAILED = "no place found"
    NO_SHOW = "no-show"
    NO_SHOW_UNDONE = "no-show taken back"
    PATIENT_ARRIVED = "arrived"
    ARRIVAL_UNDONE = "arrival taken back"
    SAFETY_CHECKED = "safety check"
    EXAM_TAKEN = "taken to another room"
    EXAM_BEGUN = "begun"
    EXAM_ENDED = "ended"
    EXAM_DISCONTINUED = "discontinued"
    EXAM_REOPENED = "reopened"
    EXAM_CANCELLED = "cancelled"
    UNSCHEDULED_STEP = "begun without an order"
    IMAGE_RECEIVED = "image received"
    IMAGE_MATCHED = "image matched"
    IMAGE_QUARANTINED = "image quarantined"
    IMAGE_HELD = "image held"
    IMAGE_REJECTED = "image rejected"
    IMAGE_CORRECTED = "image corrected"
    IMAGE_SENT = "image sent"
    IMAGES_COMMITTED = "storage committed"
    DOSE_RECORDED = "dose recorded"
    PATIENT_CREATED = "patient created"
    PATIENT_UPDATED = "patient updated"
    PATIENT_MOVED = "patient moved"
    PATIENT_ADMITTED = "patient admitted"
    PATIENT_DISCHARGED = "patient discharged"
    SITE_LOADED = "site loaded"
    ROOM_DOWN = "room down"
    ROOM_READY = "room ready"
    ITEM_RAISED = "item raised"
    ITEM_CLOSED = "item closed"

    @property
    def has_reactions(self) -> bool:
        """False where nothing ever follows by itself, so that no job is deferred for it."""
        return self not in SILENT


SILENT = frozenset(
    {
        FactKind.NOTE_WRITTEN,
        FactKind.IMAGE_RECEIVED,
        FactKind.IMAGE_SENT,
        FactKind.IMAGES_COMMITTED,
        FactKind.DOSE_RECORDED,
        FactKind.PATIENT_CREATED,
        FactKind.EXAM_HELD,
        FactKind.PATIENT_DISCHARGED,
        FactKind.PATIENT_ADMITTED,
        FactKind.PATIENT_MOVED,
        FactKind.PRIORITY_CHANGED,
        FactKind.EXAM_BEGUN,
        FactKind.UNSCHEDULED_STEP,
        FactKind.IMAGE_QUARANTINED,
        FactKind.IMAGE_HELD,
        FactKind.IMAGE_REJECTED,
        FactKind.IMAGE_CORRECTED,
        FactKind.ITEM_RAISED,
        FactKind.ITEM_CLOSED,
        FactKind.SAFETY_CHECKED,
        FactKind.SITE_LOADED,
        FactKind.PATIENT_UPDATED,
        FactKind.BOOKING_FAILED,
        FactKind.NO_SHOW,
        FactKind.NO_SHOW_UNDONE,
        FactKind.PATIENT_ARRIVED,
        FactKind.ARRIVAL_UNDONE,
        FactKind.EXAM_BOOKED,
        FactKind.EXAM_MOVED,
        FactKind.ROOM_DOWN,
    }
)
"""Kinds that the reactions table has no entry for; a test in `reactions` holds the two together."""
