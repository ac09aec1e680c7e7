"""What in a report must be told, how soon, and to whom it passes; pure.

Categories after the ACR Actionable Reporting Work Group (Larson et al., JACR 2014;11:552): minutes, hours,
days. It gives no numbers: the clocks are the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.lib.text import folded, shortened
from xraydesk.results.states import CallOutcome, Category, FindingSource, FindingState, ReportState

WORDS_LENGTH_MAX = 500
_SENTENCES = re.compile(r"[.;:!?\n\r]+")
_NOT = re.compile(r"\b(?:no|without|not|nor|negative for|free of|absence of|excluded|rule out|ruled out)\b")
_BUT = re.compile(r"\b(?:but|however|though|except)\b")


@dataclass(frozen=True)
class Highlight:
    """Listed words that stand in a report, with their category."""

    phrase: str
    category: Category


@dataclass(frozen=True)
class SaidNow:
    """A version of a report, as far as it matters for who must be told."""

    state: ReportState
    version: int
    text: str
    impression: str
    category: int | None


@dataclass(frozen=True)
class Known:
    """A finding of the same exam that was raised before."""

    key: str
    source: FindingSource
    category: int
    state: FindingState


@dataclass(frozen=True)
class Raised:
    """A finding to raise: a flagged one is open at once, the others ask a person first."""

    key: str
    source: FindingSource
    category: Category
    words: str

    @property
    def state(self) -> FindingState:
        """Where it begins."""
        return FindingState.OPEN if self.source is FindingSource.FLAG else FindingState.SUSPECTED


def highlights(text: str, phrases: Mapping[str, int]) -> tuple[Highlight, ...]:
    """The listed words that stand in a text, the most urgent first.

    Case and accents do not matter. Words after a "no" or "without" in the same sentence do not count,
    nor those inside a longer listed phrase that stands there too.
    """
    found: dict[str, Highlight] = {}
    wanted = {phrase: re.compile(rf"\b{re.escape(folded(phrase))}\b") for phrase in phrases if folded(phrase)}
    for sentence in _SENTENCES.split(text):
        said = folded(sentence)
        places = [
            (match.start(), match.end(), phrase)
            for phrase, pattern in wanted.items()
            for match in pattern.finditer(said)
            if not _denied(said[: match.start()])
        ]
        for start, end, phrase in places:
            if not any(s <= start and end <= e and e - s > end - start for s, e, _ in places):
                found[phrase] = Highlight(phrase, Category(phrases[phrase]))
    return tuple(sorted(found.values(), key=lambda one: (one.category, one.phrase)))


def _denied(before: str) -> bool:
    """True where the words before deny what follows."""
    part = _BUT.split(before)[-1]
    return bool(_NOT.search(part))


def findings_in(
    said: SaidNow, *, phrases: Mapping[str, int], known: Sequence[Known] = ()
) -> tuple[Raised, ...]:
    """What a version of a report asks to be told that was not asked before; nothing for a cancelled one.

    The radiologist's flag counts by itself, and again when a correction flags what was ended
    already. Listed words ask a person, unless a flag as urgent covers them. A correction after
    somebody was told asks whether they must hear of it.
    """
    if said.state is ReportState.CANCELLED:
        return ()
    raised: list[Raised] = []
    flags = [k for k in known if k.source is FindingSource.FLAG]
    keys = {k.key for k in known}
    if said.category is not None:
        category = Category(said.category)
        standing = [k for k in flags if k.state is FindingState.OPEN and k.category <= category]
        again = said.state is ReportState.CORRECTED and not standing
        if not flags or again or all(k.category > category for k in flags):
            key = "flag" if not flags else f"flag:{said.version}"
            raised.append(Raised(key, FindingSource.FLAG, category, _words(said)))
    covered = min((int(said.category or 9), *(k.category for k in flags)))
    for one in highlights(f"{said.text}\n{said.impression}", phrases):
        if one.category < covered:
            raised.append(
                Raised(f"phrase:{folded(one.phrase)}"[:120], FindingSource.PHRASE, one.category, one.phrase)
            )
    told = [k for k in known if k.state is FindingState.READ_BACK]
    if (
        said.state is ReportState.CORRECTED
        and told
        and not any(r.source is FindingSource.FLAG for r in raised)
    ):
        raised.append(
            Raised(
                f"corrected:{said.version}",
                FindingSource.CORRECTION,
                Category(min(k.category for k in told)),
                "The report was corrected after somebody had been told",
            )
        )
    return tuple(one for one in raised if one.key not in keys)


def _words(said: SaidNow) -> str:
    text = " ".join((said.impression or said.text).split())
    return shortened(text, WORDS_LENGTH_MAX) or "A finding that must be told"


def due(category: Category, minutes: Sequence[int], *, opened_at: datetime) -> datetime:
    """When it must have been read back. `minutes` are the site's, one for each category."""
    return opened_at + timedelta(minutes=minutes[category - 1])


def turn_ends(category: Category, minutes: Sequence[int], *, since: datetime, people: int) -> datetime | None:
    """When it passes to the next person; None where there is no other."""
    return since + timedelta(minutes=minutes[category - 1]) if people > 1 else None


def passes_on(outcome: CallOutcome) -> bool:
    """Whether a call's outcome makes it the next person's turn at once."""
    return outcome is CallOutcome.NO_ANSWER


def next_turn(turn: int, people: int) -> int:
    """Whose turn comes after; after the last one, the first again."""
    return (turn + 1) % people if people else 0
