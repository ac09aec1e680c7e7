"""`xraydesk plan` and `plan check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import ROOT
from xraydesk.project.cli import run

PROBLEM: dict[str, Any] = {
    "format": "xraydesk.plan/1",
    "start": "2026-11-24T07:00:00-05:00",
    "rooms": [{"id": "XR1", "open": [[0, 60]]}],
    "travel": {"W1": 5},
    "exams": [
        {"id": "E1", "patient": "A", "minutes": {"XR1": 20}, "due": 0, "weight": 2},
        {"id": "E2", "patient": "B", "minutes": {"XR1": 20}, "due": 0},
        {"id": "E3", "patient": "C", "minutes": {"XR1": 40}, "weight": 0.5},
    ],
}


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(PROBLEM))
    return file


def test_a_problem_is_planned_and_the_plan_checked(
    problem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan.json"
    assert run(["plan", str(problem), "--seconds", "60", "--out", str(out)]) == 0
    assert capsys.readouterr().out == "2 exams planned, 1 left out; cost 520, at least 520 in any plan\n"
    assert run(["plan", "check", str(problem), str(out)]) == 0
    assert capsys.readouterr().out == "cost 520\n"
    assert run(["plan", "check", str(problem), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"keeps_every_rule": True, "cost": 520}


def test_the_answer_is_one_object_on_stdout(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(problem), "--steps", "5", "--seed", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == "xraydesk.plan-answer/1"
    assert [(e["id"], e["start"]) for e in told["exams"]] == [("E1", 0), ("E2", 20)]
    assert (told["unplanned"], told["cost"], told["lower_bound"]) == (["E3"], 520, 520)


def test_a_plan_that_breaks_a_rule_is_no_and_says_which(
    problem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan.json"
    run(["plan", str(problem), "--steps", "1", "--out", str(out)])
    plan = json.loads(out.read_text())
    plan["exams"][1]["start"] = 19
    out.write_text(json.dumps(plan))
    capsys.readouterr()
    assert run(["plan", "check", str(problem), str(out)]) == 1
    assert capsys.readouterr().out == "Exams E1 and E2 both have room XR1 at 19.\n"
    out.write_text("{}")
    assert run(["plan", "check", str(problem), str(out), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "keeps_every_rule": False,
        "why": "The plan: format is missing.",
    }


def test_wrong_use_is_told_in_a_sentence(
    problem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**PROBLEM, "exams": [{**PROBLEM["exams"][0], "minutes": {"XR9": 5}}]}))
    for arguments, words in (
        ([str(broken)], "Exam E1: minutes names 'XR9'"),
        ([str(tmp_path / "nowhere.json")], "cannot be read"),
        (["check", str(problem)], "takes two files"),
        (["check", str(problem), str(tmp_path / "nowhere.json")], "cannot be read"),
        ([str(problem), str(problem)], "takes one file"),
        ([str(problem), "--steps", "0", "--out", str(tmp_path / "no" / "where")], "cannot be written"),
    ):
        assert run(["plan", *arguments]) == 2
        told = capsys.readouterr()
        assert words in told.err
        assert told.out == ""
        assert len(told.err.splitlines()) == 1


def test_where_no_plan_can_exist_the_answer_is_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "problem.json"
    begun = {**PROBLEM["exams"][0], "from": "W1", "fixed": {"room": "XR1", "start": 0}}
    file.write_text(json.dumps({**PROBLEM, "porters": [], "exams": [begun]}))
    assert run(["plan", str(file), "--steps", "1"]) == 1
    told = capsys.readouterr()
    assert "E1" in told.err
    assert told.out == ""


@pytest.mark.link
def test_a_fresh_process_ends_with_the_status_and_needs_no_database(problem: Path, tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "xraydesk", "plan"]
    done = subprocess.run([*asked, str(problem), "--seconds", "0"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "plan.json").write_text(done.stdout)
    check = [*asked, "check", str(problem), str(tmp_path / "plan.json")]
    assert subprocess.run(check, cwd=ROOT, capture_output=True).returncode == 0
