"""A plan as JSON and back, without loss. Pure; the types of `plan` are the one description of both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, time
from functools import cache, lru_cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from xraydesk.lib.shared_json import Shared
from xraydesk.siteplan.plan import SitePlan

FORMAT = "xraydesk.site/1"
CACHED_PLANS_MAX = 64


class NotAPlan(ValueError):
    """The JSON kept with a site is no plan that this version can read."""


def to_json(plan: SitePlan) -> dict[str, Any]:
    """The plan as JSON values. Wall times are `HH:MM`, an end at midnight `00:00`, closures ISO without offset."""
    return {"format": FORMAT, **plain(plan)}


def plain(value: Any) -> Any:
    """A part of a plan as JSON values."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return value


def from_json(data: Mapping[str, Any]) -> SitePlan:
    """The plan that `to_json` wrote. The same content gives the same object, which is not to be changed.

    Raises NotAPlan where it is none.
    """
    return data.once(_from_any) if isinstance(data, Shared) else _from_any(data)


def _from_any(data: Mapping[str, Any]) -> SitePlan:
    return _from_text(json.dumps(data, sort_keys=True))


@lru_cache(maxsize=CACHED_PLANS_MAX)
def _from_text(text: str) -> SitePlan:
    data = json.loads(text)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise NotAPlan(f"this is no {FORMAT}")
    try:
        plan = _value(SitePlan, data)
    except (KeyError, TypeError, ValueError, AttributeError) as trouble:
        raise NotAPlan(f"this is no {FORMAT}: {trouble}") from None
    assert isinstance(plan, SitePlan)
    return plan


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, data: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        if inner[-1] is ...:
            return tuple(_value(inner[0], one) for one in data)
        return tuple(_value(each, one) for each, one in zip(inner, data, strict=True))
    if origin is UnionType:
        return None if data is None else _value(inner[0], data)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _value(inner[1], one) for key, one in data.items()}
    if is_dataclass(kind):
        return _part(kind, data)
    if kind in (datetime, time):
        return kind.fromisoformat(data)
    made = kind(data)
    if made != data:
        raise ValueError(f"{data!r} where {kind.__name__} is due")
    return made


def _part(kind: Any, data: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    given = {}
    for field in fields(kind):
        if field.name in data:
            given[field.name] = _value(hints[field.name], data[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(field.name)
    unknown = data.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**given)
