"""Why a message is not applied, in HL7's codes and in a sentence; pure."""

from __future__ import annotations

from enum import Enum


class Condition(Enum):
    """HL7 table 0357, message error conditions. 100 to 103 go with AE, 200 to 207 with AR (§2.9.2)."""

    SEGMENT_SEQUENCE = (100, "Segment sequence error")
    FIELD_MISSING = (101, "Required field missing")
    DATA_TYPE = (102, "Data type error")
    VALUE_NOT_FOUND = (103, "Table value not found")
    UNSUPPORTED_TYPE = (200, "Unsupported message type")
    UNSUPPORTED_EVENT = (201, "Unsupported event code")
    UNSUPPORTED_VERSION = (203, "Unsupported version id")
    UNKNOWN_KEY = (204, "Unknown key identifier")
    DUPLICATE_KEY = (205, "Duplicate key identifier")
    INTERNAL = (207, "Application internal error")

    @property
    def code(self) -> int:
        """ERR-3.1."""
        return self.value[0]

    @property
    def words(self) -> str:
        """ERR-3.2."""
        return self.value[1]

    @property
    def ack(self) -> str:
        """MSA-1 that goes with it."""
        return "AR" if self.code >= 200 else "AE"


class Rejected(Exception):
    """The sender must correct the message. `where` is its place (ERR-2): segment, which one, field, as `ORC^1^1`."""

    def __init__(self, condition: Condition, where: str, sentence: str) -> None:
        super().__init__(sentence)
        self.condition = condition
        self.where = where
        self.sentence = sentence


class NeedsPerson(Exception):
    """The message is sound, and the desk cannot do by itself what it asks; a person decides. Its sender gets AA."""
