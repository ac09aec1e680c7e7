"""Secrets of one desk, made at its first start and kept in its home with mode 0600."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from xraydesk.lib.ids import new_secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def secret_key(home: Path) -> str:
    """The key that signs sessions, made when first asked for.

    Raises OSError where the home cannot be written.
    """
    path = home / "secret-key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        write_private(path, new_secret(48))
    return path.read_text(encoding="utf-8").strip()
