"""Who is told of a finding, in which order; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xraydesk.lib.text import name_as_said
from xraydesk.results.states import CallWay
from xraydesk.siteplan.plan import ProviderPlan, WardPlan

COVER_DEPTH_MAX = 3
"""So many providers are followed who cover for each other."""


@dataclass(frozen=True)
class Person:
    """Somebody to tell: what they are to the patient, their name, and the ways to reach them, the first one first."""

    role: str
    name: str
    numbers: tuple[str, ...] = ()

    @property
    def way(self) -> CallWay:
        """How they are reached first."""
        return CallWay.PAGER if self.numbers and "pager" in self.numbers[0].lower() else CallWay.PHONE

    @property
    def words(self) -> str:
        """`Dr Okafor, ordering provider, ext. 7001`."""
        return ", ".join((self.name, self.role, *self.numbers[:1]))


ORDERING = "ordering provider"
COVERING = "covering provider"
UNIT = "unit"
TEAM = "patient's team"
ROLES = (ORDERING, COVERING, UNIT, TEAM)


def people_to_tell(
    *,
    provider_number: str,
    provider_name: str,
    provider_phone: str,
    providers: Sequence[ProviderPlan],
    ward: WardPlan | None,
) -> tuple[Person, ...]:
    """Who is told, in order: who ordered, who covers for them, the unit where the patient lies, the patient's team.

    The number that the order gives (ORC-14, OBR-17) comes before the one of the site's list. Nobody stands in it twice.
    """
    roster = {p.number: p for p in providers}
    listed = roster.get(provider_number) if provider_number else None
    found: list[Person] = []
    name = name_as_said(provider_name) or (listed.name if listed else "")
    if name:
        numbers = dict.fromkeys(n for n in (provider_phone, listed.phone if listed else "") if n)
        found.append(Person(ORDERING, name, tuple(numbers)))
    seen = {provider_number}
    cover = roster.get(listed.covered_by) if listed else None
    while cover is not None and cover.number not in seen and len(seen) <= COVER_DEPTH_MAX:
        found.append(Person(COVERING, cover.name, (cover.phone,) if cover.phone else ()))
        seen.add(cover.number)
        cover = roster.get(cover.covered_by)
    if ward is not None:
        found.append(Person(UNIT, ward.name, (ward.phone,) if ward.phone else ()))
        if ward.team:
            found.append(Person(TEAM, ward.team, (ward.team_phone,) if ward.team_phone else ()))
    return tuple(found)


def to_json(people: Sequence[Person]) -> list[dict[str, Any]]:
    """As kept with a finding."""
    return [asdict(person) | {"numbers": list(person.numbers)} for person in people]


def from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Person, ...]:
    """As read from a finding."""
    return tuple(Person(str(r["role"]), str(r["name"]), tuple(map(str, r["numbers"]))) for r in rows)
