"""The questions that are asked before an exposure."""

from __future__ import annotations

from enum import StrEnum


class CheckKind(StrEnum):
    """What is asked: who is this, which side, may she be pregnant."""

    IDENTITY = "identity"
    PREGNANCY = "pregnancy"
    SIDE = "side"
