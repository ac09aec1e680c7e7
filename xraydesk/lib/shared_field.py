"""A column of JSON that is read far more often than it is written."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import Col

from xraydesk.lib.shared_json import shared


class SharedJSONField(models.JSONField):
    """A column whose text is read once, however many rows it comes with; in the database JSON like any other."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """What the column says, as the rows of others have it, too; a part of it is read as always."""
        whole = isinstance(value, str) and isinstance(expression, Col)
        return shared(value) if whole else super().from_db_value(value, expression, connection)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """For migrations, an ordinary column of JSON."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
