"""What programs can subscribe to: each topic, the type of resource that it tells of, and the facts behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.facts.kinds import FactKind
from xraydesk.links.fhir.changes import APPOINTMENTS, FINDINGS, STUDIES

TOPIC_PREFIX = "urn:xraydesk:topic:"


@dataclass(frozen=True)
class Topic:
    """One topic: its name, the type of resource, in words when it tells, and the facts that it follows from."""

    name: str
    kind: str
    says: str
    facts: frozenset[FactKind]

    @property
    def url(self) -> str:
        """Its canonical address."""
        return f"{TOPIC_PREFIX}{self.name}"


_ORDERS = (
    FactKind.ORDER_RECEIVED,
    FactKind.ORDER_CHANGED,
    FactKind.ORDER_CANCELLED,
    FactKind.EXAM_CANCELLED,
    FactKind.EXAM_ACCEPTED,
    FactKind.PRIORITY_CHANGED,
    FactKind.EXAM_BEGUN,
    FactKind.EXAM_ENDED,
    FactKind.EXAM_DISCONTINUED,
    FactKind.EXAM_REOPENED,
)
TOPICS: dict[str, Topic] = {
    topic.url: topic
    for topic in (
        Topic(
            "order",
            "ServiceRequest",
            "an order came, was changed, accepted, begun, ended or cancelled",
            frozenset(_ORDERS),
        ),
        Topic(
            "appointment",
            "Appointment",
            "a place was booked, moved, released, kept or missed",
            frozenset(APPOINTMENTS),
        ),
        Topic(
            "study",
            "ImagingStudy",
            "images of an exam came or were taken away, or it ended",
            frozenset(STUDIES),
        ),
        Topic(
            "report",
            "DiagnosticReport",
            "a report came, or a newer version of it",
            frozenset({FactKind.REPORT_RECEIVED}),
        ),
        Topic(
            "critical-result",
            "Communication",
            "a result must be told, somebody was called, or it was read back",
            frozenset(FINDINGS),
        ),
    )
}
"""By canonical address."""

FACTS = frozenset(kind for topic in TOPICS.values() for kind in topic.facts)
"""Facts that some topic follows from."""


def topics_of(kind: FactKind) -> tuple[Topic, ...]:
    """The topics that tell of a kind of fact."""
    return tuple(topic for topic in TOPICS.values() if kind in topic.facts)
