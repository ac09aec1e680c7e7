"""Logs tell what happened and never to whom."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from django.db import IntegrityError, connection

from tests.factories import make_patient, make_site
from xraydesk.project.cli_desk import without_desk
from xraydesk.project.logs import configure_logs, told
from xraydesk.project.trouble import Trouble


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    level, kept, last = root.level, structlog.get_config(), sys.excepthook
    yield
    for handler in list(root.handlers):
        if type(handler) in (logging.StreamHandler, logging.handlers.RotatingFileHandler):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    logging.raiseExceptions = True
    structlog.configure(**kept)
    sys.excepthook = last


@pytest.fixture
def log_file(tmp_path: Path, logging_put_back: None) -> Path:
    configure_logs("test", tmp_path, "INFO")
    return tmp_path / "logs" / "test.log"


def watch_this_terminal() -> None:
    """pytest gives a test another terminal than its fixtures had."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)


def entries(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_an_entry_is_one_json_object_a_line_from_either_kind_of_logger(log_file: Path) -> None:
    structlog.get_logger("xraydesk.test").info("image stored", accession="A1")
    logging.getLogger("other").warning("seen %s", "twice")
    first, second = entries(log_file)
    assert (first["event"], first["accession"], first["level"]) == ("image stored", "A1", "info")
    assert second["event"] == "seen twice"
    assert str(first["at"]).endswith("Z")


@pytest.mark.django_db
def test_the_words_of_a_database_error_stay_out(log_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Row 55: PostgreSQL's detail repeats the values of the row."""
    watch_this_terminal()
    site = make_site()
    make_patient(site, number="4711-Prüfer")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'Prüfer^Ada'::int")
    except Exception:
        structlog.get_logger("xraydesk.test").exception("could not store")
        logging.getLogger("django.request").error("Internal Server Error", exc_info=True)
    text = log_file.read_text(encoding="utf-8") + capfd.readouterr().err
    assert "Prüfer" not in text
    assert "Ada" not in text
    assert entries(log_file)[0]["error"] == "DataError"
    assert entries(log_file)[0]["because"] == "InvalidTextRepresentation 22P02"


def test_what_goes_wrong_in_a_command_is_told_beside_its_answer_and_without_words(
    logging_put_back: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 55: left alone, the library draws each exception with every variable, in the midst of what a command prints."""
    structlog.reset_defaults()
    without_desk()
    watch_this_terminal()
    patient = "Prüfer^Ada"
    try:
        raise ValueError(patient)
    except ValueError as wrong:
        structlog.get_logger("xraydesk.test").exception("could not read")
        sys.excepthook(ValueError, wrong, wrong.__traceback__)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert patient not in printed.err
    assert "could not read error=ValueError" in printed.err
    assert "test_logs.py:" in printed.err.splitlines()[-1]


def test_only_our_own_and_the_systems_words_are_quoted() -> None:
    assert told(ValueError("Prüfer^Ada")) == "ValueError"
    assert told(IntegrityError("Key (family)=(Prüfer)")) == "IntegrityError"
    assert told(Trouble("Port 1 is in use")) == "Trouble: Port 1 is in use"
    assert told(FileNotFoundError(2, "No such file or directory", "/x/Prüfer")) == (
        "FileNotFoundError: No such file or directory"
    )


def test_a_person_at_the_terminal_sees_warnings_in_one_line(
    log_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch_this_terminal()
    structlog.get_logger("xraydesk.test").info("all is well")
    structlog.get_logger("xraydesk.test").warning("link down", link="EHR")
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "test WARNING link down link=EHR" in said
