"""Tables behind the pages: every kind of item can be ended, every kind of fact has a sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from xraydesk.attention.kinds import CLOCKS, ItemKind
from xraydesk.desk.endings import ENDINGS, GROUPS
from xraydesk.desk.history import detail, sentence
from xraydesk.desk.track import drawn_stage, track
from xraydesk.journey.stage import Stage
from xraydesk.results.models import Report
from xraydesk.results.states import ReportState


def test_no_kind_of_item_is_without_a_way_to_end_it_a_clock_and_a_place_in_the_filters() -> None:
    assert set(ENDINGS) == set(ItemKind) == set(CLOCKS)
    assert all(ENDINGS.values())
    assert sorted(kind for kinds in GROUPS.values() for kind in kinds) == sorted(ItemKind)


@pytest.mark.parametrize("ending", [e for ways in ENDINGS.values() for e in ways], ids=lambda e: e.word)
def test_every_button_leads_somewhere(ending: object) -> None:
    arguments = {
        "accession": ["A1"],
        "image": [1],
        "delivery": [1],
        "message": [1],
        "finding": [1],
        "outside": [1],
        "item": [1],
        "": [],
    }
    assert reverse(ending.url_name, args=arguments[ending.argument])  # type: ignore[attr-defined]


def test_a_fact_is_a_sentence_with_a_few_words_behind_it() -> None:
    assert sentence("begun") == "Exam begun"
    assert sentence("something new") == "Something new"
    assert detail({"why": ["free at 10:05", "closest"]}, "XR2") == "XR2 · free at 10:05; closest"
    assert detail({"dap_gym2": 4.1e-5, "source": "image header"}) == "image header · 0.41 Gy·cm²"
    assert detail({"changed": ["side", "time"]}) == "side, time"
    assert detail({}) == ""


@pytest.mark.parametrize(
    ("stage", "images", "drawn"),
    [
        (Stage.SCHEDULED, 0, "scheduled"),
        (Stage.ARRIVED, 0, "arrived"),
        (Stage.BEGUN, 1, "inroom"),
        (Stage.ENDED, 0, "done"),
        (Stage.ENDED, 2, "images"),
        (Stage.READ, 2, "read"),
        (Stage.CANCELLED, 0, "scheduled"),
    ],
)
def test_a_stage_is_drawn_by_the_mock_s_caps(stage: Stage, images: int, drawn: str) -> None:
    assert drawn_stage(stage, images) == drawn


def test_the_track_shows_times_of_what_was_and_marks_where_the_exam_is() -> None:
    at = datetime(2026, 3, 2, 15, tzinfo=UTC)
    steps = track(
        facts=[("booked", at), ("arrived", at)],
        stage=Stage.ARRIVED,
        images={"matched": 0, "received": 0},
    )
    assert [(step.stage, step.at is not None, step.now) for step in steps][:3] == [
        ("scheduled", True, False),
        ("arrived", True, True),
        ("inroom", False, False),
    ]


@pytest.mark.parametrize(
    ("stage", "state", "step"),
    [
        (Stage.READ, ReportState.FINAL, (True, True, "")),
        (Stage.ENDED, ReportState.PRELIMINARY, (False, False, "preliminary report")),
        (Stage.ENDED, None, (False, False, "")),
    ],
)
def test_the_track_ends_with_what_was_read(
    stage: Stage, state: ReportState | None, step: tuple[bool, bool, str]
) -> None:
    at = datetime(2026, 3, 2, 15, tzinfo=UTC)
    steps = track(
        facts=[("booked", at), ("begun", at), ("ended", at)],
        stage=stage,
        images={"matched": 0, "received": 0},
        report=Report(state=state, said_at=at) if state else None,
    )
    assert (steps[-1].at is not None, steps[-1].now, steps[-1].note) == step
    assert [s.stage for s in steps if s.now] == ["read" if stage is Stage.READ else "done"]
    assert [s.stage for s in steps if s.at][:3] == ["scheduled", "inroom", "done"]
