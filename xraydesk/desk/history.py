"""The history of an exam in sentences: one for each kind of fact. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xraydesk.facts.kinds import FactKind

SENTENCES: dict[FactKind, str] = {
    FactKind.ORDER_RECEIVED: "Ordered",
    FactKind.ORDER_CHANGED: "The order was changed",
    FactKind.ORDER_CANCELLED: "The order was cancelled",
    FactKind.EXAM_ACCEPTED: "Accepted in triage",
    FactKind.EXAM_HELD: "Held in triage",
    FactKind.PRIORITY_CHANGED: "Priority changed",
    FactKind.NOTE_WRITTEN: "A note was written",
    FactKind.EXAM_BOOKED: "Booked",
    FactKind.EXAM_MOVED: "Moved",
    FactKind.PLACE_HELD: "A place was held",
    FactKind.HOLD_ENDED: "The held place is free again",
    FactKind.BOOKING_RELEASED: "Its place was given up",
    FactKind.BOOKING_FAILED: "No place found",
    FactKind.NO_SHOW: "The patient did not come",
    FactKind.NO_SHOW_UNDONE: "No-show taken back",
    FactKind.PATIENT_ARRIVED: "Arrived",
    FactKind.ARRIVAL_UNDONE: "Arrival taken back",
    FactKind.SAFETY_CHECKED: "Safety check",
    FactKind.EXAM_TAKEN: "Taken to another room",
    FactKind.EXAM_BEGUN: "Exam begun",
    FactKind.EXAM_ENDED: "Exam ended",
    FactKind.EXAM_DISCONTINUED: "Exam discontinued",
    FactKind.EXAM_REOPENED: "Exam opened again",
    FactKind.EXAM_CANCELLED: "Cancelled",
    FactKind.UNSCHEDULED_STEP: "Begun without an order",
    FactKind.ORDER_JOINED: "Its order came",
    FactKind.EXAM_JOINED: "It was done already, before this order came",
    FactKind.TOLD_AGAIN: "Told again under its order",
    FactKind.ORDER_PARTED: "It was not its order: taken back",
    FactKind.EXAM_PARTED: "It was not done already: taken back",
    FactKind.IMAGE_RECEIVED: "Image received",
    FactKind.IMAGE_MATCHED: "Image matched to this exam",
    FactKind.IMAGE_QUARANTINED: "Image kept apart",
    FactKind.IMAGE_HELD: "Image held back",
    FactKind.IMAGE_REJECTED: "Image rejected",
    FactKind.IMAGE_CORRECTED: "Image corrected",
    FactKind.IMAGE_MOVED: "Image given to another exam",
    FactKind.IMAGE_SENT: "Image sent on",
    FactKind.IMAGE_RECALLED: "Image taken back from those who had it",
    FactKind.DECISION_UNDONE: "Decision about an image undone",
    FactKind.IMAGES_COMMITTED: "Safe keeping of images confirmed",
    FactKind.IMAGES_KEPT: "A destination promised to keep images",
    FactKind.IMAGE_NOT_KEPT: "A destination does not keep images",
    FactKind.IMAGES_RELEASED: "Files of images are no longer here",
    FactKind.DOCUMENTS_RELEASED: "Documents of its report are no longer here",
    FactKind.IMAGE_BACK: "The file of an image came again",
    FactKind.IMAGES_AVAILABLE: "Images can be read",
    FactKind.IMAGES_OPENED: "Images opened by who reads",
    FactKind.READER_TOLD: "Told that a STAT is to be read",
    FactKind.READER_PASSED: "Passed to who covers",
    FactKind.PRIOR_CHANGED: "A study to compare with",
    FactKind.OUTSIDE_BROUGHT: "Images were brought from another house",
    FactKind.OUTSIDE_TAKEN: "Images from another house were taken in",
    FactKind.OUTSIDE_REFUSED: "Images from another house were not taken in",
    FactKind.DOSE_RECORDED: "Dose recorded",
    FactKind.PATIENT_MOVED: "The patient moved to another bed",
    FactKind.EXAM_REASSIGNED: "Now under another record of the patient",
    FactKind.REPORT_RECEIVED: "Report came",
    FactKind.FEEDBACK_GIVEN: "A reader said a word on a view",
    FactKind.FEEDBACK_WITHDRAWN: "A reader's word was taken back",
    FactKind.TRANSPORT_ASKED: "A porter was asked",
    FactKind.TRANSPORT_CHANGED: "The porter’s job changed",
    FactKind.TRANSPORT_ACCEPTED: "A porter is on the way",
    FactKind.TRANSPORT_HANDED_BACK: "The porter gave the job back",
    FactKind.PATIENT_PICKED_UP: "Picked up by a porter",
    FactKind.PATIENT_DELIVERED: "Brought by a porter",
    FactKind.TRANSPORT_FAILED: "Could not be brought",
    FactKind.TRANSPORT_CANCELLED: "The porter’s job was cancelled",
    FactKind.CHARGE_HELD: "Cannot be charged yet",
    FactKind.CHARGE_READY: "Charged",
    FactKind.CHARGE_ACCEPTED: "The charge was taken",
    FactKind.CHARGE_CREDITED: "The charge was credited",
    FactKind.FINDING_SUSPECTED: "Words in the report may ask for a call",
    FactKind.FINDING_OPENED: "Somebody must be told of a result",
    FactKind.FINDING_DISMISSED: "Nobody must be told of it",
    FactKind.FINDING_CALLED: "Called about a result",
    FactKind.FINDING_ESCALATED: "Passed to the next person",
    FactKind.FINDING_READ_BACK: "Result read back",
}
"""Kinds that an exam's history can hold; any other is shown by its own word."""

_PLAIN = (
    "state",
    "view",
    "why",
    "reason",
    "check",
    "answer",
    "source",
    "priority",
    "ward",
    "destination",
    "had",
    "seen",
    "to",
    "outcome",
    "way",
    "porter",
    "exam",
    "told",
)


def sentence(kind: str) -> str:
    """What happened, as a person reads it."""
    try:
        return SENTENCES[FactKind(kind)]
    except (KeyError, ValueError):
        return kind.capitalize()


def detail(data: Mapping[str, Any], room: str = "") -> str:
    """What is behind it, in a few words: room, reason, parts that changed, dose."""
    told: list[str] = []
    if room:
        told.append(room)
    for key in _PLAIN:
        value = data.get(key)
        if isinstance(value, list):
            value = "; ".join(str(part).rstrip(".") for part in value[:3])
        if value and not isinstance(value, dict):
            told.append(str(value))
    if isinstance(data.get("dap_gym2"), (int, float)):
        told.append(f"{data['dap_gym2'] * 1e4:.3g} Gy·cm²")
    for key in ("changed", "corrected", "checks"):
        parts = data.get(key)
        if isinstance(parts, list) and parts:
            told.append(", ".join(str(part) for part in parts[:6]))
    return " · ".join(told)
