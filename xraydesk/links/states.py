"""Where a message stands."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Which way it went."""

    IN = "in"
    OUT = "out"


class SubscriptionState(StrEnum):
    """Whether a subscriber is called; FHIR's own words."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


class MessageState(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    WAITING = "waiting for a person"
    REFUSED = "refused"
    IGNORED = "kept, nothing to do"
    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected there"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
