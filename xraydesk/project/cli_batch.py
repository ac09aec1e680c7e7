"""`xraydesk batch`: one start of the program for many questions."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import typer

from xraydesk.project.cli import app, run
from xraydesk.project.cli_desk import put_json

QUESTION_CHARS_MAX = 1_048_576
NOT_IN_A_BATCH = frozenset({"batch", "up", "web", "worker", "mllp", "dicom"})
"""Commands that do not end by themselves."""


@app.command()
def batch() -> None:
    """Answer questions from stdin, a JSON array of arguments a line, by one JSON line each.

    `["exam","show","X1","--json"]` is answered by `{"status":0,"stdout":"…","stderr":"…"}` at
    once. A question that cannot be read has status 2, and the next one is answered all the same.
    """
    while line := sys.stdin.readline(QUESTION_CHARS_MAX + 1):
        if not line.strip():
            continue
        if len(line) > QUESTION_CHARS_MAX:
            while line and not line.endswith("\n"):
                line = sys.stdin.readline(QUESTION_CHARS_MAX)
            told = _refusal(f"a question is longer than {QUESTION_CHARS_MAX} characters")
        else:
            told = _answer(line)
        put_json(told)
        sys.stdout.flush()
    raise typer.Exit(0)


def _refusal(why: str) -> dict[str, Any]:
    return {"status": 2, "stdout": "", "stderr": f"xraydesk: {why}\n"}


def _answer(line: str) -> dict[str, Any]:
    try:
        arguments = json.loads(line)
    except (ValueError, RecursionError):
        return _refusal("this line is no JSON")
    if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
        return _refusal("a question is a JSON array of texts")
    if next(iter(arguments), "") in NOT_IN_A_BATCH:
        return _refusal(f"{arguments[0]} does not end by itself, so it cannot be asked in a batch")
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = run(arguments)
        except Exception as trouble:
            # One question must not end the others. What went wrong is told with its place, but
            # not with its words, which may hold a patient's data.
            place = traceback.extract_tb(trouble.__traceback__)[-1]
            print(
                f"xraydesk: this question broke the program: {type(trouble).__name__} in {place.name}, "
                f"line {place.lineno}; ask it alone to see all of it",
                file=sys.stderr,
            )
            status = 2
    return {"status": status, "stdout": out.getvalue(), "stderr": err.getvalue()}
