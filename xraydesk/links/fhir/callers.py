"""Who asks by FHIR, and what they may: by role, by the scopes of their token, and of whose records."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission, Role
from xraydesk.links.fhir.conditions import key_of
from xraydesk.links.fhir.elements_codec import read_reference
from xraydesk.links.fhir.kind import Kind
from xraydesk.links.fhir.scopes_codec import Scope, allows

READS = frozenset({"read", "search"})


@dataclass(frozen=True)
class Caller:
    """A member asking by FHIR. `scopes` are None where a role alone limits them; `patient` is the one record they may see.

    `by_token` is False for a session of a person: such a one reads and writes nothing, so that no page of
    somebody else can make their browser write. `base` is the address of this server, as they know it.
    """

    member: Member
    by_token: bool
    scopes: tuple[Scope, ...] | None = None
    patient: int | None = None
    reason: str = ""
    base: str = ""

    def key_in(self, text: str, kind: str) -> int | None:
        """The key of the row that a reference to a resource of `kind` here means; None where it means none."""
        return key_of(read_reference(text, kind, self.base) or "")

    def may(self, kind: Kind, done: str) -> bool:
        """Whether they may do something (`read`, `search`, `create`, `update`) with a type at all."""
        member = self.member
        if not member.may(Permission.FHIR) or member.locations:
            return False
        if kind.of_access and member.role is not Role.SYSTEM and not member.may(Permission.SEE_ACCESS_LOG):
            return False
        if kind.of_programs and self.patient is not None:
            return False
        if self.scopes is not None and not any(self._lets(s, kind, done) for s in self.scopes):
            return False
        return done in READS or (self.by_token and member.may(Permission.FHIR_WRITE))

    def _lets(self, scope: Scope, kind: Kind, done: str) -> bool:
        """A scope of one patient lets nothing be done where no patient was chosen."""
        is_for_somebody = scope.context != "patient" or self.patient is not None
        return is_for_somebody and allows(scope, kind.name, done)

    def limits(self, kind: Kind) -> list[tuple[str, str]]:
        """What is added to each search of theirs, so that rows of others are not found."""
        if kind.of_programs and self.member.role is Role.SYSTEM:
            return [("_source", self.member.who)]
        if self.patient is None:
            return []
        if kind.name == "Patient":
            return [("_id", str(self.patient))]
        return [("patient", str(self.patient))] if "patient" in kind.parameters else []
