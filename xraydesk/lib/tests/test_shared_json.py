"""JSON that many read: one object for one text, and nobody changes it for the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy

import pytest

from xraydesk.lib.shared_json import Shared, shared

TEXT = '{"rooms": ["XR1"], "code": "T"}'


def test_the_same_text_is_read_once() -> None:
    assert shared(TEXT) is shared(str(TEXT.encode(), "utf-8"))
    assert shared(TEXT) == {"rooms": ["XR1"], "code": "T"}
    assert (shared("[1]"), shared("null")) == ([1], None)


def test_what_is_made_of_it_is_made_once_and_what_was_wrong_is_told_each_time() -> None:
    def codes(data: Shared) -> list[str]:
        return [data["code"]]

    def nothing(data: Shared) -> str:
        return str(data["missing"])

    read = Shared({"code": "T"})
    assert read.once(codes) is read.once(codes)
    for _ in range(2):
        with pytest.raises(KeyError):
            read.once(nothing)


@pytest.mark.parametrize(
    "change",
    [
        lambda read: read.update(code="U"),
        lambda read: read.__setitem__("code", "U"),
        lambda read: read.__delitem__("code"),
        lambda read: read.__ior__({"code": "U"}),
        lambda read: read.setdefault("name", "U"),
        lambda read: read.pop("code"),
        lambda read: read.popitem(),
        lambda read: read.clear(),
    ],
)
def test_it_is_not_changed_but_a_copy_may_be(change: Callable[[dict], object]) -> None:
    read = Shared(json.loads(TEXT))
    with pytest.raises(TypeError, match="change a copy"):
        change(read)
    change(copy := {**read})
    assert read == json.loads(TEXT) != copy
    assert deepcopy(read) is read
