"""Which earlier studies of a patient whoever reads an exam wants beside it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from xraydesk.imaging.anatomy_rules import Fit, fit, parts_named, side_marked
from xraydesk.orders.sides import LETTER_OF

COMPARED_MAX = 5
"""More studies than these are not put beside an exam."""

SAME_PART_YEARS_MAX = 10
NEAR_PART_YEARS_MAX = 2
DAYS_A_YEAR = 365.25

REGIONS: Mapping[str, tuple[str, ...]] = {
    "chest": ("CHEST", "THORAX", "LUNG", "RIB", "RIBS", "STERNUM"),
    "spine": ("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "SACRUM", "COCCYX"),
    "head": ("SKULL", "HEAD", "FACE", "SINUS", "JAW", "MANDIBLE", "NOSE", "ORBIT"),
    "shoulder and arm": ("SHOULDER", "CLAVICLE", "SCAPULA", "ARM", "HUMERUS", "ELBOW"),
    "forearm and hand": ("FOREARM", "WRIST", "HAND", "FINGER", "THUMB"),
    "pelvis and hip": ("PELVIS", "HIP", "FEMUR"),
    "knee and leg": ("KNEE", "PATELLA", "LEG", "TIBIA"),
    "foot": ("ANKLE", "FOOT", "TOE", "HEEL", "CALCANEUS"),
    "abdomen": ("ABDOMEN", "KUB"),
}
"""Parts (PS3.16 annex L, as machines write them) that are looked at together."""

_REGION_OF = {part: region for region, parts in REGIONS.items() for part in parts}


class PriorState(StrEnum):
    """How it stands with one study to compare with."""

    COMING = "coming"
    """It is on its way to where it is read."""
    THERE = "there"
    MISSING = "missing"
    """It is known of and cannot be seen: somebody has to ask for it."""
    CHASED = "chased"
    """Somebody has asked for it."""
    NOT_TO_BE_HAD = "not to be had"


TRANSITIONS: Mapping[tuple[PriorState, str], PriorState] = {
    (PriorState.MISSING, "chase"): PriorState.CHASED,
    (PriorState.CHASED, "chase"): PriorState.CHASED,
    (PriorState.NOT_TO_BE_HAD, "chase"): PriorState.CHASED,
    (PriorState.MISSING, "come"): PriorState.THERE,
    (PriorState.CHASED, "come"): PriorState.THERE,
    (PriorState.COMING, "come"): PriorState.THERE,
    (PriorState.MISSING, "give up"): PriorState.NOT_TO_BE_HAD,
    (PriorState.CHASED, "give up"): PriorState.NOT_TO_BE_HAD,
    (PriorState.COMING, "miss"): PriorState.MISSING,
    (PriorState.THERE, "miss"): PriorState.MISSING,
}
"""What each action leads to; a pair that is not here is refused."""


@dataclass(frozen=True)
class Looked:
    """What is looked at in an exam or an earlier study: part as DICOM writes it, side (L, R, B or none), and when."""

    body_part: str
    side: str
    on: date


@dataclass(frozen=True)
class Study:
    """An earlier study that is known of: its UID, what it looked at, and its words."""

    study_instance_uid: str
    looked: Looked
    words: str = ""
    accession: str = ""


@dataclass(frozen=True)
class Relevant:
    """A study to put beside an exam, and why in words."""

    study: Study
    why: str


def relevant(wanted: Looked, known: Iterable[Study]) -> tuple[Relevant, ...]:
    """The studies to compare with: the same part and side first, then its other side and its neighbours; the newest first.

    The same part counts for SAME_PART_YEARS_MAX, its other side and its neighbours for NEAR_PART_YEARS_MAX;
    what is not before the exam, or of no known part, never does. Where an archive names no part, and many do not tell
    that of a series, the study's description says it. At most COMPARED_MAX.
    """
    found = []
    for study in known:
        years = (wanted.on - study.looked.on).days / DAYS_A_YEAR
        near = _nearness(wanted, study.looked) if study.looked.body_part else _nearness_said(wanted, study)
        if near is None or years < 0:
            continue
        rank, why = near
        if years <= (NEAR_PART_YEARS_MAX if rank else SAME_PART_YEARS_MAX):
            found.append((rank, -study.looked.on.toordinal(), study.study_instance_uid, Relevant(study, why)))
    return tuple(one for *_, one in sorted(found, key=lambda f: f[:3])[:COMPARED_MAX])


def _nearness(wanted: Looked, seen: Looked) -> tuple[int, str] | None:
    """How near two parts are, 0 the nearest, with words; None where they have nothing to do with each other."""
    part, other = wanted.body_part.upper(), seen.body_part.upper()
    if part and part == other:
        if {wanted.side, seen.side} == {"L", "R"}:
            return 1, "the other side"
        return 0, "the same part"
    region = _REGION_OF.get(part)
    if region and region == _REGION_OF.get(other):
        return 2, f"near it ({region})"
    return None


def _nearness_said(wanted: Looked, study: Study) -> tuple[int, str] | None:
    """The same by a study's description, for what it names plainly: the same part, or its other side."""
    if fit(parts_named(wanted.body_part), parts_named(study.words)) is not Fit.SAME:
        return None
    side = study.looked.side or LETTER_OF[side_marked([study.words])]
    if {wanted.side, side} == {"L", "R"}:
        return 1, "the other side, as its description says"
    return 0, "the same part, as its description says"
