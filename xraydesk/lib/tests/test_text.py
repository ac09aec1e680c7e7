"""Names as people say them."""

from __future__ import annotations

import pytest

from xraydesk.lib.text import name_as_said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Adeyemi^Folasade^^Dr", "Dr Folasade Adeyemi"),
        ("Okafor^Ngozi^N^^MD", "Ngozi N Okafor, MD"),
        ("Dr Hansen", "Dr Hansen"),
        ("", ""),
    ],
)
def test_a_provider_is_named_as_people_say_it(written: str, said: str) -> None:
    assert name_as_said(written) == said
