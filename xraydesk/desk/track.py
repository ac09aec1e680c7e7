"""The track of stages on an exam's page: which are behind, which is now, and when each was. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.facts.kinds import FactKind
from xraydesk.journey.stage import Stage
from xraydesk.results.models import Report
from xraydesk.results.states import ReportState


@dataclass(frozen=True)
class Step:
    """One step of the track. `stage` names the drawn cap; `at` is None for what has not been."""

    stage: str
    word: str
    at: datetime | None
    now: bool = False
    note: str = ""


_KINDS: tuple[tuple[str, str, FactKind], ...] = (
    ("scheduled", "Scheduled", FactKind.EXAM_BOOKED),
    ("arrived", "Arrived", FactKind.PATIENT_ARRIVED),
    ("inroom", "In room", FactKind.EXAM_BEGUN),
    ("done", "Exam done", FactKind.EXAM_ENDED),
    ("images", "Images in", FactKind.IMAGE_MATCHED),
)


READ = "read"


def drawn_stage(stage: Stage, images: int) -> str:
    """The cap that a stage is drawn with; an ended exam shows whether its images are here."""
    match stage:
        case Stage.ARRIVED:
            return "arrived"
        case Stage.BEGUN:
            return "inroom"
        case Stage.ENDED:
            return "images" if images else "done"
        case Stage.READ:
            return "read"
        case _:
            return "scheduled"


def track(
    *,
    facts: Sequence[tuple[str, datetime]],
    stage: Stage,
    images: Mapping[str, int],
    report: Report | None = None,
) -> list[Step]:
    """The steps with their times, from the facts' kinds and times, oldest first.

    `images` counts received and matched ones. The newest fact of a kind counts, since an
    exam may be booked or begun again. A preliminary report stands beside a stage that is still to come.
    """
    newest = dict(facts)
    here = drawn_stage(stage, images["matched"])
    order = [name for name, _, _ in _KINDS]
    reached = len(order) if here == READ else order.index(here) if here in order else -1
    steps = []
    for position, (name, word, kind) in enumerate(_KINDS):
        at = newest.get(kind.value)
        note = (
            f"{images['matched']} of {images['received']}" if name == "images" and images["received"] else ""
        )
        steps.append(
            Step(name, word, at if position <= reached or name == "images" else None, name == here, note)
        )
    said_at = report.said_at if report and here == READ else None
    note = "preliminary report" if report and report.state == ReportState.PRELIMINARY else ""
    return [*steps, Step(READ, "Read", said_at, here == READ, note)]
