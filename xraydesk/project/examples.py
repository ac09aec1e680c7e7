"""The example departments, scenarios and policies that come with the desk."""

from __future__ import annotations

import sys
from pathlib import Path

import xraydesk
from xraydesk.project.trouble import Trouble


def example_file(name: str) -> Path:
    """One of the files in `site/`: of the checkout, else of the installation.

    Raises Trouble where neither has it.
    """
    package = Path(xraydesk.__file__).parent
    for folder in (package.parent / "site", Path(sys.prefix) / "share" / "xraydesk" / "site"):
        if (folder / name).is_file():
            return folder / name
    raise Trouble(
        f"The example {name} was not installed: name a file of your own (--site, --scenario, --policy)"
    )
