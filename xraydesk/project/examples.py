"""The example departments, scenarios and policies, as commands ask for them."""

from __future__ import annotations

from pathlib import Path

from xraydesk.lib.examples import find_example
from xraydesk.project.trouble import Trouble


def example_file(name: str) -> Path:
    """One of the files in `site/`. Raises Trouble where it was not installed."""
    found = find_example(name)
    if found is None:
        raise Trouble(
            f"The example {name} was not installed: name a file of your own (--site, --scenario, --policy)"
        )
    return found
