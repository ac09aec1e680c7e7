"""CDS Hooks 2.0: what an EHR asks while an order is written or a place is chosen, and the cards that answer. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xraydesk.links.fhir.elements_codec import Resource, filled
from xraydesk.orders.rules import HOLDING, Decision, Level

SUMMARY_LENGTH_MAX = 139
"""A card's summary has fewer than 140 characters."""

DRAFTS_MAX = 10
"""More orders than these are not looked at in one call, so that the answer is there in time."""

PREFETCH = {"patient": "Patient/{{context.patientId}}"}
_NAMES = uuid.UUID("6f0d5e64-3c55-4c1b-9a53-5b1f5e8b2a10")

SERVICES = (
    ("order-select", "Whether the x-ray department can take what is being ordered"),
    ("order-sign", "What would hold up an x-ray order that is about to be signed"),
    ("appointment-book", "Whether an x-ray exam can be done at the time that is about to be booked"),
)
"""Hook and what it says; each service is named as its hook."""


def services() -> Resource:
    """What is offered (`/cds-services`)."""
    return {
        "services": [
            {
                "hook": hook,
                "id": hook,
                "title": "X-ray desk",
                "description": words,
                "prefetch": PREFETCH,
            }
            for hook, words in SERVICES
        ]
    }


@dataclass(frozen=True)
class Card:
    """One thing to tell: in a line, in full, how urgent (`info`, `warning`), and where to look."""

    summary: str
    detail: str
    indicator: str
    about: str


def card_of(text: str, decision: Decision, *, about: str) -> Card | None:
    """What triage would say, as a card; None where nothing speaks against the exam and nothing need be noted."""
    told = [f for f in decision.findings if f.level is not Level.GOOD]
    if not told:
        return None
    held = any(f.level in HOLDING for f in told)
    lines = [f"- {f.sentence} {f.detail}".strip() for f in told]
    words = " ".join(f.sentence for f in told if not held or f.level in HOLDING)
    summary = f"{text}: would be held. {words}" if held else f"{text}: {words}"
    return Card(summary, "\n".join(lines), "warning" if held else "info", about)


def cards(found: Iterable[Card], *, link: str) -> Resource:
    """The answer to a hook: each card with its source and a link to the desk."""
    return {
        "cards": [
            filled(
                uuid=str(uuid.uuid5(_NAMES, f"{card.about}\n{card.summary}\n{card.detail}")),
                summary=shortened_summary(card.summary),
                detail=card.detail,
                indicator=card.indicator,
                source={"label": "X-ray desk", "url": link},
                links=[{"label": "Open the x-ray desk", "url": link, "type": "absolute"}],
            )
            for card in found
        ]
    }


def shortened_summary(text: str) -> str:
    """A summary as long as it may be."""
    return text if len(text) <= SUMMARY_LENGTH_MAX else text[: SUMMARY_LENGTH_MAX - 1].rstrip() + "…"


def drafts(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The x-ray orders among those being written: those selected where the hook says which, else all, at most DRAFTS_MAX."""
    chosen = context.get("selections")
    names = set(chosen) if isinstance(chosen, list) and all(isinstance(n, str) for n in chosen) else None
    found = _resources(context.get("draftOrders"), "ServiceRequest")
    if names is not None:
        found = [r for r in found if f"ServiceRequest/{r.get('id')}" in names]
    return found[:DRAFTS_MAX]


def appointments(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The places that are about to be booked, at most DRAFTS_MAX."""
    return _resources(context.get("appointments"), "Appointment")[:DRAFTS_MAX]


def based_on(appointment: Mapping[str, Any]) -> tuple[str, str]:
    """The order that a place is for: the reference to it, and its number as it is searched by (`system|value`); each empty where it is not told."""
    listed = appointment.get("basedOn")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    number = first.get("identifier")
    told = number if isinstance(number, dict) and isinstance(number.get("value"), str) else {}
    system = f"{told['system']}|" if isinstance(told.get("system"), str) else ""
    return str(first.get("reference", "")), f"{system}{told['value']}" if told.get("value") else ""


def _resources(bundle: Any, kind: str) -> list[Mapping[str, Any]]:
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    listed = [e.get("resource") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    return [r for r in listed if isinstance(r, dict) and r.get("resourceType") == kind]
