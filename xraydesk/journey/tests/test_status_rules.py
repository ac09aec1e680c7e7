"""What a sender says of an order, beside where its exam stands."""

from __future__ import annotations

import pytest

from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.stage import Stage
from xraydesk.journey.status_rules import BEGUN, NOT_BEGUN, SEEN, asked_of_a_person, contradiction

OTHERWISE, TOO_LATE = ItemKind.ORDER_SEEN_OTHERWISE, ItemKind.CANCEL_AFTER_START


def test_every_stage_is_before_the_exam_or_after_it_or_over() -> None:
    assert set(Stage) - NOT_BEGUN - BEGUN == {Stage.CANCELLED, Stage.DISCONTINUED}


@pytest.mark.parametrize("status", ["", "IP", "SC", "A", "anything", *SEEN])
@pytest.mark.parametrize("stage", Stage)
def test_only_what_contradicts_the_desk_is_for_a_person(status: str, stage: Stage) -> None:
    expected = None
    if status == "CM" and stage in NOT_BEGUN:
        expected = OTHERWISE
    if status in ("CA", "DC", "RP") and stage in NOT_BEGUN:
        expected = OTHERWISE
    if status in ("CA", "DC", "RP") and stage in BEGUN:
        expected = TOO_LATE
    if status == "HD" and stage in NOT_BEGUN and stage is not Stage.HELD:
        expected = OTHERWISE
    assert contradiction(status, stage) is expected


@pytest.mark.parametrize(
    ("status", "stage", "sentence"),
    [
        ("CM", Stage.SCHEDULED, "EHR says that order P1 is completed; here exam X1 is not begun."),
        ("CA", Stage.ARRIVED, "EHR says that order P1 is cancelled; here exam X1 stands."),
        ("DC", Stage.ENDED, "EHR says that order P1 is cancelled, but exam X1 has begun: it goes on."),
        ("HD", Stage.SCHEDULED, "EHR says that order P1 is on hold; here exam X1 goes on."),
    ],
)
def test_a_person_is_told_what_both_say_and_what_to_do(status: str, stage: Stage, sentence: str) -> None:
    said = asked_of_a_person(sender="EHR", placer="P1", accession="X1", status=status, stage=stage)
    assert said.startswith(sentence)
    assert len(said) > len(sentence)
