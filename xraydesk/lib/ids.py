"""Numbers and identifiers that the desk gives out."""

from __future__ import annotations

import re
import secrets
import uuid

UID_PATTERN = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
"""A DICOM unique identifier, PS3.5 section 9.1: digits and dots, no leading zeros."""

UID_LENGTH_MAX = 64
AE_TITLE_PATTERN = re.compile(r"[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
"""An application entity title, PS3.5 table 6.2-1: 1 to 16 characters, no backslash, no outer space."""


def new_uid() -> str:
    """A new DICOM UID under the 2.25 root, derived from a random UUID (PS3.5 annex B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def is_uid(text: str) -> bool:
    """True where `text` is a well-formed DICOM UID of at most 64 characters."""
    return len(text) <= UID_LENGTH_MAX and UID_PATTERN.fullmatch(text) is not None


def is_ae_title(text: str) -> bool:
    """True where `text` may stand as an AE title."""
    return AE_TITLE_PATTERN.fullmatch(text) is not None


def new_secret(bytes_of_entropy: int = 32) -> str:
    """A secret for a token or a key, URL-safe."""
    return secrets.token_urlsafe(bytes_of_entropy)
