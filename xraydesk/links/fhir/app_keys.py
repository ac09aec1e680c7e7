"""The public keys of a service that says where they are had: fetched through the checked client, kept for a while, asked for seldom."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog

from xraydesk.access.app_actions import BadApp, public_keys
from xraydesk.access.models import App
from xraydesk.links.outside.client import HttpAnswer, Reach, ask

log = structlog.get_logger(__name__)

KEPT_SECONDS = 300.0
"""Keys are asked for anew after so long: one that was taken away there lets nobody in for longer."""

AGAIN_SECONDS = 20.0
"""No sooner than this after it was asked is an address asked again, whoever knocks with a key it may have by now."""

ANSWER_SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 65_536
APPS_KEPT_MAX = 1_000


@dataclass(frozen=True)
class _Kept:
    keys: list[dict[str, Any]]
    asked_at: float
    """On the clock of this process (time.monotonic)."""


_kept: dict[tuple[int, str], _Kept] = {}
"""By app and address; in this process alone."""
_lock = threading.Lock()


def keys_of(app: App, kid: str) -> list[dict[str, Any]]:
    """The keys that a service may sign with now; none where they cannot be had. `kid` is the one that is wanted."""
    if not app.keys_at:
        return list(app.keys)
    name, now = (app.pk, app.keys_at), time.monotonic()
    with _lock:
        kept = _kept.get(name)
    age = now - kept.asked_at if kept else KEPT_SECONDS
    is_wanted = kept is None or not any(key["kid"] == kid for key in kept.keys)
    if kept is not None and age < (AGAIN_SECONDS if is_wanted else KEPT_SECONDS):
        return kept.keys
    found = _fetched(app)
    with _lock:
        if len(_kept) >= APPS_KEPT_MAX:
            _kept.clear()
        _kept[name] = _Kept(found, now)
    return found


def _fetched(app: App) -> list[dict[str, Any]]:
    try:
        answered = ask(
            "GET",
            app.keys_at,
            reach=Reach(tuple(app.networks)),
            headers={"Accept": "application/jwk-set+json, application/json"},
            seconds_max=ANSWER_SECONDS_MAX,
        )
        return _read(answered)
    except (OSError, ValueError, BadApp) as trouble:
        log.warning("keys of an app cannot be had", app=app.name, error=type(trouble).__name__)
        return []


def _read(answered: HttpAnswer) -> list[dict[str, Any]]:
    if answered.status != 200 or len(answered.body) > ANSWER_BYTES_MAX:
        raise ValueError("no key set")
    told = json.loads(answered.body)
    keys = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(keys, list):
        raise ValueError("no key set")
    # A set may hold keys of other kinds as well, for other uses.
    return public_keys(
        [k for k in keys if isinstance(k, dict) and k.get("kty") in ("RSA", "EC") and k.get("kid")]
    )
