"""The pages of docs/ say what is so: the tests they name exist, what they link to is there, what they show works."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

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
