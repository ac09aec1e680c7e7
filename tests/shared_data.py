"""Where the real files of many vendors lie, and how a test says that they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("XRAYDESK_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared_data(*parts: str) -> Path:
    """The path of one of those files or folders; skips the test, with the reason, where it is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts) or 'the folder'} of the real files of other vendors is absent here")
    return path
