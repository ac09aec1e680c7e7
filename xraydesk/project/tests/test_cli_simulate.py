"""`xraydesk simulate`: on the examples as they come, on files of one's own, and on what a desk has seen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.db import transaction

from tests.factories import SITE_FILES, load_demo_site
from xraydesk.access.models import Site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.project import cli_simulate
from xraydesk.project.cli import run
from xraydesk.project.config import config

Ask = Callable[..., tuple[int, str, str]]
FOLDER = SITE_FILES / "simulation"
QUICK = ("simulate", "--days", "1", "--load", "5")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])

    def ask(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        told = capsys.readouterr()
        return status, told.out, told.err

    yield ask
    config.cache_clear()


def test_without_files_the_six_rooms_are_run_under_the_usual_policies(ask: Ask) -> None:
    status, out, err = ask(*QUICK)
    assert (status, err) == (0, "")
    assert out.startswith(
        "Radiography, General Hospital: Six rooms, a busy general hospital. 1 days, seed 0.\n"
    )
    for name in ("first-come desk", "one line", "priority desk", "xraydesk, autopilot", "mean wait, min"):
        assert name in out


def test_a_report_is_one_object_of_json_and_the_same_for_the_same_seed(ask: Ask) -> None:
    policies = ("--policy", str(FOLDER / "xraydesk.toml"), "--policy", str(FOLDER / "one-more.toml"))
    answers = [ask(*QUICK, *policies, "--seed", seed, "--json") for seed in ("3", "3", "4")]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]
    told = json.loads(answers[0][1])
    assert [p["name"] for p in told["policies"]] == ["xraydesk", "xraydesk, one more 10 to 14"]
    assert (told["days"], told["seed"]) == (1, 3)


def test_a_folder_is_made_with_page_workbook_table_and_data(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert ask(*QUICK, "--policy", str(FOLDER / "one-line.toml"), "--out", str(out))[0] == 0
    assert {file.name for file in out.iterdir()} == {"report.json", "report.md", "report.html", "report.xlsx"}
    assert json.loads((out / "report.json").read_text())["format"] == "xraydesk.simulation/1"
    assert (out / "report.xlsx").read_bytes().startswith(b"PK")
    blocked = tmp_path / "file"
    blocked.write_text("")
    status, _, err = ask(*QUICK, "--policy", str(FOLDER / "one-line.toml"), "--out", str(blocked))
    assert (status, "cannot be written" in err) == (2, True)


def test_files_of_one_s_own_are_read_and_what_is_wrong_is_told_with_its_line(
    ask: Ask, tmp_path: Path
) -> None:
    wrong = tmp_path / "ours.toml"
    wrong.write_text('[policy]\nname = "Ours"\ndesk = "guess"\n')
    status, out, err = ask(*QUICK, "--policy", str(wrong))
    assert (status, out) == (2, "")
    assert f"{wrong}: line 3, policy, desk: “guess” is none of" in err
    assert ask(*QUICK, "--scenario", str(wrong))[0] == 2
    assert ask(*QUICK, "--site", str(wrong))[0] == 2
    status, _, err = ask(*QUICK, "--policy", str(tmp_path / "none.toml"))
    assert (status, "cannot be read" in err) == (2, True)
    twice = ("--policy", str(FOLDER / "xraydesk.toml")) * 2
    assert "Two policies have the name" in ask(*QUICK, *twice)[2]
    assert "At most 12 policies" in ask(*QUICK, *twice * 7)[2]


def test_whoever_watches_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    assert cli_simulate._progress() is None
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    told = cli_simulate._progress()
    assert told is not None
    told(1, 2)
    told(2, 2)
    assert seen.getvalue() == "\r1 of 2 days\r2 of 2 days\n"


def happened(site: Site, accession: str, kind: FactKind, minutes: float, **data: object) -> None:
    at = clock.now() - timedelta(days=1) + timedelta(minutes=minutes)
    with transaction.atomic():
        record(site_id=site.pk, kind=kind, at=at, by="rule", accession=accession, room="XR1", data=data)


@pytest.mark.django_db
def test_a_scenario_is_learnt_from_a_desk_s_own_facts(ask: Ask) -> None:
    site = load_demo_site()
    little = ask(*QUICK, "--from-facts", "--policy", str(FOLDER / "one-line.toml"))
    assert little[0] == 0
    assert "Learnt: nothing, too little was seen." in little[2]
    for number in range(25):
        name = f"A{number}"
        asked = {"priority": "stat", "class": "E", "procedure": "XRCHEST2"}
        happened(site, name, FactKind.ORDER_RECEIVED, 0, **asked)
        happened(site, name, FactKind.EXAM_BEGUN, 5)
        happened(site, name, FactKind.EXAM_ENDED, 12)
    status, out, err = ask(*QUICK, "--from-facts", "--policy", str(FOLDER / "one-line.toml"))
    assert status == 0
    assert (
        "Learnt: 25 orders by hour and weekday; 100 % of 25 emergency orders are STAT; exam times of 25"
        in err
    )
    assert "learnt from facts" in out


@pytest.mark.django_db
def test_a_desk_without_a_site_file_has_nothing_to_learn_for(ask: Ask) -> None:
    site = load_demo_site()
    site.plan = {}
    site.save()
    status, _, err = ask(*QUICK, "--from-facts")
    assert (status, "no site file loaded" in err) == (2, True)
