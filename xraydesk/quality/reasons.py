"""Why a reader comments on a view: few words, so that one click is enough."""

from __future__ import annotations

from enum import StrEnum


class FeedbackReason(StrEnum):
    """What was good or not (after the reject reasons of AAPM TG-305)."""

    GOOD = "well done"
    POSITIONING = "positioning"
    CUT_OFF = "anatomy cut off"
    MOTION = "motion"
    EXPOSURE = "over- or underexposed"
    MARKER = "side marker missing or wrong"
    ARTEFACT = "artefact or jewellery"
    VIEW_MISSING = "a view is missing"
    WRONG_LABEL = "wrong label"
