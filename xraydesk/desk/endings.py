"""For each kind of thing that waits for a person: the buttons that end it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.attention.kinds import ItemKind


@dataclass(frozen=True)
class Ending:
    """One button: its word, the URL it goes to, whether it posts a form, and its key."""

    word: str
    url_name: str
    argument: str = ""
    """Which part of the item the URL takes: `accession`, `image`, `message`, `finding`, `outside`, `item`, or nothing."""
    posts: bool = False
    query: str = ""
    key: str = "Enter"


GROUPS: dict[str, tuple[ItemKind, ...]] = {
    "exams": (
        ItemKind.EXAM_HELD,
        ItemKind.LATE_ORDER,
        ItemKind.ORDER_SEEN_OTHERWISE,
        ItemKind.NO_PLACE,
        ItemKind.UNSCHEDULED_EXAM,
        ItemKind.STEP_DOUBT,
        ItemKind.CHECK_MISSING,
        ItemKind.RECORD_DOUBT,
        ItemKind.CANCEL_AFTER_START,
        ItemKind.STEP_NEVER_ENDED,
        ItemKind.TRANSPORT_FAILED,
        ItemKind.TRANSPORT_LATE,
        ItemKind.NOBODY_ALONG,
    ),
    "results": (
        ItemKind.RESULT_TO_TELL,
        ItemKind.RESULT_TO_CONFIRM,
        ItemKind.REPORT_WITHOUT_EXAM,
    ),
    "charges": (ItemKind.CHARGE_HELD,),
    "images": (
        ItemKind.IMAGE_MISMATCH,
        ItemKind.LABEL_DOUBT,
        ItemKind.READER_DOUBTS_LABEL,
        ItemKind.IMAGE_WITHOUT_EXAM,
        ItemKind.IMAGE_CONFLICT,
        ItemKind.IMAGE_NOT_SENT,
        ItemKind.DESTINATION_AWAY,
        ItemKind.IMAGE_NOT_KEPT,
        ItemKind.ROOM_SHORT,
        ItemKind.IMAGES_HELD,
        ItemKind.OUTSIDE_STUDY,
        ItemKind.STAT_TO_READ,
        ItemKind.STAT_TEAM_TO_TELL,
        ItemKind.COMMITMENT_NOT_TOLD,
        ItemKind.NOTICE_NOT_TAKEN,
    ),
    "messages": (
        ItemKind.MESSAGE_NOT_APPLIED,
        ItemKind.MESSAGE_CONFLICT,
        ItemKind.MERGE_REQUESTED,
        ItemKind.MESSAGE_NOT_SENT,
        ItemKind.REACTION_FAILED,
    ),
}
"""The list's filters, and the kinds in each."""

_DONE = Ending("Done", "item-done", "item", posts=True, key="x")
OPEN_EXAM = Ending("Open exam", "exam", "accession")
_COMPARE = Ending("Compare", "image", "image")
_MESSAGE = Ending("Open message", "message", "message")

ENDINGS: dict[ItemKind, tuple[Ending, ...]] = {
    ItemKind.EXAM_HELD: (Ending("Decide", "triage", query="exam"),),
    ItemKind.LATE_ORDER: (
        OPEN_EXAM,
        Ending("This is its order", "late-order-join", "accession", posts=True, key="x"),
        Ending("It is another exam", "late-order-another", "accession", posts=True, key="a"),
    ),
    ItemKind.ORDER_SEEN_OTHERWISE: (OPEN_EXAM, _DONE),
    ItemKind.NO_PLACE: (Ending("See the places", "board", query="exam"),),
    ItemKind.IMAGE_MISMATCH: (_COMPARE,),
    ItemKind.LABEL_DOUBT: (_COMPARE,),
    ItemKind.READER_DOUBTS_LABEL: (
        _COMPARE,
        Ending("The label is right", "item-done", "item", posts=True, key="x"),
    ),
    ItemKind.IMAGE_WITHOUT_EXAM: (Ending("Find its exam", "image", "image"),),
    ItemKind.IMAGE_CONFLICT: (_COMPARE,),
    ItemKind.IMAGE_NOT_SENT: (Ending("Send again", "sending-again", "delivery", posts=True), _COMPARE),
    ItemKind.DESTINATION_AWAY: (Ending("See what waits for it", "sending"), _DONE),
    ItemKind.IMAGE_NOT_KEPT: (
        Ending("Try again", "keeping-again", "item", posts=True),
        Ending("They are safe there", "keeping-seen", "item", posts=True, key="x"),
        OPEN_EXAM,
    ),
    # What is kept is an administrator's page; whoever coordinates sees to what waits to be sent.
    ItemKind.ROOM_SHORT: (
        Ending("See what is kept", "kept"),
        Ending("See what waits to be sent", "sending", key="w"),
        _DONE,
    ),
    ItemKind.IMAGES_HELD: (
        OPEN_EXAM,
        Ending("They belong here", "images-release", "accession", posts=True, key="x"),
    ),
    ItemKind.OUTSIDE_STUDY: (Ending("Say whose they are", "outside-study", "outside"),),
    ItemKind.STAT_TO_READ: (
        Ending("Told", "reader-told", "accession", posts=True, key="t"),
        Ending("Opened", "images-opened", "accession", posts=True, key="x"),
        OPEN_EXAM,
    ),
    ItemKind.STAT_TEAM_TO_TELL: (
        Ending("Told", "team-told", "accession", posts=True, key="t"),
        OPEN_EXAM,
    ),
    ItemKind.MESSAGE_NOT_APPLIED: (_MESSAGE, _DONE),
    ItemKind.MESSAGE_CONFLICT: (_MESSAGE, _DONE),
    ItemKind.MERGE_REQUESTED: (_MESSAGE, _DONE),
    ItemKind.RECORD_DOUBT: (OPEN_EXAM, _DONE),
    ItemKind.UNSCHEDULED_EXAM: (OPEN_EXAM, _DONE),
    ItemKind.STEP_DOUBT: (OPEN_EXAM, _DONE),
    ItemKind.CHECK_MISSING: (Ending("Answer now", "exam-check", "accession"),),
    ItemKind.CANCEL_AFTER_START: (OPEN_EXAM, _DONE),
    ItemKind.STEP_NEVER_ENDED: (OPEN_EXAM,),
    ItemKind.REACTION_FAILED: (_DONE,),
    ItemKind.COMMITMENT_NOT_TOLD: (_DONE,),
    ItemKind.NOTICE_NOT_TAKEN: (_DONE,),
    ItemKind.RESULT_TO_TELL: (Ending("Call and write down", "finding", "finding"),),
    ItemKind.RESULT_TO_CONFIRM: (Ending("Decide", "finding", "finding"),),
    ItemKind.REPORT_WITHOUT_EXAM: (_MESSAGE, _DONE),
    ItemKind.CHARGE_HELD: (OPEN_EXAM, Ending("All that are held", "charges")),
    ItemKind.MESSAGE_NOT_SENT: (_MESSAGE,),
    ItemKind.TRANSPORT_FAILED: (Ending("Ask again or cancel", "jobs"), OPEN_EXAM),
    ItemKind.TRANSPORT_LATE: (Ending("See the jobs", "jobs"), OPEN_EXAM),
    ItemKind.NOBODY_ALONG: (Ending("Find another place", "find-place", "accession"), _DONE),
}
"""No kind is without a way to end it; a test holds that."""

CAN_BE_DONE = frozenset(
    kind for kind, ways in ENDINGS.items() if any(way.url_name == _DONE.url_name for way in ways)
)
"""Kinds that a person may take off the list without doing anything else here."""
