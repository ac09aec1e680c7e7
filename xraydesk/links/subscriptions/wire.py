"""In place of a wire for HL7: each message is one call of a subscriber, signed, at an address that was checked (row 23)."""

from __future__ import annotations

from types import TracebackType

from xraydesk.lib import clock
from xraydesk.links.outgoing.wire import Answered, Later
from xraydesk.links.outside import client
from xraydesk.links.outside.retry_rules import retry_after_seconds
from xraydesk.links.subscriptions import standing
from xraydesk.links.subscriptions.signing_codec import signed
from xraydesk.links.subscriptions.standing import Hook

TAKEN, REFUSED = "AA", "AE"
"""As HL7 has it, so that one queue serves all."""

AGAIN = frozenset({408, 425, 429})
"""Answers that ask for another try, as every 5xx does."""

ANSWER_SECONDS_MAX = 10.0
ANSWER_KEPT_MAX = 4_096


class HookWire:
    """Calls one subscriber; how it goes is kept with the Subscription."""

    def __init__(self, to: Hook) -> None:
        self._to = to

    def __enter__(self) -> HookWire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ask(self, raw: bytes, *, number: str, sequence: int = 0) -> Answered:
        """Make one call. Raises OSError where it is to be made again; what the subscriber refuses is an answer."""
        at = clock.now()
        try:
            answered = self._called(raw, number)
        except OSError as away:
            standing.failed(self._to.key, away.strerror or str(away) or type(away).__name__, at=at)
            raise
        body = answered.body[:ANSWER_KEPT_MAX]
        if 200 <= answered.status < 300:
            standing.taken(self._to.key, at=at)
            return Answered(TAKEN, "", body)
        words = f"it answered {answered.status}"
        standing.failed(self._to.key, words, at=at)
        return Answered(REFUSED, words, body)

    def _called(self, raw: bytes, number: str) -> client.HttpAnswer:
        to = self._to
        told = dict(header.split(":", 1) for header in to.headers)
        answered = client.ask(
            "POST",
            to.where,
            reach=to.reach,
            headers={
                **{name: value.strip() for name, value in told.items()},
                "Content-Type": "application/fhir+json",
                **signed(raw, secret=to.secret, number=number, at=clock.now()),
            },
            body=raw,
            seconds_max=ANSWER_SECONDS_MAX,
        )
        if answered.status in AGAIN or answered.status >= 500:
            wait = retry_after_seconds(answered.headers.get("retry-after", ""), at=clock.now())
            raise Later(f"it answered {answered.status}", wait)
        return answered
