"""The example departments, scenarios and policies that come with the desk."""

from __future__ import annotations

import sys
from pathlib import Path

import xraydesk


def find_example(name: str) -> Path | None:
    """One of the files in `site/`: of the checkout, else of the installation; None where neither has it."""
    package = Path(xraydesk.__file__).parent
    for folder in (package.parent / "site", Path(sys.prefix) / "share" / "xraydesk" / "site"):
        if (folder / name).is_file():
            return folder / name
    return None
