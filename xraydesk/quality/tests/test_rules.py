"""Which views a reader can say a word of, and whom the word is for."""

from __future__ import annotations

import pytest

from xraydesk.quality.rules import VIEWS_MAX, about, may_mark_seen, may_withdraw, views_to_judge


@pytest.mark.parametrize(
    ("imaged", "planned", "views"),
    [
        (["PA", "LL", "PA", ""], ["AP"], ("PA", "LL", "")),
        (["", ""], ["AP", "LL"], ("AP", "LL", "")),
        ([], [], ("",)),
    ],
)
def test_views_of_the_images_come_before_those_of_the_procedure(
    imaged: list[str], planned: list[str], views: tuple[str, ...]
) -> None:
    assert views_to_judge(imaged, planned) == views


def test_no_more_views_are_offered_than_a_page_can_show() -> None:
    assert len(views_to_judge(map(str, range(100)), [])) == VIEWS_MAX + 1


@pytest.mark.parametrize(
    ("performed_by", "technologist", "whom"),
    [
        ("user:tina", "otto", "user:tina"),
        ("modality:XR1", "otto", "user:otto"),
        ("modality:XR1", "", "modality:XR1"),
        ("", "", ""),
    ],
)
def test_a_word_is_for_whoever_performed_the_exam(performed_by: str, technologist: str, whom: str) -> None:
    assert about(performed_by, technologist) == whom


def test_only_whom_a_word_is_for_says_that_it_was_seen() -> None:
    assert may_mark_seen("user:tina", "user:tina")
    assert not may_mark_seen("user:tina", "user:otto")
    assert may_mark_seen("modality:XR1", "user:otto")


def test_only_its_reader_takes_a_word_back() -> None:
    assert may_withdraw("user:rita", "user:rita")
    assert not may_withdraw("user:rita", "user:otto")
