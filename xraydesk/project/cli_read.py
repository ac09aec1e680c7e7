"""`xraydesk read`: what a file says, without a database."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, put_json, put_one

FILE_BYTES_MAX = 1_073_741_824
HL7_BYTES_MAX = 67_108_864

_HL7_STARTS = (b"MSH", b"FHS", b"BHS")
_SKIPPED = b"\xef\xbb\xbf\x0b \t\r\n"
"""A byte-order mark, MLLP's start byte and white space may stand before a message."""


class CannotRead(ValueError):
    """The file is none of the kinds that can be read, or is broken; the message says why."""


@app.command()
def read(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", show_default=False)], as_json: AsJson = False
) -> None:
    """Tell what files say: HL7 v2 messages, DICOM images, dose reports, performed steps, worklist files.

    One object a message or data set. Exit status 1 where a file is none of these or broken;
    the others are told all the same.
    """
    failed = False
    for file in files:
        try:
            told = _told(file)
        except CannotRead as trouble:
            failed = True
            if as_json:
                put_json({"file": str(file), "error": str(trouble)})
            else:
                print(f"{file}: {trouble}", file=sys.stderr)
            continue
        for one in told:
            put_one({"file": str(file), **one}, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _told(file: Path) -> list[dict[str, Any]]:
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(512)
    except OSError as trouble:
        raise CannotRead(f"cannot be opened: {trouble.strerror}") from None
    if size == 0:
        raise CannotRead("is empty")
    start = head.lstrip(_SKIPPED)
    reader: Callable[[Path], list[dict[str, Any]]] = _dicom
    limit = FILE_BYTES_MAX
    if start.startswith(_HL7_STARTS):
        reader, limit = _hl7, HL7_BYTES_MAX
    if size > limit:
        raise CannotRead(f"is longer than {limit} bytes")
    return reader(file)


def _hl7(file: Path) -> list[dict[str, Any]]:
    from xraydesk.links.hl7.describe import describe
    from xraydesk.links.hl7.reader import Unreadable

    try:
        found = describe(file.read_bytes())
    except Unreadable as trouble:
        raise CannotRead(f"is no HL7 v2 message that can be read: {trouble}") from None
    if all(one["segments"] == ["MSH"] and not one["type"] for one in found):
        raise CannotRead(
            "is no HL7 v2 message that can be read: after the MSH there is nothing, and it has no type (MSH-9)"
        )
    return found


def _dicom(file: Path) -> list[dict[str, Any]]:
    from xraydesk.links.dicom.describe import NotReadable, describe

    try:
        return describe(file)
    except NotReadable as trouble:
        raise CannotRead(str(trouble)) from None
