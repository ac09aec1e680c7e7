"""The demonstration as a newcomer sees it: within two minutes an exam enters each stage, without a click."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running import running_desk, until

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

SECONDS_MAX = 120


def test_within_two_minutes_an_exam_enters_each_stage(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("demonstration")
    folder.chmod(0o711)
    with running_desk(Path(folder), "--demo") as desk:

        def entered() -> set[str]:
            found: set[str] = set()
            for line in desk.cli("exam", "list", "--all", "--json").stdout.splitlines():
                accession = json.loads(line)["accession"]
                shown = json.loads(desk.cli("exam", "show", accession, "--json").stdout)
                found |= {fact["kind"] for fact in shown["facts"]}
            return found

        assert until(lambda: set(STAGES.values()) <= entered(), seconds=SECONDS_MAX), (
            set(STAGES.values()) - entered()
        )
