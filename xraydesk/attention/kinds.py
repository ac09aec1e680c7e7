"""Every kind of thing that waits for a person, and how long until it does harm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ItemKind(StrEnum):
    """What can wait for a person."""

    EXAM_HELD = "exam held"
    LATE_ORDER = "order of an exam done already"
    ORDER_SEEN_OTHERWISE = "order seen otherwise by its sender"
    NO_PLACE = "no place found"
    IMAGE_MISMATCH = "image of another patient"
    LABEL_DOUBT = "label of an image in doubt"
    READER_DOUBTS_LABEL = "reader doubts a label"
    IMAGE_WITHOUT_EXAM = "image without an exam"
    IMAGE_CONFLICT = "two images with one number"
    IMAGE_NOT_SENT = "image could not be sent"
    DESTINATION_AWAY = "destination cannot be reached"
    IMAGE_NOT_KEPT = "images not kept at their destination"
    ROOM_SHORT = "room for images runs short"
    IMAGES_HELD = "images held"
    MESSAGE_NOT_APPLIED = "message could not be applied"
    MESSAGE_CONFLICT = "two messages with one number"
    MERGE_REQUESTED = "merge of two patients"
    RECORD_DOUBT = "record may be of another person now"
    UNSCHEDULED_EXAM = "exam without an order"
    CHECK_MISSING = "begun without a safety check"
    STEP_DOUBT = "machine names another patient"
    CANCEL_AFTER_START = "cancelled after it began"
    STEP_NEVER_ENDED = "begun long ago, not ended"
    OUTSIDE_STUDY = "outside images to be taken in"
    REACTION_FAILED = "a step of the desk failed"
    STAT_TO_READ = "STAT to be opened"
    STAT_TEAM_TO_TELL = "team of a STAT to be told"
    COMMITMENT_NOT_TOLD = "storage answer not delivered"
    NOTICE_NOT_TAKEN = "availability notice not taken"
    RESULT_TO_TELL = "result to be told"
    RESULT_TO_CONFIRM = "report to be looked at"
    REPORT_WITHOUT_EXAM = "report without an exam"
    CHARGE_HELD = "charge held"
    MESSAGE_NOT_SENT = "message could not be sent"
    TRANSPORT_FAILED = "patient could not be brought"
    TRANSPORT_LATE = "patient is not fetched yet"
    NOBODY_ALONG = "nobody goes along"


@dataclass(frozen=True)
class Clock:
    """How long an item of a kind may wait, and the sentence that says what is wrong."""

    minutes: int
    sentence: str

    def until(self) -> timedelta:
        """Time from raising to harm."""
        return timedelta(minutes=self.minutes)


CLOCKS: dict[ItemKind, Clock] = {
    ItemKind.EXAM_HELD: Clock(120, "This exam is held until somebody decides"),
    ItemKind.LATE_ORDER: Clock(60, "An order came for an exam that may be done already"),
    ItemKind.ORDER_SEEN_OTHERWISE: Clock(
        60, "Whoever sent this order takes it for done, cancelled or on hold"
    ),
    ItemKind.NO_PLACE: Clock(30, "No free place was found for this exam"),
    ItemKind.IMAGE_MISMATCH: Clock(20, "An image carries another patient's name or number"),
    ItemKind.LABEL_DOUBT: Clock(20, "What an image says, or when it was taken, does not fit its exam"),
    ItemKind.READER_DOUBTS_LABEL: Clock(20, "A reader says that an image is labelled wrong"),
    ItemKind.IMAGE_WITHOUT_EXAM: Clock(60, "An image belongs to no exam known here"),
    ItemKind.IMAGE_CONFLICT: Clock(60, "Two different images carry the same number"),
    ItemKind.IMAGE_NOT_SENT: Clock(30, "An image could not be sent to its destination"),
    ItemKind.IMAGE_NOT_KEPT: Clock(240, "A destination does not promise to keep images that it was sent"),
    ItemKind.DESTINATION_AWAY: Clock(60, "Images wait for a destination that cannot be reached"),
    ItemKind.ROOM_SHORT: Clock(240, "The files of images take nearly all the room that there is"),
    ItemKind.IMAGES_HELD: Clock(30, "Images are held back until somebody decides"),
    ItemKind.MESSAGE_NOT_APPLIED: Clock(60, "A message from outside could not be applied"),
    ItemKind.MESSAGE_CONFLICT: Clock(120, "Two different messages came with the same number"),
    ItemKind.MERGE_REQUESTED: Clock(240, "Two patient records are to be made one"),
    ItemKind.RECORD_DOUBT: Clock(20, "A patient's record got another name and birth date at once"),
    ItemKind.UNSCHEDULED_EXAM: Clock(60, "An exam was begun without an order"),
    ItemKind.STEP_DOUBT: Clock(5, "A machine began an exam and names another patient"),
    ItemKind.CHECK_MISSING: Clock(15, "An exam began although a safety check is missing"),
    ItemKind.CANCEL_AFTER_START: Clock(30, "An exam was cancelled after it had begun"),
    ItemKind.STEP_NEVER_ENDED: Clock(60, "An exam began long ago and has not ended"),
    ItemKind.OUTSIDE_STUDY: Clock(240, "Images from another house wait until somebody says whose they are"),
    ItemKind.REACTION_FAILED: Clock(60, "The desk could not take a step by itself"),
    ItemKind.STAT_TO_READ: Clock(15, "The images of a STAT can be read, and nobody has opened them"),
    ItemKind.STAT_TEAM_TO_TELL: Clock(15, "The team is to be told that the images of a STAT can be read"),
    ItemKind.NOTICE_NOT_TAKEN: Clock(240, "Whoever waits for images is not told where they can be read"),
    ItemKind.COMMITMENT_NOT_TOLD: Clock(240, "A room was not told that its images are stored"),
    ItemKind.RESULT_TO_TELL: Clock(60, "Somebody must be told of a result, and read it back"),
    ItemKind.RESULT_TO_CONFIRM: Clock(30, "Words in a report may ask for a call: a person decides"),
    ItemKind.REPORT_WITHOUT_EXAM: Clock(60, "A report came for an exam that is not known here"),
    ItemKind.CHARGE_HELD: Clock(1440, "An exam cannot be charged yet"),
    ItemKind.MESSAGE_NOT_SENT: Clock(30, "A message could not be delivered to another system"),
    ItemKind.TRANSPORT_FAILED: Clock(15, "A porter could not bring the patient"),
    ItemKind.TRANSPORT_LATE: Clock(10, "Nobody has fetched this patient yet"),
    ItemKind.NOBODY_ALONG: Clock(240, "Nobody is free to interpret, or to stay with the patient"),
}
"""Minutes until harm, by kind: local defaults; a site's policies may set others."""
