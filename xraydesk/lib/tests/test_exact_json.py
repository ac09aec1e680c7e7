"""Numbers of JSON keep the digits that they were written with."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.lib.exact_json import DIGITS_MAX, may_be_kept, read, written

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@pytest.mark.parametrize("text", ["1.50", "0.00", "-3.1400", "1.230E-7", "100000000000000000.25", "7"])
def test_a_number_comes_back_with_its_digits(text: str) -> None:
    assert written(read(f'{{"value": {text}}}')) == f'{{"value": {text}}}'


@given(VALUES)
def test_what_is_written_is_read_the_same(value: object) -> None:
    assert read(written(value)) == value


def test_letters_stay_and_names_are_sorted_where_that_is_asked() -> None:
    assert written({"b": "ü", "a": Decimal("2.0")}, sort_keys=True) == '{"a": 2.0, "b": "ü"}'


def test_no_text_is_taken_for_a_number() -> None:
    assert read(written(['"\\u00001.5\\u0000"', "\\u00001.5"])) == ['"\\u00001.5\\u0000"', "\\u00001.5"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1.", "01.5", '{"a": 1'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(text)


@pytest.mark.parametrize("text", ["1e400", "1e-400", "1e99999999999999999999", "0." + "1" * (DIGITS_MAX + 1)])
def test_a_number_that_is_long_to_keep_is_told_apart(text: str) -> None:
    assert not may_be_kept(read(text))
    assert may_be_kept(read("-72.53"))


def test_what_is_neither_json_nor_a_number_is_not_written() -> None:
    with pytest.raises(TypeError):
        written({1, 2})
