"""Between a machine that made images before there was an order, and the EHR that sends the order afterwards.

The two are processes of their own: the machine leaves a note, as a technologist tells the ward, and the EHR finds it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from xraydesk.siteplan.invented import Person

FOLDER = "to-order"
NOTES_MAX = 50
"""So many orders are outstanding at most; what is more is forgotten, as happens."""


@dataclass(frozen=True)
class ToOrder:
    """An exam that was done and is still to be ordered, at `due` (seconds since 1970)."""

    person: Person
    code: str
    side: str
    due: float


def leave(folder: Path, what: ToOrder) -> None:
    """Tell the EHR that an exam is still to be ordered."""
    kept = folder / FOLDER
    kept.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in kept.glob("*.json")) >= NOTES_MAX:
        return
    told = asdict(what) | {"person": asdict(what.person) | {"birth_date": what.person.birth_date.isoformat()}}
    partial = kept / f"{what.person.number}.partial"
    partial.write_text(json.dumps(told), encoding="utf-8")
    partial.replace(partial.with_suffix(".json"))


def take(folder: Path, *, now: float | None = None) -> list[ToOrder]:
    """What is to be ordered now; each once."""
    now = time.time() if now is None else now
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["due"] > now:
            continue
        path.unlink()
        person = Person(**(told["person"] | {"birth_date": date.fromisoformat(told["person"]["birth_date"])}))
        found.append(ToOrder(person, told["code"], told["side"], told["due"]))
    return found
