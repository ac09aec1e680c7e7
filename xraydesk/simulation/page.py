"""A run as one page that needs nothing else: a table, a chart for each measure that people ask for first, and the words."""

from __future__ import annotations

from html import escape

from xraydesk.reporting.charts import for_page, ranges
from xraydesk.simulation.report import Report, Row, cell_text, load_words, more_text

DRAWN = ("wait", "stat-p90", "moved-for-stat", "ward-order", "overtime")
"""Measures with a chart of their own, by key."""

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 "Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;
 font-variant-numeric:tabular-nums}
h1{font-size:1.4rem}h2{font-size:1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse}th,td{padding:.25rem .75rem .25rem 0;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}
th:first-child,td:first-child{text-align:left}td small{display:block}
figure{margin:1rem 0;overflow-x:auto}
dt{font-weight:600}dd{margin:0 0 .5rem}
"""


def charts(report: Report) -> list[tuple[str, str]]:
    """Charts of the measures that people ask for first: what each shows, in words, and its SVG for a page."""
    found = []
    for key in DRAWN:
        row = report.row(key)
        title = f"{row.measure.name}{f', {row.measure.unit}' if row.measure.unit else ''}"
        points = [
            (policy.name, cell.a_day.mean, cell.a_day.half or 0.0)
            for policy, cell in zip(report.policies, row.cells, strict=True)
            if cell.a_day is not None
        ]
        if points:
            found.append((title, for_page(ranges(points, title=title), title)))
    return found


def page(report: Report) -> str:
    """The whole page, HTML."""
    drawn = "".join(f"<figure>{svg}</figure>" for _, svg in charts(report))
    names = "".join(f"<th>{escape(policy.name)}</th>" for policy in report.policies)
    rows = "".join(_line(row) for row in report.rows)
    words = "".join(
        f"<dt>{escape(r.measure.name)}</dt><dd>{escape(r.measure.words)}</dd>" for r in report.rows
    )
    title = f"{report.site}: {report.scenario}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>"
        f"<p>{report.days} simulated days, seed {report.seed}; the same patients under each policy. ± is half of the 95 % "
        f"interval of the mean over days. In small: how much more than under “{escape(report.policies[0].name)}”, day by day.</p>"
        f"{''.join(f'<p><b>{escape(one)}</b></p>' for one in load_words(report))}"
        f'<div class="wide"><table><thead><tr><th></th>{names}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"{drawn}<h2>What they mean</h2><dl>{words}</dl></main></body></html>\n"
    )


def _line(row: Row) -> str:
    unit = f", {row.measure.unit}" if row.measure.unit else ""
    cells = "".join(
        f"<td>{escape(cell_text(cell))}{f'<small>{escape(more_text(cell))}</small>' if cell.more else ''}</td>"
        for cell in row.cells
    )
    return f"<tr><th>{escape(row.measure.name + unit)}</th>{cells}</tr>"
