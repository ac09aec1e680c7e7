"""What a type that is served is: the rows behind it, what they are searched by, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import Combinable

from xraydesk.access.models import Site
from xraydesk.links.fhir.conditions import Condition
from xraydesk.links.fhir.rows import Loader, Shown


@dataclass(frozen=True)
class Parameter:
    """One search parameter: its type, what a value of it means, and for a reference where it stands and may lead.

    `modified` says what a value means behind each modifier that it takes. `columns` names for each type that a
    reference leads to the column that holds the key: through it a search can be chained (`patient.birthdate`).
    """

    type: str
    condition: Condition
    element: str = ""
    targets: tuple[str, ...] = ()
    modified: Mapping[str, Condition] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """The rows behind a type, what they are searched by, and how resources are made of them. Most types have one."""

    rows: Callable[[Site], QuerySet[Any]]
    shown: Loader
    parameters: Mapping[str, Parameter]
    prefix: str = ""
    computed: Mapping[str, Combinable] = field(default_factory=dict)
    """What it can be sorted by that is no column, by name."""


LAST_TOLD = "last_told"
UPDATED = {"_lastUpdated": LAST_TOLD}
VALIDATE = {"validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}


@dataclass(frozen=True)
class Kind:
    """One resource type. `sorts` maps what `_sort` may name to a column that is never empty."""

    name: str
    says: str
    sources: tuple[Source, ...]
    sorts: Mapping[str, str] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=lambda: dict(VALIDATE))
    finder: Callable[[Site, Mapping[str, Sequence[Sequence[str]]], int], list[Shown]] | None = None
    """Finds what no rows are kept of; its parameters are read as any other's."""
    of_access: bool = False
    """True for the log of access, and who is called: not for everybody who may read."""
    of_programs: bool = False
    """True for what programs ask for themselves: each sees its own."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What it is searched by."""
        return self.sources[0].parameters
