"""Rows 24 to 30 by the thousand: whatever bytes come, the upper layer and the readers end as they promise."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import fuzzing


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_every_seed_and_every_beginning_ends_as_it_should(target: str) -> None:
    kept = [*fuzzing.seeds(target), *fuzzing.beginnings(target)]
    assert len(kept) > 20
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is broken
        for data in kept:
            fuzzing.TARGETS[target](data)


@pytest.mark.parametrize("target", fuzzing.TARGETS)
@given(data=st.data())
def test_a_seed_that_is_changed_ends_as_it_should(target: str, data: st.DataObject) -> None:
    told = data.draw(st.sampled_from(fuzzing.beginnings(target)))
    at = data.draw(st.integers(0, len(told)))
    gone = data.draw(st.integers(0, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzzing.TARGETS[target](told[:at] + data.draw(st.binary(max_size=8)) + told[at + gone :])
