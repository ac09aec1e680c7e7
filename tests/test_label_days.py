"""Images of simulated days, some labelled wrongly: what is caught before it goes on, and what is held for no reason."""

from __future__ import annotations

from benchmarks._mislabelled import ERRORS, day_of, hospital
from benchmarks.labels import judge


def test_wrong_labels_are_caught_before_they_go_on() -> None:
    site = hospital()
    found = judge([day_of(site, seed=7, day=day, wrong_one_in=2) for day in range(1)])
    assert {kind for _, kind, _ in found.errors} == set(ERRORS)
    assert found.recall("identifiers") > 99
    assert found.recall("demographics") > 99
    assert found.recall("side") > 90
    assert found.recall("body part") > 90
    assert found.recall("worklist entry, time") > 70
    assert found.recall("picture alone") == 0


def test_hardly_anything_is_held_for_no_reason() -> None:
    site = hospital()
    found = judge([day_of(site, seed=7, day=day, wrong_one_in=0) for day in range(1)])
    assert found.right > 250
    assert not found.errors
    assert found.held_for_nothing_percent < 0.5
