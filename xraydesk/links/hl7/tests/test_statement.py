"""The page in docs/ names every trigger and every order control that the code takes, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xraydesk.links.hl7 import appointment_in, merging, patient
from xraydesk.links.hl7.controls import CONTROLS, NUMBER_GIVEN, NUMBER_PLEASE
from xraydesk.links.hl7.order import EXAMS_MAX
from xraydesk.links.hl7.reader import MESSAGES_MAX

PAGE = (Path(__file__).parents[4] / "docs" / "conformance" / "hl7.md").read_text(encoding="utf-8")


def rows(heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading, as their cells."""
    table = PAGE.split(f"\n{heading}\n", 1)[1].split("\n| ", 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def triggers(kind: str) -> set[str]:
    """The triggers that the table of messages names of one kind, spans written out."""
    found: set[str] = set()
    for first, *_ in rows("## What is taken"):
        if first.startswith(kind):
            for one, last in re.findall(r"\b([AS]\d\d)(?: to [AS](\d\d))?", first):
                found |= {f"{one[0]}{n:02}" for n in range(int(one[1:]), int(last or one[1:]) + 1)}
    return found


def test_the_page_names_the_triggers_that_are_taken() -> None:
    deletion = {"A29"}
    assert triggers("ADT") == {*patient.EVENTS, *merging.MERGES, *deletion}
    assert not deletion & {*patient.EVENTS, *merging.MERGES}
    assert triggers("SIU") == {*appointment_in.EVENTS, *appointment_in.NOT_OURS}


def test_the_page_names_the_pairs_of_order_control_and_status_that_mean_something() -> None:
    named = {
        (code, "" if status == "empty" else status)
        for codes, statuses, _ in rows("## What is wanted with an order")
        for code in codes.split(", ")
        for status in statuses.split(", ")
    }
    assert named == {*CONTROLS, (NUMBER_PLEASE, "any"), (NUMBER_GIVEN, "any")}


def test_the_page_tells_the_limits() -> None:
    limits = {name: value for name, value, *_ in rows("## The link")}
    assert limits["exams in one message"] == f"{EXAMS_MAX:,}"
    assert limits["messages in one batch"] == f"{MESSAGES_MAX:,}"
