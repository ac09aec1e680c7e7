"""Values as they are written into prepared statements."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.adapt import Transformer

from xraydesk.lib.prepared import _literal

OF_DRIVER = Transformer().as_literal
PLAIN = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.one_of(PLAIN, st.integers(), st.none(), st.booleans(), st.lists(st.integers(0, 9)), st.binary()))
@example("O'Brien")
@example("a\\'; DROP TABLE x; --")
@example("Prüfer\r\nAda")
@example("")
@example(-1)
@example(2**70)
@example(True)
def test_a_value_is_written_as_the_driver_would_write_it(value: Any) -> None:
    assert _literal(OF_DRIVER)(value) == OF_DRIVER(value)
