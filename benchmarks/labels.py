"""What is caught of images that are labelled wrongly, how much is held for no reason, and how long a look takes.

Method. Days of the simulated hospital (`benchmarks/_mislabelled.py` says what is varied in right labels and what is done to
wrong ones), in one process and without a database. Each image is looked at as the desk does: its header when it comes, its
time and place before it goes on, with the usual weights. *Before* is held before it is routed; *doubt* went on with a lighter
doubt on its page; *never* went on with nothing said. An error that neither header, words nor time betray (the picture
alone) is listed apart. Recall is over errors, precision over what was held; then the same days with nothing wrong.

    python benchmarks/labels.py [DAYS]
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._mislabelled import Day, Taken, day_of, hospital
from xraydesk.imaging.labelled_rules import Matched, holds, match, with_circumstances
from xraydesk.imaging.rules import Candidate
from xraydesk.siteplan.policies import Policies

DAYS = 30
USUAL = Policies()


@dataclass
class Found:
    """What became of exams: by kind of error, how many were held before routing, went on with a doubt, or with none."""

    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By group, kind and `before`, `doubt` or `never`."""
    right: int = 0
    held_for_nothing: Counter[str] = field(default_factory=Counter)
    """Right exams that were held, by the heaviest doubt."""
    images: int = 0
    seconds: float = 0.0

    def recall(self, group: str) -> float:
        """How many of a group's errors were held before routing, in percent."""
        of_group = {key: n for key, n in self.errors.items() if key[0] == group}
        return (
            100 * sum(n for key, n in of_group.items() if key[2] == "before") / max(1, sum(of_group.values()))
        )

    @property
    def precision(self) -> float:
        """How many of the exams that were held had an error, in percent."""
        caught = sum(n for key, n in self.errors.items() if key[2] == "before")
        return 100 * caught / max(1, caught + sum(self.held_for_nothing.values()))

    @property
    def held_for_nothing_percent(self) -> float:
        """How many right exams were held."""
        return 100 * sum(self.held_for_nothing.values()) / max(1, self.right)


class Exams:
    """The exams of a day by the numbers that an image may claim."""

    def __init__(self, exams: Iterable[Candidate]) -> None:
        self.by: dict[str, list[Candidate]] = {}
        for exam in exams:
            for number in (exam.accession, exam.study_instance_uid):
                self.by.setdefault(number, []).append(exam)

    def candidates(self, taken: Taken) -> list[Candidate]:
        header = taken.header
        return [*self.by.get(header.accession, ()), *self.by.get(header.study_instance_uid, ())]


def look(taken: Taken, exams: Exams) -> tuple[bool, tuple[str, ...]]:
    """Whether an image is held, and the doubts about it, the heaviest first."""
    decided = match(taken.header, exams.candidates(taken), USUAL)
    findings = decided.findings
    is_held = not isinstance(decided, Matched)
    if not is_held:
        findings = with_circumstances(findings, taken.circumstances, USUAL)
        is_held = holds(findings, USUAL)
    return is_held, tuple(str(f.doubt) for f in sorted(findings, key=lambda f: -f.weight))


def judge(days: Iterable[Day]) -> Found:
    """What becomes of every exam of some days; an exam is caught where each of its images that is wrong is held."""
    found = Found()
    for day in days:
        exams = Exams(day.exams)
        for images in day.images:
            begun = time.perf_counter()
            looked = [look(image, exams) for image in images]
            found.seconds += time.perf_counter() - begun
            found.images += len(images)
            first = images[0]
            if not first.error:
                found.right += 1
                held = [doubts for is_held, doubts in looked if is_held]
                if held:
                    found.held_for_nothing[held[0][0]] += 1
                continue
            became = (
                "before" if all(h for h, _ in looked) else "doubt" if any(d for _, d in looked) else "never"
            )
            found.errors[first.group, first.error, became] += 1
    return found


def main(arguments: list[str]) -> None:
    days = int(arguments[0]) if arguments else DAYS
    site = hospital()
    wrong = judge(day_of(site, seed=1, day=day) for day in range(days))
    right = judge(day_of(site, seed=1, day=day, wrong_one_in=0) for day in range(days))
    print(f"{days} days, {wrong.right + sum(wrong.errors.values())} exams, {wrong.images} images")
    for group in sorted({key[0] for key in wrong.errors}):
        print(f"{group}: {wrong.recall(group):.1f} % before routing")
        for kind in sorted({key[1] for key in wrong.errors if key[0] == group}):
            told = {w: wrong.errors[group, kind, w] for w in ("before", "doubt", "never")}
            print(f"  {kind}: {told['before']} before, {told['doubt']} doubt, {told['never']} never")
    print(f"precision {wrong.precision:.1f} %")
    print(
        f"with nothing wrong: {right.right} exams, {right.held_for_nothing_percent:.2f} % held for no reason"
    )
    print(json.dumps(right.held_for_nothing, indent=1))
    print(f"{1e6 * wrong.seconds / wrong.images:.0f} microseconds an image")


if __name__ == "__main__":
    main(sys.argv[1:])
