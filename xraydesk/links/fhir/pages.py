"""Where the next page of a search is: an address that holds the search sealed, so that no patient's number stands in it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from xraydesk.links.fhir.searching import After

PAGE_SECONDS_MAX = 24 * 3600
"""A page can be asked for so long after the one before it."""

PAGE = "_page"


@dataclass(frozen=True)
class Page:
    """A search with where it goes on; `after` is None for its first page."""

    asked: tuple[tuple[str, str], ...]
    after: After | None
    total: int | None
    lenient: bool = False


def _key() -> Fernet:
    digest = hashlib.sha256(b"pages of FHIR searches\0" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def sealed(page: Page, *, who: str, at: datetime) -> str:
    """A page as it may stand in an address; only `who` asked for it can open it."""
    after = page.after
    told = {
        "who": who,
        "asked": page.asked,
        "total": page.total,
        "lenient": page.lenient,
        "after": [after.source, [_plain(v) for v in after.values], after.key] if after else None,
    }
    return _key().encrypt_at_time(json.dumps(told).encode(), int(at.timestamp())).decode()


def _plain(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def opened(token: str, *, who: str, at: datetime) -> Page | None:
    """The page in an address; None where it is none, of somebody else, or too old."""
    try:
        told = json.loads(_key().decrypt_at_time(token.encode(), PAGE_SECONDS_MAX, int(at.timestamp())))
    except (InvalidToken, UnicodeEncodeError):
        return None
    if told["who"] != who:
        return None
    source, values, key = told["after"] or (0, (), 0)
    after = After(source, tuple(values), key) if told["after"] else None
    return Page(tuple((n, v) for n, v in told["asked"]), after, told["total"], told["lenient"])
