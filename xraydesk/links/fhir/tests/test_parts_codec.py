"""Parts of a resource, and the mark that they are no whole."""

from __future__ import annotations

import pytest

from xraydesk.links.fhir.parts_codec import cut, cut_as_asked, is_part

WHOLE = {
    "resourceType": "ServiceRequest",
    "id": "7",
    "meta": {"versionId": "a"},
    "text": {"status": "generated"},
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/1"},
    "note": [{"text": "said"}],
    "priority": "stat",
}
NEEDED = {"resourceType", "id", "meta", "status", "intent", "subject"}


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ({"_summary": "true"}, NEEDED | {"priority"}),
        ({"_summary": "text"}, NEEDED | {"text"}),
        ({"_summary": "data"}, set(WHOLE) - {"text"}),
        ({"_elements": "note"}, NEEDED | {"note"}),
        ({"_elements": "ServiceRequest.note,priority", "_summary": "true"}, NEEDED | {"note", "priority"}),
    ],
)
def test_a_part_has_what_was_asked_for_and_says_that_it_is_one(
    asked: dict[str, str], there: set[str]
) -> None:
    part = cut_as_asked(WHOLE, asked)
    assert set(part) == there
    assert is_part(part)
    assert part["meta"]["versionId"] == "a"
    assert not is_part(WHOLE)


@pytest.mark.parametrize("asked", [{}, {"_summary": "false"}, {"_elements": ""}, {"_elements": ",,"}])
def test_the_whole_is_no_part(asked: dict[str, str]) -> None:
    assert cut_as_asked(WHOLE, asked) == WHOLE
    assert cut(WHOLE) == WHOLE
    assert not is_part({"meta": {"tag": [{"code": "SUBSETTED"}]}})


@pytest.mark.parametrize("summary", ["count", "yes", ""])
def test_a_summary_that_is_none_is_refused(summary: str) -> None:
    with pytest.raises(ValueError, match="_summary takes"):
        cut_as_asked(WHOLE, {"_summary": summary})
