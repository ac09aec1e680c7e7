"""A day as a PDF to print or send: the same numbers and charts as the page."""

from __future__ import annotations

import json
from pathlib import Path

from xraydesk.reporting.summary import Summary

TEMPLATE = Path(__file__).parent / "day.typ"
DAYS_SHOWN = 7


def document(summary: Summary, *, charts: dict[str, str]) -> bytes:
    """The PDF's bytes. `charts` are titles with their SVG. Texts are handed over as data and never read as markup."""
    import typst

    told = {
        "site": summary.site_name,
        "day": f"{summary.day:%A, %d %B %Y}",
        "until": f"{summary.wall(summary.at):%d %b %Y, %H:%M}",
        "days": [f"{day:%a %d}" for day, _ in summary.rows[0].values[:DAYS_SHOWN]],
        "rows": [[row.name, *(value.text for _, value in row.values[:DAYS_SHOWN])] for row in summary.rows],
        "rooms": [
            [
                room.room,
                f"{room.percent} %" if room.percent is not None else "closed",
                str(len(room.exams)),
                str(room.moved),
            ]
            for room in summary.rooms
        ],
        "charts": [[title, svg] for title, svg in charts.items()],
        "words": sorted({row.measure.name: row.measure.words for row in summary.rows}.items()),
    }
    made = typst.compile(TEMPLATE.read_bytes(), sys_inputs={"told": json.dumps(told)})
    if not isinstance(made, bytes):
        raise TypeError("typst made several documents of one day")
    return made
