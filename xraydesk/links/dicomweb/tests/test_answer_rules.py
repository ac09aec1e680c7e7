"""What an archive means that does not answer over the web as it should."""

from __future__ import annotations

import pytest

from xraydesk.links.dicomweb.answer_rules import status_in_words, way_in_words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "it sends the desk to another address: write that one into the site file"),
        (401, "it does not know the desk: it takes no such token or password (401)"),
        (404, "there is nothing at that address: see what web says in the site file (404)"),
        (418, "it does not do that (418)"),
        (500, "it fails at it itself (500)"),
        (501, "it does not do that (501)"),
    ],
)
def test_a_status_is_told_to_whoever_can_mend_it(status: int, words: str) -> None:
    assert status_in_words(status) == words


def test_why_nobody_can_be_reached_is_told_by_the_kind_of_the_error() -> None:
    assert way_in_words("TimeoutError", "x").startswith("nothing answers there")
    assert way_in_words("OSError", "no route") == "it cannot be reached: no route"
