"""The pages of docs/ say what is so: the tests they name exist, what they link to is there, what they show works."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest

from tests.database import with_tables
from tests.running import need, running_desk, until
from xraydesk.project.cli_simulate import USUAL_POLICIES
from xraydesk.simulation.measures import MEASURES
from xraydesk.siteplan.reading import read_toml_text

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FAULT_ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@lru_cache(maxsize=200)
def functions_in(path: Path) -> set[str]:
    """The test functions at the top of a file."""
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def fault_rows() -> list[tuple[int, str]]:
    """The numbers of the page about faults, each with the cell of what shows it."""
    page = (ROOT / "docs" / "FAULTS.md").read_text(encoding="utf-8")
    return [(int(row[0]), row[3].strip()) for row in FAULT_ROW.findall(page)]


def test_every_fault_from_1_to_60_has_its_row() -> None:
    assert [number for number, _ in fault_rows()] == list(range(1, 61))


@pytest.mark.parametrize(("number", "shown"), fault_rows())
def test_each_fault_names_a_test_that_exists_or_says_not_yet(number: int, shown: str) -> None:
    named = re.findall(r"`([^`]+\.py)::(\w+)`", shown)
    assert named or shown.startswith("not yet: ")
    for file, test in named:
        assert test.startswith("test_")
        assert test in functions_in(ROOT / file), f"row {number}: {file}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


CONNECT = (ROOT / "docs" / "howto" / "connect.md").read_text(encoding="utf-8")


def shown(kind: str, page: str = CONNECT) -> list[str]:
    """The blocks of one kind that a page shows."""
    return re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)


def test_what_the_page_about_links_shows_fits_into_a_site_file() -> None:
    hospital = (ROOT / "site" / "hospital.toml").read_text(encoding="utf-8")
    plan = read_toml_text("\n".join([hospital, *shown("toml")]))
    assert [link.sending_application for link in plan.links] == ["EHR", "REPORTS", "EPICARE"]
    assert "DXNORTH" in [modality.ae_title for modality in plan.modalities]
    assert "ARCHIVE" in [destination.name for destination in plan.destinations]


def test_what_the_page_about_engines_shows_fits_into_a_site_file() -> None:
    hospital = (ROOT / "site" / "hospital.toml").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "howto" / "engines.md").read_text(encoding="utf-8")
    plan = read_toml_text("\n".join([hospital, *shown("toml", page)]))
    assert [link.name for link in plan.links][2:] == ["EPIC", "MILLENNIUM"]
    assert plan.outlinks[-1].folder == "/srv/hl7/out"


@pytest.mark.link
def test_what_the_page_about_links_tells_to_type_works(tmp_path: Path) -> None:
    need("echoscu", "findscu", "curl")
    [message], [client] = shown("hl7"), shown("python")
    (tmp_path / "order.hl7").write_text(message, encoding="utf-8")
    bin_dir = str(Path(sys.executable).parent)
    with running_desk(with_tables(tmp_path), "--demo-quiet") as desk:

        def typed(block: str) -> str:
            for usual, here in ((2575, desk.mllp), (11112, desk.dicom), (8080, desk.http)):
                block = block.replace(str(usual), str(here))
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", block],
                cwd=tmp_path,
                env=desk.env | {"XRAYDESK_HOME": str(desk.home), "PATH": f"{bin_dir}:{os.environ['PATH']}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stdout
            return done.stdout

        (tmp_path / "send.py").write_text(client.replace("2575", str(desk.mllp)), encoding="utf-8")
        assert "MSA|AA|TRY1" in typed("python send.py order.hl7")
        orders, machine, programs = shown("sh")
        assert until(lambda: "scheduled" in typed("xraydesk exam list --all --placer TRY-1"))
        assert "TRY1" in typed(orders)
        assert "TRY-1" in typed(machine)
        assert '"CapabilityStatement"' in typed(programs)


@pytest.mark.link
def test_what_the_page_about_planning_tells_to_type_works(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "planning.md").read_text(encoding="utf-8")
    [block], [problem] = shown("sh", page), shown("json", page)
    (tmp_path / "day.json").write_text(problem, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-e", "-c", block.replace("--seconds 5", "--steps 3")],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "2 exams planned, 0 left out; cost 10, at least 10 in any plan\ncost 10\n", (
        done.stderr
    )


SIMULATE = (ROOT / "docs" / "howto" / "simulate.md").read_text(encoding="utf-8")


@pytest.mark.link
def test_what_the_page_about_simulating_tells_to_type_works(tmp_path: Path) -> None:
    usual, ours, _ = shown("sh", SIMULATE)
    [policy] = shown("toml", SIMULATE)
    (tmp_path / "ours.toml").write_text(policy, encoding="utf-8")
    example = (ROOT / "site" / "simulation" / "xraydesk.toml").read_text(encoding="utf-8")
    (tmp_path / "xraydesk.toml").write_text(example, encoding="utf-8")
    block = re.sub(r"--days \d+", "--days 1 --load 5", usual + ours)
    done = subprocess.run(
        ["bash", "-e", "-c", block],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("1 days, seed 0.") == 2, done.stderr
    assert "priority desk" in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()


@pytest.mark.link
def test_what_the_page_about_simulating_tells_of_a_desk_s_facts_works(tmp_path: Path) -> None:
    block = shown("sh", SIMULATE)[-1].replace("--days 10", "--days 1 --load 5")
    with running_desk(with_tables(tmp_path), "--demo-quiet") as desk:
        done = subprocess.run(
            ["bash", "-e", "-c", block.replace("--home var", f"--home {desk.home}")],
            cwd=tmp_path,
            env=desk.env | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Learnt: " in done.stderr


def test_the_report_of_the_simulation_has_every_measure_and_the_usual_policies() -> None:
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    for measure in MEASURES:
        assert f"| {measure.name}" in page
    for name in USUAL_POLICIES:
        file = ROOT / "site" / "simulation" / f"{name}.toml"
        assert tomllib.loads(file.read_text(encoding="utf-8"))["policy"]["name"] in page


def test_whatever_is_installed_to_run_is_named_with_its_licence() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    needed = {name for name, rest in re.findall(r"(?m)^([\w.-]+)==(.*)$", lock) if "win32" not in rest}
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert dict(re.findall(r"(?m)^ {4}(\S+) +(\S.*)$", notice)).keys() == needed


def test_the_files_and_packages_that_the_map_names_are_there() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([\w*]+/[\w*/]*(?:\.py)?)`", page) if not (ROOT / name).exists()}
    assert len(named) > 10
    assert {name for name in named if not [*(ROOT / "xraydesk").glob(name)]} == set()
    packages = {path.name for path in (ROOT / "xraydesk").iterdir() if (path / "__init__.py").is_file()}
    table = page.split("## Map")[1].split("## What always holds")[0]
    told = {name for row in re.findall(r"(?m)^\| (`.*?`) \|", table) for name in re.findall(r"`(\w+)`", row)}
    assert told == packages
