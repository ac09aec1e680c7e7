"""What the simulated EHR keeps for its FHIR side: every version of every resource, in a file of its own that outlives it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from xraydesk.lib import clock

Resource = dict[str, Any]

VERSIONS_MAX = 50_000
"""Of more versions the oldest go, a few thousand at once."""

VERSIONS_SPARE = 2_000
BUSY_SECONDS_MAX = 10.0

_TABLE = """
CREATE TABLE IF NOT EXISTS version (
  place INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
  updated TEXT NOT NULL, body TEXT NOT NULL,
  UNIQUE (kind, key, version)
)
"""
_NEWEST = (
    "version = (SELECT max(version) FROM version AS v WHERE v.kind = version.kind AND v.key = version.key)"
)


class Changed(Exception):
    """Another version stands there than the one that was to be replaced."""


class Several(Exception):
    """More than one resource fits the condition of a create."""


class Store:
    """The resources of one EHR. Any process of the box may open it; each call is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self._open() as rows:
            rows.execute(_TABLE)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS_MAX, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()

    def put(self, resource: Resource, *, match: str = "") -> Resource:
        """Keep a resource as its next version, under its own id or a new one; `match` is the version that it replaces.

        Raises Changed where another one stands there.
        """
        with self._open() as rows:
            return _kept(rows, resource, match)

    def create(self, resource: Resource, *, unless: tuple[str, str] | None = None) -> tuple[Resource, bool]:
        """Keep a new resource, unless one of its type has that number (system, value); and whether it was made.

        Raises Several.
        """
        kind = str(resource["resourceType"])
        with self._open() as rows:
            if unless is not None:
                there = [one for one in _newest(rows, kind) if has_number(one, *unless)]
                if len(there) > 1:
                    raise Several
                if there:
                    return there[0], False
            new = {name: value for name, value in resource.items() if name != "id"}
            return _kept(rows, new, ""), True

    def read(self, kind: str, key: str, version: str = "") -> Resource | None:
        """A resource as it stands, or as it was in a version; None where it never was."""
        wanted, values = ("version = ?", [version]) if version else (_NEWEST, [])
        with self._open() as rows:
            found = rows.execute(
                f"SELECT body FROM version WHERE kind = ? AND key = ? AND {wanted}",
                [kind, key, *values],
            ).fetchone()
        return None if found is None else json.loads(found[0])

    def all(self, kind: str) -> list[Resource]:
        """Every resource of a type as it stands, the one that changed last at the end."""
        with self._open() as rows:
            return _newest(rows, kind)

    def count_versions(self, kind: str) -> int:
        """How many versions of all resources of a type were written."""
        with self._open() as rows:
            (found,) = rows.execute("SELECT count(*) FROM version WHERE kind = ?", [kind]).fetchone()
        return int(found)


def has_number(resource: Resource, system: str, value: str) -> bool:
    """Whether a resource has an identifier; of any system where none is named."""
    return any(
        one.get("value") == value and system in ("", one.get("system"))
        for one in resource.get("identifier", ())
        if isinstance(one, dict)
    )


def updated(resource: Resource) -> datetime:
    """When a resource changed last."""
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


def _newest(rows: sqlite3.Connection, kind: str) -> list[Resource]:
    found = rows.execute(
        f"SELECT body FROM version WHERE kind = ? AND {_NEWEST} ORDER BY place",
        [kind],
    )
    return [json.loads(body) for (body,) in found]


def _kept(rows: sqlite3.Connection, resource: Resource, match: str) -> Resource:
    kind = str(resource["resourceType"])
    (last,) = rows.execute("SELECT coalesce(max(place), 0) FROM version").fetchone()
    key = str(resource.get("id") or f"{last + 1}")
    (standing,) = rows.execute(
        "SELECT coalesce(max(version), 0) FROM version WHERE kind = ? AND key = ?", [kind, key]
    ).fetchone()
    if match and match != str(standing):
        raise Changed
    at = clock.now().isoformat()
    meta = {**resource.get("meta", {}), "versionId": str(standing + 1), "lastUpdated": at}
    kept = {**resource, "id": key, "meta": meta}
    rows.execute(
        "INSERT INTO version (kind, key, version, updated, body) VALUES (?, ?, ?, ?, ?)",
        [kind, key, standing + 1, at, json.dumps(kept, ensure_ascii=False)],
    )
    if (last + 1) % VERSIONS_SPARE == 0:
        rows.execute("DELETE FROM version WHERE place < ?", [last - VERSIONS_MAX])
    return kept
