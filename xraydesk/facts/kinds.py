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
    PLACE_HELD = "place held"
    HOLD_ENDED = "held place free again"
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
    ORDER_JOINED = "order came late"
    EXAM_JOINED = "was done already"
    TOLD_AGAIN = "told again under its order"
    ORDER_PARTED = "was not its order"
    EXAM_PARTED = "was not done already"
    IMAGE_RECEIVED = "image received"
    IMAGE_MATCHED = "image matched"
    IMAGE_QUARANTINED = "image quarantined"
    IMAGE_HELD = "image held"
    IMAGE_REJECTED = "image rejected"
    IMAGE_CORRECTED = "image corrected"
    IMAGE_MOVED = "image moved to another exam"
    IMAGE_SENT = "image sent"
    IMAGE_RECALLED = "image taken back"
    DECISION_UNDONE = "decision about an image undone"
    IMAGES_COMMITTED = "storage committed"
    IMAGES_KEPT = "kept by a destination"
    IMAGE_NOT_KEPT = "not kept by a destination"
    IMAGES_RELEASED = "files of images let go"
    DOCUMENTS_RELEASED = "documents let go"
    IMAGE_BACK = "file of an image came again"
    IMAGES_AVAILABLE = "images available"
    IMAGES_OPENED = "images opened"
    READER_TOLD = "reader told"
    READER_PASSED = "passed to the covering reader"
    PRIOR_CHANGED = "study to compare with"
    OUTSIDE_BROUGHT = "images brought from outside"
    OUTSIDE_TAKEN = "outside images taken in"
    OUTSIDE_REFUSED = "outside images not taken in"
    DOSE_RECORDED = "dose recorded"
    PATIENT_CREATED = "patient created"
    PATIENT_UPDATED = "patient updated"
    PATIENT_MOVED = "patient moved"
    PATIENTS_MERGED = "records made one"
    PATIENTS_PARTED = "records parted again"
    STAY_MOVED = "stay of another patient"
    NUMBER_MOVED = "number of another patient"
    EXAM_REASSIGNED = "exam of another record"
    PATIENT_ADMITTED = "patient admitted"
    PATIENT_DISCHARGED = "patient discharged"
    REPORT_RECEIVED = "report received"
    FINDING_SUSPECTED = "report to be looked at"
    FINDING_OPENED = "result to be told"
    FINDING_DISMISSED = "nothing to be told"
    FINDING_CALLED = "somebody was called"
    FINDING_ESCALATED = "passed to the next person"
    FINDING_READ_BACK = "read back"
    CHARGE_HELD = "charge held"
    CHARGE_READY = "charged"
    CHARGE_ACCEPTED = "charge accepted"
    CHARGE_CREDITED = "charge credited"
    TRANSPORT_ASKED = "porter asked"
    TRANSPORT_CHANGED = "porter's job changed"
    TRANSPORT_ACCEPTED = "porter on the way"
    TRANSPORT_HANDED_BACK = "porter handed the job back"
    PATIENT_PICKED_UP = "picked up"
    PATIENT_DELIVERED = "delivered"
    TRANSPORT_FAILED = "could not be brought"
    TRANSPORT_CANCELLED = "porter's job cancelled"
    FEEDBACK_GIVEN = "reader's word"
    FEEDBACK_WITHDRAWN = "reader's word taken back"
    SITE_LOADED = "site loaded"
    ROOM_DOWN = "room down"
    ROOM_READY = "room ready"
    ROOM_CLOSURE_PLANNED = "room to be closed"
    ROOM_CLOSURE_ENDED = "room not to be closed"
    TECHNOLOGIST_GONE = "technologist gone"
    TECHNOLOGIST_BACK = "technologist back"
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
        FactKind.IMAGE_RECALLED,
        FactKind.IMAGES_COMMITTED,
        FactKind.IMAGES_KEPT,
        FactKind.IMAGE_NOT_KEPT,
        FactKind.IMAGES_RELEASED,
        FactKind.DOCUMENTS_RELEASED,
        FactKind.IMAGE_BACK,
        FactKind.IMAGES_AVAILABLE,
        FactKind.IMAGES_OPENED,
        FactKind.READER_TOLD,
        FactKind.READER_PASSED,
        FactKind.PRIOR_CHANGED,
        FactKind.OUTSIDE_BROUGHT,
        FactKind.OUTSIDE_REFUSED,
        FactKind.DOSE_RECORDED,
        FactKind.PATIENT_CREATED,
        FactKind.EXAM_HELD,
        FactKind.PATIENT_DISCHARGED,
        FactKind.PATIENT_ADMITTED,
        FactKind.UNSCHEDULED_STEP,
        FactKind.EXAM_JOINED,
        FactKind.IMAGE_CORRECTED,
        FactKind.ITEM_RAISED,
        FactKind.ITEM_CLOSED,
        FactKind.SAFETY_CHECKED,
        FactKind.EXAM_REASSIGNED,
        FactKind.BOOKING_FAILED,
        FactKind.PLACE_HELD,
        FactKind.ROOM_CLOSURE_PLANNED,
        FactKind.ROOM_DOWN,
        FactKind.TECHNOLOGIST_GONE,
        FactKind.FINDING_SUSPECTED,
        FactKind.CHARGE_HELD,
        FactKind.CHARGE_ACCEPTED,
        FactKind.TRANSPORT_ASKED,
        FactKind.TRANSPORT_CHANGED,
        FactKind.TRANSPORT_ACCEPTED,
        FactKind.TRANSPORT_HANDED_BACK,
        FactKind.PATIENT_PICKED_UP,
        FactKind.PATIENT_DELIVERED,
        FactKind.TRANSPORT_FAILED,
        FactKind.TRANSPORT_CANCELLED,
        FactKind.FEEDBACK_GIVEN,
        FactKind.FEEDBACK_WITHDRAWN,
    }
)
"""Kinds that the reactions table has no entry for; a test in `reactions` holds the two together."""
