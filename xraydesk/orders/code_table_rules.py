"""Reading a table of codes that a site loads: its own codes beside those of LOINC, RadLex or SNOMED. Pure.

A CSV file in UTF-8 with a header line: `local`, `code`, and where wanted `local_system`, `display`, `equivalence`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass

PROCEDURES, BODY_SITES = "procedures", "body-sites"
EQUIVALENCES = (
    "relatedto",
    "equivalent",
    "equal",
    "wider",
    "subsumes",
    "narrower",
    "specializes",
    "inexact",
)
"""FHIR R4 ConceptMapEquivalence, without those that say there is nothing."""

THE_SAME = frozenset({"equal", "equivalent"})
"""Only these let an order that names the other code alone be read."""

_TURNED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
LENGTHS_MAX = {"local": 32, "local_system": 32, "code": 64, "display": 250}
ROWS_MAX = 20_000
PROBLEMS_MAX = 50


@dataclass(frozen=True)
class Pair:
    """One line: a code of the department's, and one of others."""

    local: str
    local_system: str
    code: str
    display: str = ""
    equivalence: str = "equivalent"


class BadTable(ValueError):
    """The file cannot be loaded; `problems` say why, with the number of the line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def turned(equivalence: str) -> str:
    """The same relation, seen from the other side."""
    return _TURNED.get(equivalence, equivalence)


def read_table(text: str, known: Collection[tuple[str, str]]) -> list[Pair]:
    """The pairs of a file; `known` are the department's own codes with their systems. Raises BadTable."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    columns = set(rows.fieldnames or ())
    if not {"local", "code"} <= columns or columns - {*LENGTHS_MAX, "equivalence"}:
        told = "local, code, local_system, display and equivalence"
        raise BadTable([f"line 1: the first line names the columns: {told}; the first two are needed"])
    pairs: dict[tuple[str, str, str], Pair] = {}
    problems: list[str] = []
    try:
        for row in rows:
            wrong, pair = _read(row, known)
            if pair is None:
                problems.append(f"line {rows.line_num}: {wrong}")
            else:
                pairs[pair.local, pair.local_system, pair.code] = pair
            if len(pairs) > ROWS_MAX or len(problems) >= PROBLEMS_MAX:
                problems.append(f"line {rows.line_num}: and so on; a table has at most {ROWS_MAX} lines")
                break
    except csv.Error as bad:
        problems.append(f"line {rows.line_num}: {bad}")
    if problems:
        raise BadTable(problems)
    return list(pairs.values())


def _read(row: dict[str, str], known: Collection[tuple[str, str]]) -> tuple[str, Pair | None]:
    if None in row or None in row.values():
        return "it has more or fewer columns than the first line", None
    told = {name: value.strip() for name, value in row.items()}
    too_long = [n for n, most in LENGTHS_MAX.items() if len(told.get(n, "")) > most]
    if too_long:
        return f"{too_long[0]} is longer than {LENGTHS_MAX[too_long[0]]} characters", None
    local, system = told["local"], told.get("local_system", "")
    systems = [s for code, s in known if code == local and system in ("", s)]
    if len(systems) != 1:
        why = (
            "is not on the department's list" if not systems else "needs its local_system: there are several"
        )
        return f"“{local}” {why}", None
    if not told["code"]:
        return "code is empty", None
    equivalence = told.get("equivalence", "") or "equivalent"
    if equivalence not in EQUIVALENCES:
        return f"equivalence is one of {', '.join(EQUIVALENCES)}", None
    return "", Pair(local, systems[0], told["code"], told.get("display", ""), equivalence)
