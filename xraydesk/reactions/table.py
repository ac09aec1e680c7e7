"""One table: what follows from each kind of fact."""

from __future__ import annotations

from collections.abc import Callable

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact

Reaction = Callable[[Fact], None]
"""Runs in a transaction of its own, and changes nothing when run again."""

REACTIONS: dict[FactKind, tuple[Reaction, ...]] = {}
