"""Bringing the rows of a table to what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
K = TypeVar("K")


def put_rows(
    rows: QuerySet[M],
    *,
    key: tuple[str, ...],
    wanted: Mapping[K, Mapping[str, Any]],
    fixed: Mapping[str, Any],
) -> dict[K, M]:
    """Make, change and retire rows so that exactly those in `wanted` are in use; all of them, by key.

    `key` names the fields that make up a key of `wanted` (a tuple where there are several),
    `fixed` the fields of a new row that are never changed afterwards. A row that is no longer
    wanted is marked `retired` and kept; one that is wanted again is taken back. Rows that are
    right already are not written. Call inside a transaction.
    """
    found: dict[Any, M] = {}
    for row in rows.select_for_update():
        parts = tuple(getattr(row, name) for name in key)
        found[parts[0] if len(parts) == 1 else parts] = row
    for name, fields in wanted.items():
        values = {**fields, "retired": False}
        row_or_none = found.get(name)
        if row_or_none is None:
            parts = name if isinstance(name, tuple) else (name,)
            found[name] = rows.create(**fixed, **dict(zip(key, parts, strict=True)), **values)
            continue
        changed = [field for field, value in values.items() if getattr(row_or_none, field) != value]
        for field in changed:
            setattr(row_or_none, field, values[field])
        if changed:
            row_or_none.save(update_fields=changed)
    gone = [row.pk for name, row in found.items() if name not in wanted and not getattr(row, "retired")]  # noqa: B009
    rows.filter(pk__in=gone).update(retired=True)
    return {name: found[name] for name in wanted}
