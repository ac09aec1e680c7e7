"""A run as a page and as a workbook."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from functools import cache

from xraydesk.simulation.outcome import DayOutcome
from xraydesk.simulation.page import DRAWN, charts, page
from xraydesk.simulation.policy import Way
from xraydesk.simulation.report import Report, as_json, as_markdown, load_words, report_of, simulate
from xraydesk.simulation.scenario import Kind, Scenario
from xraydesk.simulation.tests.small import policy, site, small_scenario
from xraydesk.simulation.workbook import workbook
from xraydesk.siteplan.hours import WEEKDAYS


def busy(**fields: object) -> Scenario:
    """Two orders in each hour."""
    return small_scenario(
        orders=dict.fromkeys(WEEKDAYS, (2,) * 24),
        shares={Kind.EMERGENCY: 1, Kind.INPATIENT: 1, Kind.WALK_IN: 1},
        **fields,
    )


def report(days: int = 2, **fields: object) -> Report:
    policies = [
        policy(Way.FIRST_COME),
        replace(policy(Way.XRAYDESK), name="<ours> & a name that is longer than a sheet's: [x]/'"),
    ]
    return simulate(site(), busy(**fields), policies, days=days, seed=1)


@cache
def usual_report() -> Report:
    """Two usual days, simulated once: a report is frozen, and these tests only show it."""
    return report()


def test_a_page_needs_nothing_else_and_has_a_chart_for_what_is_asked_first() -> None:
    made = page(usual_report())
    assert made.count("<svg") == len(DRAWN)
    assert "&lt;ours&gt; &amp; a name" in made
    assert "<ours>" not in made
    assert not re.search(r"(?:src|href)=", made.replace('xlink:href="#', ""))
    assert "2 simulated days, seed 1" in made


def test_a_measure_with_nothing_to_tell_has_no_chart() -> None:
    nothing = report(days=1, load_percent=1)
    drawn = [title for title, _ in charts(nothing)]
    assert "STAT order to exam, 90th percentile, min" not in drawn
    assert "overtime, min a day" in drawn


def test_a_workbook_has_the_measures_each_day_and_what_they_mean() -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(usual_report()))) as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
        texts = book.read("xl/sharedStrings.xml").decode()
    assert names[0] == "Side by side"
    assert names[1] == "1 first-come"
    assert names[2].startswith("2 &lt;ours&gt; &amp; a name")
    assert names[3] == "What they mean"
    assert "Minutes from being here" in texts


def test_how_much_comes_is_said_and_plainly_where_it_is_more_than_can_be_done() -> None:
    usual = usual_report()
    assert load_words(usual) == ()
    assert as_json(usual)["load_percent"] == 100
    much = simulate(site(), busy(load_percent=500), [policy(Way.FIRST_COME)], days=1, seed=1)
    first, *plain = load_words(much)
    assert first == "500 % of the scenario’s orders and appointments come."
    assert plain
    assert all("more than can be done" in words for words in plain)
    rooms, technologists = much.work_percent
    assert rooms is not None
    assert technologists is not None
    assert max(rooms, technologists) > 100
    assert "more than can be done" in page(much)
    assert as_markdown(much).startswith("500 % of the scenario’s orders")
    with zipfile.ZipFile(io.BytesIO(workbook(much))) as book:
        assert "more than can be done" in book.read("xl/sharedStrings.xml").decode()
    nobody = replace(much, work_percent=(None, None), load_percent=100)
    assert load_words(nobody) == ()
    assert report_of(
        "S", small_scenario(), [policy(Way.FIRST_COME)], [[DayOutcome(0, ())]], seed=0
    ).work_percent == (
        None,
        None,
    )
