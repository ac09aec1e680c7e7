"""The demonstration as a newcomer sees it: exams enter every stage without a click.

Run alone: it is about how soon something happens, on the whole machine.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.running import Desk, running_desk, until

pytestmark = pytest.mark.link


STAGES = {
    "ordered": "order received",
    "scheduled": "booked",
    "arrived": "arrived",
    "begun": "begun",
    "ended": "ended",
    "images in": "image sent",
    "read": "report received",
}
"""Each stage, and the fact with which an exam enters it."""

KEPT = "kept by a destination"
"""The fact with which the PACS promises to keep what it took: asked and answered by real processes."""

SECONDS_MAX = 120


def entered(desk: Desk, since: datetime) -> set[str]:
    """The kinds of the facts that came about since then; what the demonstration began with does not count."""
    accessions = [exam["accession"] for exam in desk.objects("exam", "list")]
    exams = desk.batch([["exam", "show", accession, "--json"] for accession in accessions])
    return {
        fact["kind"]
        for exam in exams
        for fact in json.loads(exam["stdout"])["facts"]
        if datetime.fromisoformat(fact["at"]) > since
    }


def test_within_two_minutes_an_exam_enters_each_stage(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("demonstration")
    folder.chmod(0o711)
    with running_desk(Path(folder), "--demo") as desk:
        ready = datetime.now(UTC)
        missing = {*STAGES.values(), KEPT}

        def all_entered() -> bool:
            missing.difference_update(entered(desk, ready))
            return not missing

        assert until(all_entered, seconds=SECONDS_MAX, every=2), missing
