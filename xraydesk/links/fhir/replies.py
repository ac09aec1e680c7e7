"""What an interaction answers, and how it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xraydesk.links.fhir.answers_codec import Issue, outcome
from xraydesk.links.fhir.elements_codec import Resource


class Refusal(Exception):
    """Nothing was changed. `status` is HTTP's; `issues` say what is wrong, `contained` what may be had instead."""

    def __init__(
        self, status: int, *issues: Issue, contained: Sequence[Resource] = (), allowed: Sequence[str] = ()
    ) -> None:
        super().__init__("; ".join(issue.words for issue in issues))
        self.allowed = tuple(allowed)
        self.status = status
        self.issues = issues
        self.contained = tuple(contained)

    @property
    def resource(self) -> Resource:
        """The OperationOutcome that tells of it."""
        return outcome(self.issues, self.contained)


def refuse(status: int, code: str, words: str, path: str = "") -> Refusal:
    """A refusal with one issue."""
    return Refusal(status, Issue(code, words, path))


@dataclass(frozen=True)
class Reply:
    """A resource with its status. `created` says that it is new; `location` is its address below the base."""

    status: int
    resource: Resource

    @property
    def location(self) -> str:
        """Type and id."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"

    @property
    def etag(self) -> str:
        """The version, as HTTP compares it."""
        return f'W/"{self.resource["meta"]["versionId"]}"'
