"""The page in docs/ says what is served, and nothing else."""

from __future__ import annotations

from pathlib import Path

from xraydesk.links.fhir.statement import table_of_kinds

PAGE = Path(__file__).parents[4] / "docs" / "conformance" / "fhir.md"


def test_the_page_lists_what_the_code_serves() -> None:
    assert table_of_kinds() in PAGE.read_text(encoding="utf-8")
