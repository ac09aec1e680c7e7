"""A run in a process of its own."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

from xraydesk.simulation.aside import Question, answer
from xraydesk.simulation.policy import Way
from xraydesk.simulation.report import as_json, cells_of, simulate
from xraydesk.simulation.scenario import Kind
from xraydesk.simulation.tests.small import policy, site, small_scenario
from xraydesk.siteplan.hours import WEEKDAYS


def question() -> Question:
    scenario = small_scenario(orders=dict.fromkeys(WEEKDAYS, (2,) * 24), shares={Kind.WALK_IN: 1})
    ways = (policy(Way.FIRST_COME), replace(policy(Way.XRAYDESK), name="<ours> & others"))
    return Question(site(), scenario, ways, days=3, seed=4)


def test_it_counts_the_days_and_ends_with_the_same_report_as_here() -> None:
    asked, said = question(), io.StringIO()
    answer(io.BytesIO(asked.as_bytes()), said)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert lines[:-1] == [{"done": 1}, {"done": 2}, {"done": 3}]
    here = simulate(asked.site, asked.scenario, asked.policies, days=3, seed=4)
    assert lines[-1]["report"] == json.loads(json.dumps(as_json(here)))
    assert base64.b64decode(lines[-1]["workbook"]).startswith(b"PK")
    drawn = "".join(svg for _, svg in lines[-1]["charts"])
    assert "&lt;ours&gt;" in drawn
    assert "<ours>" not in drawn


def test_a_report_kept_as_data_makes_the_same_table() -> None:
    asked = question()
    here = simulate(asked.site, asked.scenario, asked.policies, days=1, seed=4)
    rows = {row.name: row for row in cells_of(json.loads(json.dumps(as_json(here))))}
    wait = rows["mean wait, min"]
    assert wait.words
    assert wait.cells[0].more == ""
    assert wait.cells[1].more[0] in "+-"
    assert rows["moved by, min"].cells[0].text == "–"
