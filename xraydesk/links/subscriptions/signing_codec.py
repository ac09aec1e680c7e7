"""Calls are signed, so that whoever is called knows that the desk called and that nothing was changed on the way. Pure.

As Standard Webhooks 1.0 has it: HMAC-SHA256 over `id.time.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime

MARK = "whsec_"
"""How such a secret begins wherever it is written, so that it is known for one."""

SECRET_BYTES = 32


def secret_of(random: bytes) -> str:
    """Bytes that nobody can guess as a secret is told."""
    return MARK + base64.b64encode(random).decode()


def signed(body: bytes, *, secret: str, number: str, at: datetime) -> dict[str, str]:
    """The headers of a call: its number (the same when it is sent again), the time, and the signature of both with the body."""
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(MARK))
    digest = hmac.digest(key, b".".join((number.encode(), seconds.encode(), body)), hashlib.sha256)
    return {
        "webhook-id": number,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
