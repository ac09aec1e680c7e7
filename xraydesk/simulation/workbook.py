"""A run as a workbook: the measures side by side, each day's numbers under each policy, and what each measure means."""

from __future__ import annotations

import io
from typing import Any

from xraydesk.simulation.report import Cell, Report, load_words

_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def workbook(report: Report) -> bytes:
    """The workbook's bytes (XLSX). Text is text: a cell that begins with `=` is no formula."""
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, _OPTIONS) as book:
        bold, one = book.add_format({"bold": True}), book.add_format({"num_format": "0.00"})
        _side_by_side(book, report, bold, one)
        for number, policy in enumerate(report.policies, 1):
            _days(book, report, number - 1, f"{number} {policy.name}", (bold, one))
        _meanings(book, report, bold)
    return buffer.getvalue()


def _side_by_side(book: Any, report: Report, bold: Any, one: Any) -> None:
    sheet = book.add_worksheet("Side by side")
    sheet.freeze_panes(2, 2)
    sheet.set_column(0, 0, 34)
    sheet.write_string(0, 0, f"{report.site}: {report.scenario}", bold)
    sheet.write_string(1, 0, f"{report.days} days, seed {report.seed}", bold)
    sheet.write_string(1, 1, "Unit", bold)
    words = ("A day", "±", "All days", "More than the first", "±")
    for place, policy in enumerate(report.policies):
        column = 2 + place * len(words)
        sheet.write_string(0, column, policy.name, bold)
        for offset, word in enumerate(words):
            sheet.write_string(1, column + offset, word, bold)
    for line, row in enumerate(report.rows, 2):
        sheet.write_string(line, 0, row.measure.name)
        sheet.write_string(line, 1, row.measure.unit)
        for place, cell in enumerate(row.cells):
            for offset, value in enumerate(_numbers(cell)):
                if value is not None:
                    sheet.write_number(line, 2 + place * len(words) + offset, value, one)


def _numbers(cell: Cell) -> tuple[float | None, ...]:
    own, more = cell.a_day, cell.more
    return (
        own.mean if own else None,
        own.half if own else None,
        cell.overall,
        more.mean if more else None,
        more.half if more else None,
    )


def _days(book: Any, report: Report, policy: int, name: str, styles: tuple[Any, Any]) -> None:
    bold, one = styles
    sheet = book.add_worksheet(_sheet_name(name))
    sheet.freeze_panes(1, 1)
    sheet.write_string(0, 0, "Day", bold)
    for column, row in enumerate(report.rows, 1):
        sheet.write_string(0, column, row.measure.name, bold)
        for day, value in enumerate(report.daily[policy][row.measure.key], 1):
            sheet.write_number(day, 0, day)
            if value is not None:
                sheet.write_number(day, column, value, one)


def _sheet_name(name: str) -> str:
    """A sheet's name has 31 characters at most, and none of seven."""
    return "".join("-" if letter in "[]:*?/\\" else letter for letter in name)[:31].strip("'")


def _meanings(book: Any, report: Report, bold: Any) -> None:
    sheet = book.add_worksheet("What they mean")
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 120)
    for number, row in enumerate(report.rows):
        sheet.write_string(number, 0, row.measure.name, bold)
        sheet.write_string(number, 1, row.measure.words)
    sheet.write_string(
        len(report.rows) + 1,
        1,
        "± is half of the 95 % interval of the mean over days (Student's t); differences are taken day by day.",
    )
    for number, words in enumerate(load_words(report), len(report.rows) + 2):
        sheet.write_string(number, 1, words, bold)
