"""Where in a file something stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.siteplan.lines import line_of, lines_of

TEXT = '''# a comment with [brackets] and "quotes
top = 1
[a]
"quoted key" = "# no comment" # but this is one
b.c = """
many
[lines] \\"""
"""
'd e' = \'\'\'
x = 1\'\'\'
list = [ # open
  1, # one
  [2, "]"],

  { k = 'v', deep.er = [1] },
]
[[a.rows]]
x = 1
[a.rows.inner]
y = 1979-05-27 07:32:00
[[a.rows]]
x = 2
z = { }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "quoted key"), 4),
        (("a", "b"), 5),
        (("a", "b", "c"), 5),
        (("a", "d e"), 9),
        (("a", "list"), 11),
        (("a", "list", 0), 12),
        (("a", "list", 1), 13),
        (("a", "list", 1, 1), 13),
        (("a", "list", 2), 15),
        (("a", "list", 2, "k"), 15),
        (("a", "list", 2, "deep", "er", 0), 15),
        (("a", "rows"), 17),
        (("a", "rows", 0), 17),
        (("a", "rows", 0, "x"), 18),
        (("a", "rows", 0, "inner"), 19),
        (("a", "rows", 0, "inner", "y"), 20),
        (("a", "rows", 1), 21),
        (("a", "rows", 1, "z"), 23),
        (("a", "rows", 1, "none"), 21),
        (("none",), 1),
    ],
)
def test_each_thing_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert line_of(lines_of(TEXT), path) == line
    assert line_of(lines_of(TEXT.replace("\n", "\r\n")), path) == line


KEY = st.text("abc_-1", min_size=1, max_size=4) | st.just('"q # ="')
VALUE = st.recursive(
    st.sampled_from(['"a # b"', "'[x]'", "1", "true", "07:32:00", '"""x\n]\n"""', "'''\n'''", '""', '"\\""']),
    lambda inner: st.lists(inner, max_size=3).map(lambda v: "[ # c\n" + ",\n".join(v) + "]"),
    max_leaves=6,
)


def paths(data: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [at] if at else []
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        found += paths(value, (*at, key))
    return found


@given(
    st.lists(st.tuples(KEY, VALUE), max_size=6, unique_by=lambda pair: pair[0].strip('"')), st.integers(0, 2)
)
def test_whatever_toml_accepts_is_walked_and_every_part_of_it_has_a_line(
    pairs: list[tuple[str, str]], tables: int
) -> None:
    body = "".join(f"{key} = {value}\n" for key, value in pairs)
    text = body + "".join(f"[[t t.u]]\n{body}".replace("t t", '"t t"') for _ in range(tables))
    lines = lines_of(text)
    for path in paths(tomllib.loads(text)):
        assert path in lines


def test_a_text_that_is_no_toml_cannot_be_followed() -> None:
    with pytest.raises(ValueError, match="line 2"):
        lines_of("a = 1\n= 2\n")
