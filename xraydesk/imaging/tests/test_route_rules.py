"""Where images go and why: each condition, what keeps them back, and what would change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.imaging.route_rules import (
    Gone,
    Otherwise,
    RoutedExam,
    Way,
    destinations,
    documents_too,
    elsewhere,
    ways,
)
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, RoutedPriority, RoutePlan

PACS = DestinationPlan("PACS", "PACS", "127.0.0.1", 104)
CT = DestinationPlan("CT", "CT", "127.0.0.1", 104, sends=("CT",))
WS = DestinationPlan("WS", "WS", "127.0.0.1", 104)
AWAY = DestinationPlan("AWAY", "AWAY", "a.example", 2762, outside=True, tls=True)
NIGHT = {"mon": ((time(0), time(7)),)}
EXAM = RoutedExam("CHEST2", "MAIN", "stat", "E", datetime(2026, 3, 2, 1))
RULE = RoutePlan(
    rule="Night",
    to=("WS", "AWAY"),
    procedures=("CHEST2",),
    locations=("MAIN",),
    priorities=(RoutedPriority.STAT,),
    classes=("E",),
    modalities=("DX",),
    readers=("BERG",),
    hours=NIGHT,
)
BERG = OnCallPlan("BERG", "Dr Berg", NIGHT, phone="1")
PLAN = SitePlan(
    "T", "T", "UTC", "HOSP", "X", (), (), (), (), destinations=(PACS, CT, WS, AWAY), on_call=(BERG,)
)


def went(exam: RoutedExam, modality: str, *rules: RoutePlan) -> list[str]:
    return [way.destination for way in destinations(exam, modality, replace(PLAN, routes=rules))]


def test_without_rules_everything_goes_everywhere_that_takes_it_but_out_of_the_house() -> None:
    assert ways(EXAM, "DX", PLAN) == (
        Way("PACS", True, "everything goes there"),
        Way("CT", False, "it takes CT only"),
        Way("WS", True, "everything goes there"),
        Way("AWAY", False, "it belongs to another house, and no rule sends anything there"),
    )
    assert Way("CT", True, "all CT goes there") in ways(EXAM, "CT", PLAN)


def test_research_gets_only_what_a_rule_sends_it() -> None:
    lungs = DestinationPlan("LUNGS", "LUNGS", "127.0.0.1", 104, research="Lungs")
    plan = replace(PLAN, destinations=(lungs,))
    assert ways(EXAM, "DX", plan) == (
        Way("LUNGS", False, "it is for research, and no rule sends anything there"),
    )
    assert destinations(EXAM, "DX", replace(plan, routes=(RoutePlan("All", to=("LUNGS",)),)))


def test_the_requisition_goes_where_images_go_and_it_is_wanted() -> None:
    plan = replace(PLAN, destinations=(replace(PACS, history=True), WS, replace(CT, history=True)))
    gone = destinations(EXAM, "DX", plan)
    assert [way.destination for way in documents_too(gone, plan)] == ["PACS"]


def test_a_rule_sends_where_it_says_and_is_the_reason() -> None:
    found = ways(EXAM, "DX", replace(PLAN, routes=(RULE,)))
    assert [w for w in found if w.goes] == [
        Way("PACS", True, "everything goes there"),
        Way("WS", True, "rule “Night”"),
        Way("AWAY", True, "rule “Night”"),
    ]
    both = ways(EXAM, "DX", replace(PLAN, routes=(RULE, RoutePlan("All", to=("WS",)))))
    assert Way("WS", True, "rule “Night” and rule “All”") in both


@pytest.mark.parametrize(
    ("exam", "modality"),
    [
        (replace(EXAM, procedure="KNEE2"), "DX"),
        (replace(EXAM, location="EAST"), "DX"),
        (replace(EXAM, priority="routine"), "DX"),
        (replace(EXAM, patient_class="O"), "DX"),
        (EXAM, "CR"),
        (replace(EXAM, wall=datetime(2026, 3, 2, 8)), "DX"),
    ],
)
def test_a_rule_is_for_an_exam_where_every_condition_holds(exam: RoutedExam, modality: str) -> None:
    assert went(EXAM, "DX", RULE) == ["PACS", "WS", "AWAY"]
    assert went(exam, modality, RULE) == ["PACS"]


def test_a_rule_for_a_reader_holds_while_they_read_and_not_while_they_cover() -> None:
    by_reader = RoutePlan("Berg reads", to=("WS",), readers=("BERG",))
    assert "WS" in went(EXAM, "DX", by_reader)
    first = OnCallPlan("LEE", "Dr Lee", NIGHT, phone="2")
    covered = replace(PLAN, routes=(by_reader,), on_call=(first, BERG))
    assert Way("WS", False, "none of its rules is for this exam") in ways(EXAM, "DX", covered)
    assert "WS" not in went(replace(EXAM, wall=datetime(2026, 3, 2, 9)), "DX", by_reader)


def test_what_a_rule_keeps_from_a_destination_stays_whatever_other_rules_say() -> None:
    keep = RoutePlan("No class E", not_to=("WS",), classes=("E",))
    found = ways(EXAM, "DX", replace(PLAN, routes=(RULE, keep)))
    assert Way("WS", False, "rule “No class E” keeps it from there") in found
    assert went(EXAM, "DX", keep) == ["PACS"]


@given(st.permutations([RULE, RoutePlan("All", to=("CT",)), RoutePlan("Not", not_to=("AWAY",))]))
def test_the_order_of_rules_does_not_matter(rules: list[RoutePlan]) -> None:
    assert went(EXAM, "DX", *rules) == ["PACS", "WS"]


def test_an_exam_that_would_go_elsewhere_is_told_with_the_reasons() -> None:
    plan = replace(PLAN, routes=(RULE,))
    as_it_went = Gone("A1", EXAM, ("DX", "SR"), frozenset({"PACS", "WS", "AWAY"}))
    less = replace(as_it_went, accession="A2", went=frozenset({"PACS"}))
    more = replace(as_it_went, accession="A3", modalities=("SR",), went=frozenset({"PACS", "WS", "OLD"}))
    assert elsewhere([as_it_went, less, more], plan) == [
        Otherwise("A2", (Way("WS", True, "rule “Night”"), Way("AWAY", True, "rule “Night”")), ()),
        Otherwise(
            "A3",
            (),
            (
                Way("OLD", False, "there is no such destination any more"),
                Way("WS", False, "none of its rules is for this exam"),
            ),
        ),
    ]


def test_what_is_asked_over_the_web_alone_gets_nothing_whatever_a_rule_says() -> None:
    old = DestinationPlan("OLD", "", "", 0, finds=True, web="https://old.example")
    plan = replace(PLAN, destinations=(old,), routes=(replace(RULE, to=("OLD",)),))
    assert ways(EXAM, "DX", plan) == ()
