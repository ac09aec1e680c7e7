"""Bringing the rows of a table to what a file says, and writing many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
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
    new: list[M] = []
    for row in rows.select_for_update():
        parts = tuple(getattr(row, name) for name in key)
        found[parts[0] if len(parts) == 1 else parts] = row
    for name, fields in wanted.items():
        values = {**fields, "retired": False}
        row_or_none = found.get(name)
        if row_or_none is None:
            parts = name if isinstance(name, tuple) else (name,)
            found[name] = rows.model(**fixed, **dict(zip(key, parts, strict=True)), **values)
            new.append(found[name])
            continue
        changed = [field for field, value in values.items() if getattr(row_or_none, field) != value]
        for field in changed:
            setattr(row_or_none, field, values[field])
        if changed:
            row_or_none.save(update_fields=changed)
    rows.bulk_create(new)
    gone = [row.pk for name, row in found.items() if name not in wanted and not getattr(row, "retired")]  # noqa: B009
    rows.filter(pk__in=gone).update(retired=True)
    return {name: found[name] for name in wanted}


def next_keys(model: type[Model], count: int) -> list[int]:
    """So many new primary keys of a table, from its sequence; no two askers get the same."""
    if count == 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [model._meta.db_table, count],
        )
        return [row[0] for row in cursor.fetchall()]


AS_THEY_ARE = {
    "BigAutoField": int,
    "BigIntegerField": int,
    "BooleanField": bool,
    "CharField": str,
    "ForeignKey": int,
    "IntegerField": int,
    "OneToOneField": int,
    "PositiveIntegerField": int,
    "PositiveSmallIntegerField": int,
    "SmallIntegerField": int,
    "TextField": str,
}
"""Values that a field of this kind hands to the database unchanged: asking it for each would take longer than the rest."""


def copy_rows(model: type[M], rows: Sequence[M]) -> None:
    """Write many new rows of a table at once, by COPY. Each has its primary key. Call inside a transaction.

    Constraints and triggers hold as for any other row; nothing that Python does on saving happens.
    """
    if not rows:
        return
    database = connections[DEFAULT_DB_ALIAS]
    fields = model._meta.concrete_fields
    columns = [(f, f.attname, AS_THEY_ARE.get(f.get_internal_type())) for f in fields]

    def told(row: M) -> list[Any]:
        values = []
        for field, name, own in columns:
            value = getattr(row, name)
            unchanged = value is None or type(value) is own
            values.append(value if unchanged else field.get_db_prep_save(value, database))
        return values

    table = database.ops.quote_name(model._meta.db_table)
    names = ", ".join(database.ops.quote_name(str(field.column)) for field in fields)
    with database.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(told(row))
