"""JSON whose numbers keep the digits that they were written with: 1.50 stays 1.50, as FHIR asks of decimals. Pure."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

DIGITS_MAX = 40
"""No measure has more digits, and a database would keep each of them."""

_NUMBER = re.compile(r'"\\u0000(-?[0-9.Ee+-]+)\\u0000"')
"""A number on its way into a text: no text that is kept holds a zero character, so that nothing else looks like it."""


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # An exponent of twenty digits.
        return Decimal("Infinity")


def may_be_kept(number: Decimal) -> bool:
    """False for a number that nobody measured: 1e9999 is short to write, and long to keep."""
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and len(digits) <= DIGITS_MAX and abs(exponent) <= DIGITS_MAX


def _no_number(name: str) -> Decimal:
    raise ValueError(f"{name} is no number of JSON")


class ExactDecoder(json.JSONDecoder):
    """Reads numbers with a point or an exponent as Decimal, whole ones as int."""

    def __init__(self) -> None:
        super().__init__(parse_float=_exact, parse_constant=_no_number)


class ExactEncoder(json.JSONEncoder):
    """Writes each Decimal with its own digits."""

    def default(self, o: Any) -> Any:
        """A Decimal, marked, so that `encode` finds it."""
        return f"\0{o}\0" if isinstance(o, Decimal) else super().default(o)

    def encode(self, o: Any) -> str:
        """The whole text."""
        text = super().encode(o)
        return _NUMBER.sub(r"\1", text) if "\\u0000" in text else text


def read(text: str) -> Any:
    """What a text of JSON says. Raises ValueError, RecursionError where it is nested too deep."""
    return ExactDecoder().decode(text)


def written(value: Any, *, sort_keys: bool = False) -> str:
    """A value as a text of JSON, its letters as they are."""
    return ExactEncoder(ensure_ascii=False, sort_keys=sort_keys).encode(value)
