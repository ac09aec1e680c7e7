"""Charts of the day and of the days before: described as data, drawn to SVG on the server.

The same SVG stands in the page and in the document. It is grey; ink is for what is over its target, or
latest. What draws takes half a second and 80 MB to import, so that only whoever asks for a chart loads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 500, 110
INK, GREY, HAIR = "#464e58", "#a5adb7", "#dde1e6"
FONT = "Segoe UI, Roboto, Noto Sans, Liberation Sans, Arial, sans-serif"
POINTS_MAX = 60
"""No chart has more; a longer row is cut at its beginning."""


def bars(rows: Sequence[tuple[str, float | None]], *, over: float | None = None, title: str) -> str:
    """Bars, one for each label; those over a target are ink. `title` says in words what is seen. SVG text."""
    alt = _altair()
    values = _values(rows, over)
    chart = alt.Chart(alt.Data(values=values), title=title).mark_bar()
    encoded = chart.encode(
        x=_labels(alt, rows),
        y=_numbers(alt),
        color=alt.condition("datum.over", alt.value(INK), alt.value(GREY)),
    )
    return _drawn(_with_target(alt, encoded, over))


def line(rows: Sequence[tuple[str, float | None]], *, over: float | None = None, title: str) -> str:
    """A line over labels in order, with a dot at the latest; gaps stay gaps. SVG text."""
    alt = _altair()
    values = _values(rows, over)
    data = alt.Data(values=values)
    drawn = (
        alt.Chart(data, title=title)
        .mark_line(color=INK, strokeWidth=2, invalid="break-paths-show-domains")
        .encode(x=_labels(alt, rows), y=_numbers(alt))
    )
    latest = [v for v in values if v["value"] is not None][-1:]
    dot = (
        alt.Chart(alt.Data(values=latest))
        .mark_point(color=INK, filled=True, size=50)
        .encode(x=_labels(alt, rows), y=_numbers(alt))
    )
    return _drawn(_with_target(alt, alt.layer(drawn, dot), over))


def ranges(rows: Sequence[tuple[str, float, float]], *, over: float | None = None, title: str) -> str:
    """A dot for each label with the range that it may as well lie in, from left to right; rows are label, number, half the range. SVG text."""
    alt = _altair()
    values = [
        {"label": label, "value": value, "low": value - half, "high": value + half}
        for label, value, half in rows
    ]
    data = alt.Data(values=values)
    labels = alt.Y("label:N", title=None, sort=[label for label, *_ in rows], axis=alt.Axis(labelLimit=200))
    numbers = alt.X("value:Q", title=None, axis=alt.Axis(tickCount=5), scale=alt.Scale(zero=True))
    dots = (
        alt.Chart(data, title=title).mark_point(color=INK, filled=True, size=50).encode(x=numbers, y=labels)
    )
    bars = (
        alt.Chart(data)
        .mark_rule(color=INK, strokeWidth=2)
        .encode(x=alt.X("low:Q", title=None), x2="high:Q", y=labels)
    )
    chart = alt.layer(bars, dots)
    if over is not None:
        rule = alt.Chart(alt.Data(values=[{"value": over}])).mark_rule(color=INK, strokeDash=[4, 3])
        chart = alt.layer(chart, rule.encode(x=numbers))
    return _drawn(chart)


def _altair() -> Any:
    import altair

    return altair


def for_page(svg: str, title: str) -> str:
    """A chart for a page: its colours follow the page's own, in light and dark, and `title` is what ears are told."""
    # What Vega says of each group is of no use to ears, and hides what the picture as a whole is.
    plain = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", svg)
    themed = plain.replace(INK, "currentColor").replace(
        f'stroke="{HAIR}"', 'stroke="currentColor" stroke-opacity=".2"'
    )
    return themed.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def _values(rows: Sequence[tuple[str, float | None]], over: float | None) -> list[dict[str, Any]]:
    return [
        {"label": label, "value": value, "over": value is not None and over is not None and value > over}
        for label, value in rows[-POINTS_MAX:]
    ]


def _labels(alt: Any, rows: Sequence[tuple[str, float | None]]) -> Any:
    return alt.X(
        "label:N",
        title=None,
        sort=[label for label, _ in rows],
        axis=alt.Axis(labelAngle=0, labelOverlap=True),
    )


def _numbers(alt: Any) -> Any:
    return alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4))


def _with_target(alt: Any, chart: Any, over: float | None) -> Any:
    if over is None:
        return chart
    rule = alt.Chart(alt.Data(values=[{"value": over}])).mark_rule(color=INK, strokeDash=[4, 3])
    return alt.layer(chart, rule.encode(y=_numbers(alt)))


def _drawn(chart: Any) -> str:
    import vl_convert

    described = chart.properties(width=WIDTH, height=HEIGHT).to_dict(validate=False)
    described["background"] = None
    described["title"] = None if not described.get("title") else described["title"]
    described["config"] = {
        "font": FONT,
        "view": {"stroke": None},
        "title": {"fontSize": 12, "fontWeight": "normal", "anchor": "start", "color": INK},
        "axis": {
            "labelColor": INK,
            "labelFontSize": 12,
            "gridColor": HAIR,
            "domainColor": HAIR,
            "tickColor": HAIR,
        },
        "bar": {"cornerRadius": 0},
    }
    return str(vl_convert.vegalite_to_svg(described))
