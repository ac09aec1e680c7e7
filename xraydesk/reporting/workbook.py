"""A day as a workbook: numbers of the days, rooms, exams with their times, and what each number means."""

from __future__ import annotations

import io
from typing import Any

from xraydesk.reporting.measures import Kind, Value
from xraydesk.reporting.summary import Summary

EXAMS_MAX = 5000
"""No sheet has more exams."""

_TIMES = (
    ("Ordered", "received_at"),
    ("Booked for", "booked_for"),
    ("Arrived", "arrived_at"),
    ("Begun", "begun_at"),
    ("Ended", "ended_at"),
    ("First image", "images_at"),
    ("Read", "read_at"),
    ("No-show", "no_show_at"),
    ("Cancelled", "cancelled_at"),
    ("Broken off", "discontinued_at"),
)


def workbook(summary: Summary) -> bytes:
    """The workbook's bytes (XLSX). Text is text: a cell that begins with `=` is no formula. No names of patients."""
    import xlsxwriter

    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(buffer, options) as book:
        bold = book.add_format({"bold": True})
        styles = {
            "bold": bold,
            "day": book.add_format({"num_format": "ddd d mmm", "bold": True}),
            "time": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
            "number": book.add_format({"num_format": "0"}),
        }
        _numbers(book, summary, styles)
        _rooms(book, summary, styles)
        _exams(book, summary, styles)
        _definitions(book, summary, styles)
    return buffer.getvalue()


def _numbers(book: Any, summary: Summary, styles: dict[str, Any]) -> None:
    sheet = book.add_worksheet("Numbers")
    sheet.freeze_panes(1, 2)
    sheet.set_column(0, 0, 32)
    sheet.write_string(0, 0, f"{summary.site_name}", styles["bold"])
    sheet.write_string(0, 1, "Unit", styles["bold"])
    for column, (day, _) in enumerate(summary.rows[0].values, 2):
        sheet.write_datetime(0, column, _midnight(day), styles["day"])
    for number, row in enumerate(summary.rows, 1):
        sheet.write_string(number, 0, row.name)
        sheet.write_string(number, 1, row.measure.unit)
        for column, (_, value) in enumerate(row.values, 2):
            _write(sheet, number, column, value, styles)


def _write(sheet: Any, row: int, column: int, value: Value, styles: dict[str, Any]) -> None:
    if value.measure.kind is Kind.COUNT:
        sheet.write_number(row, column, len(value.behind))
    elif value.number is not None:
        sheet.write_number(row, column, value.number, styles["number"])


def _midnight(day: Any) -> Any:
    from datetime import datetime, time

    return datetime.combine(day, time())


def _rooms(book: Any, summary: Summary, styles: dict[str, Any]) -> None:
    sheet = book.add_worksheet("Rooms")
    for column, word in enumerate(("Room", "Open minutes", "Busy minutes", "Exams", "Moved")):
        sheet.write_string(0, column, word, styles["bold"])
    for number, room in enumerate(summary.rooms, 1):
        sheet.write_string(number, 0, room.room)
        for column, value in enumerate(
            (room.open_minutes, room.busy_minutes, len(room.exams), room.moved), 1
        ):
            sheet.write_number(number, column, value, styles["number"])


def _exams(book: Any, summary: Summary, styles: dict[str, Any]) -> None:
    sheet = book.add_worksheet("Exams")
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, 4, 12)
    sheet.set_column(5, 4 + len(_TIMES), 17)
    words = ("Accession", "Procedure", "Priority", "Class", "Room", *(word for word, _ in _TIMES))
    for column, word in enumerate(words):
        sheet.write_string(0, column, word, styles["bold"])
    stories = sorted(summary.days.of(summary.day), key=lambda s: s.accession)
    for number, story in enumerate(stories[:EXAMS_MAX], 1):
        texts = (story.accession, story.procedure, story.priority, story.patient_class, story.room)
        for column, text in enumerate(texts):
            sheet.write_string(number, column, text)
        for column, (_, name) in enumerate(_TIMES, len(texts)):
            moment = summary.wall(getattr(story, name))
            if moment is not None:
                sheet.write_datetime(number, column, moment, styles["time"])


def _definitions(book: Any, summary: Summary, styles: dict[str, Any]) -> None:
    sheet = book.add_worksheet("What they mean")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 110)
    for number, measure in enumerate({row.measure.key: row.measure for row in summary.rows}.values()):
        sheet.write_string(number, 0, measure.name, styles["bold"])
        sheet.write_string(number, 1, measure.words)
