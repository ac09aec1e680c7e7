"""Which exam a report is of, whose it must be, and what it changes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xraydesk.lib.text import folded
from xraydesk.patients.rules import Match, Matching, is_somebody_else
from xraydesk.results.reporting import SaidReport
from xraydesk.results.states import READ_STATES, REPORT_TRANSITIONS, ReportAction, ReportState


@dataclass(frozen=True)
class Kept:
    """The report that an exam has, and the words of all its versions."""

    state: ReportState
    text: str
    impression: str
    category: int | None
    earlier: frozenset[tuple[str, str]] = frozenset()


class Outcome(StrEnum):
    """What becomes of a report that comes."""

    NEW_VERSION = "new version"
    SAME = "the very same is here"
    LATE = "a later version is here"
    NOTHING = "nothing to take back"


@dataclass(frozen=True)
class Decision:
    """What becomes of a report, and the state that it leads to; the state that stands where nothing changes."""

    outcome: Outcome
    state: ReportState | None


def decide(kept: Kept | None, said: SaidReport) -> Decision:
    """What a report makes of the one that is there.

    A final report after a final one is a correction where its words differ. A preliminary one
    after a final one is late; so is a final one whose words a later correction replaced.
    """
    before = kept.state if kept else None
    after = REPORT_TRANSITIONS.get((before, said.action))
    if after is None:
        outcome = Outcome.LATE if before in READ_STATES else Outcome.SAME if before else Outcome.NOTHING
        return Decision(outcome, before)
    if kept is None:
        return Decision(Outcome.NEW_VERSION, after)
    words = (said.whole_text, said.impression)
    is_same = words == (kept.text, kept.impression) and said.category in (None, kept.category)
    repeats = after is before or (before in READ_STATES and said.action is ReportAction.FINAL)
    if is_same and repeats:
        return Decision(Outcome.SAME, before)
    replaced = before is ReportState.CORRECTED and said.action is ReportAction.FINAL
    if replaced and words in kept.earlier:
        return Decision(Outcome.LATE, before)
    return Decision(Outcome.NEW_VERSION, after)


@dataclass(frozen=True)
class Candidate:
    """An exam that one of the numbers of a report names."""

    exam_id: int
    procedure_code: str


class Unclear(StrEnum):
    """Why it cannot be said which exam a report is of."""

    UNKNOWN = "no exam here has these numbers"
    CONFLICT = "its numbers name different exams"
    SEVERAL = "its numbers name several exams"


def exam_meant(named: Sequence[Iterable[Candidate]], *, procedure_code: str) -> int | Unclear:
    """The one exam that all numbers agree on. `named` has, for each number given, the exams that have it.

    A number that no exam has counts for nothing: senders have numbers of their own. Exams of
    one order are told apart by their procedure.
    """
    known = [{one.exam_id: one for one in exams} for exams in named]
    known = [exams for exams in known if exams]
    if not known:
        return Unclear.UNKNOWN
    ids = set(known[0]).intersection(*known[1:])
    if not ids:
        return Unclear.CONFLICT
    if len(ids) > 1:
        code = folded(procedure_code)
        ids = {key for key in ids if code and folded(known[0][key].procedure_code) == code}
    return ids.pop() if len(ids) == 1 else Unclear.SEVERAL


def is_of_patient(
    matching: Matching, *, patient_id: int, now: Mapping[str, object], said: Mapping[str, object]
) -> bool:
    """Whether a report is of the patient whose exam it names.

    A number of the patient must be this patient's, and where none is given, name and birth date must not
    speak against it. A number alone is not enough where birth date and family name are both another's.
    """
    if matching.match is Match.CONFLICT:
        return False
    if matching.match is Match.ONE:
        others = [
            is_somebody_else({part: now.get(part)}, {part: said.get(part)})
            for part in ("birth_date", "family")
        ]
        return matching.patient_id == patient_id and not all(others)
    return not matching.missing and not is_somebody_else(now, said)
