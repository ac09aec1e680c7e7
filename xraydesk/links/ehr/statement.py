"""What the desk does as a client of an EHR, as the page in docs/ lists it. Made of the tables that do it; a test holds the two together."""

from __future__ import annotations

from xraydesk.links.ehr.session import WRITTEN
from xraydesk.links.ehr.tell import FOLLOWS


def table_of_writes() -> str:
    """The Markdown table of what is written: its name in the site file, its type, and what it follows from."""
    lines = ["| `sends` | resource | written when |", "|---|---|---|"]
    for one, kinds in FOLLOWS.items():
        lines.append(f"| `{one}` | `{WRITTEN[one]}` | {', '.join(kinds)} |")
    return "\n".join(lines)
