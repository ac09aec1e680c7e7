"""The day in numbers: each opens into its exams; to take away as a workbook or a PDF."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.models import Item
from xraydesk.desk.access import needs
from xraydesk.journey.exam_view import ExamView, by_accession, views_of
from xraydesk.journey.seed.fill import progress
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.reporting.days import last_days
from xraydesk.reporting.measures import BY_KEY, Kind, RoomUse, Value, by_hour, minutes_text, value_of
from xraydesk.reporting.summary import DAYS_BESIDE, Summary, summarise

BEHIND_SHOWN_MAX = 500
TILES = (
    ("exams", ""),
    ("wait", ""),
    ("stat-in-time", ""),
    ("late", ""),
    ("no-shows", ""),
    ("transport-delay", ""),
    ("order-to-images", ""),
    ("images-to-report", ""),
)
"""What stands on top, large."""

WAIT_TARGET_MINUTES = 15


@dataclass(frozen=True)
class Tile:
    """One large number, with yesterday's beside it."""

    value: Value
    yesterday: Value | None


def chosen_day(request: HttpRequest, member: Member) -> date:
    """The day that the address names, today where it names none; raises Http404 for one that is no date or lies ahead."""
    today = clock.local_day(clock.now(), member.site.timezone)
    text = request.GET.get("day", "")
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        raise Http404 from None
    if day > today or day.year < 2000:
        raise Http404
    return day


def summary_of(member: Member, day: date) -> Summary:
    """A day with the days beside it."""
    return summarise(last_days(site=member.site, day=day, count=DAYS_BESIDE + 1, at=clock.now()), day)


def charts_of(summary: Summary) -> dict[str, str]:
    """The day's charts: titles with their SVG."""
    from xraydesk.reporting import charts

    days, day = summary.days, summary.day
    hours = by_hour(days.of(day), BY_KEY["wait"], days.window(day), at="begun_at")
    found = {
        f"Median wait by hour, minutes; ink is over {WAIT_TARGET_MINUTES}": charts.bars(
            [(f"{hour:02}", number) for hour, number in hours],
            over=WAIT_TARGET_MINUTES,
            title="",
        )
    }
    for key, title in (
        ("exams", "Exams done, day by day"),
        ("order-to-images", "Median minutes from order to images, day by day"),
        ("images-to-report", "Median minutes from images to report, day by day"),
    ):
        rows = [(f"{d:%d %b}", number) for d, number in summary.course(key)]
        found[title] = charts.line(rows, title="")
    return found


@require_safe
@needs(Permission.SEE_MEASURES)
def measures(request: HttpRequest, member: Member) -> HttpResponse:
    """The numbers of a day, of the day before, and of the fourteen days beside it."""
    from xraydesk.reporting.charts import for_page

    day = chosen_day(request, member)
    summary = summary_of(member, day)
    rows = [summary.row(key, group) for key, group in TILES]
    context: dict[str, Any] = {
        "summary": summary,
        "rows": summary.known_rows,
        "tiles": [Tile(row.today, row.yesterday) for row in rows],
        "today": clock.local_day(summary.at, member.site.timezone),
        "before": day - timedelta(days=1),
        "after": day + timedelta(days=1),
        # Drawn by our own code from numbers and fixed words: nothing of it was typed by anybody.
        "charts": [(title, mark_safe(for_page(svg, title))) for title, svg in charts_of(summary).items()],  # noqa: S308
        "filled": progress(site=member.site, at=summary.at),
        "may_try": member.may(Permission.TRY_RULES),
        "may_feedback": member.may(Permission.SEE_FEEDBACK),
        "open_items": Item.objects.filter(site=member.site, closed_at=None).count(),
    }
    return render(request, "desk/measures.html", context)


@dataclass(frozen=True)
class Behind:
    """One exam behind a number."""

    view: ExamView | None
    accession: str
    text: str


@require_safe
@needs(Permission.SEE_MEASURES)
def measure(request: HttpRequest, member: Member, key: str) -> HttpResponse:
    """The exams behind one number of a day, and what the number means."""
    if key not in BY_KEY:
        raise Http404
    day = chosen_day(request, member)
    group = request.GET.get("group", "")
    found = BY_KEY[key]
    if group not in found.groups:
        raise Http404
    days = last_days(site=member.site, day=day, count=1, at=clock.now())
    value = value_of(found, days.of(day), days.window(day), group)
    rows = _behind(member, value)
    context = {
        "value": value,
        "day": day,
        "rows": rows,
        "has_values": any(row.text for row in rows),
        "total": len(value.behind),
        "words": found.words,
        "may_open": member.may(Permission.SEE_PATIENT),
    }
    return render(request, "desk/measure.html", context)


@require_safe
@needs(Permission.SEE_MEASURES)
def room_measure(request: HttpRequest, member: Member, code: str) -> HttpResponse:
    """The exams done in one room on a day."""
    day = chosen_day(request, member)
    days = last_days(site=member.site, day=day, count=1, at=clock.now())
    use: RoomUse | None = next((room for room in days.rooms(day) if room.room == code), None)
    if use is None:
        raise Http404
    value = Value(BY_KEY["exams"], "", None, tuple((accession, 1.0) for accession in use.exams))
    words = f"{round(use.busy_minutes)} of {round(use.open_minutes)} open minutes until now had an exam under way."
    rows = _behind(member, value)
    context = {
        "value": value,
        "room": code,
        "day": day,
        "rows": rows,
        "has_values": any(row.text for row in rows),
        "total": len(value.behind),
        "words": words,
        "may_open": member.may(Permission.SEE_PATIENT),
    }
    return render(request, "desk/measure.html", context)


def _behind(member: Member, value: Value) -> list[Behind]:
    shown = value.behind[:BEHIND_SHOWN_MAX]
    exams = Exam.objects.filter(accession__in=[accession for accession, _ in shown])
    views = by_accession(views_of(exams, site=member.site))
    return [Behind(views.get(accession), accession, _text(value, one)) for accession, one in shown]


def _text(value: Value, one: float) -> str:
    match value.measure.kind:
        case Kind.SHARE:
            return "in time" if one else "not in time"
        case Kind.MEDIAN:
            return minutes_text(one)
        case Kind.COUNT:
            return minutes_text(one) if value.measure.key == "late" else ""


@require_safe
@needs(Permission.SEE_MEASURES)
def workbook(request: HttpRequest, member: Member) -> HttpResponse:
    """The day as a workbook."""
    from xraydesk.reporting.workbook import workbook as made

    day = chosen_day(request, member)
    return _file(made(summary_of(member, day)), f"day-{day:%Y-%m-%d}.xlsx", XLSX)


@require_safe
@needs(Permission.SEE_MEASURES)
def document(request: HttpRequest, member: Member) -> HttpResponse:
    """The day as a PDF."""
    from xraydesk.reporting.document import document as made

    day = chosen_day(request, member)
    summary = summary_of(member, day)
    return _file(made(summary, charts=charts_of(summary)), f"day-{day:%Y-%m-%d}.pdf", "application/pdf")


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _file(body: bytes, name: str, kind: str) -> HttpResponse:
    response = HttpResponse(body, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
