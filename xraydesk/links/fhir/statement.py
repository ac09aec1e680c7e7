"""What is served, as the page in docs/ lists it. Made of the table that serves it; a test holds the two together."""

from __future__ import annotations

from collections.abc import Iterable

from xraydesk.links.fhir.kind import Kind
from xraydesk.links.fhir.kinds import KINDS


def table_of_kinds() -> str:
    """The Markdown table of types: what each is, what it is searched by, and what can be done besides."""
    lines = ["| resource | what it is | search | besides |", "|---|---|---|---|"]
    for kind in KINDS.values():
        words = f"`{kind.name}` | {kind.says} | {_code(kind.parameters)} | {_code(_besides(kind))}"
        lines.append(f"| {words} |")
    return "\n".join(lines)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _besides(kind: Kind) -> list[str]:
    sorts = [f"_sort={name}" for name in kind.sorts]
    return [*kind.writes, *sorts, *(f"${name}" for name in kind.operations)]
