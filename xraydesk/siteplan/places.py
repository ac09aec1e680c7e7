"""A place in an HL7 v2 message as a site file names it: `OBR-27.6` is component 6 of field 27 of OBR. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})-([1-9]\d{0,2})(?:\.([1-9]\d?)(?:\.([1-9]\d?))?)?")


@dataclass(frozen=True)
class Place:
    """A segment, a field, and where given a component and a subcomponent; 0 for the whole."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    @classmethod
    def read(cls, written: str) -> Place:
        """The place that `written` names. Raises ValueError where it names none."""
        found = _PLACE.fullmatch(written)
        if found is None:
            raise ValueError(f"“{written}” is no place in a message; write it as OBR-27.6 or ZDS-1")
        segment, *numbers = found.groups()
        return cls(str(segment), *(int(number or 0) for number in numbers))
