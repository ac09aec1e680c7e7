"""Logs: JSON lines in the home for machines, short lines on the terminal for people, never patients' data.

Exceptions are written as their class and the places they passed through. Their words are
left out, since a database's or a parser's may repeat what it was given; only the desk's own
classes and the operating system's are quoted, which name exams, files and ports at most.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 5
FRAMES_MAX = 30


def configure_logs(kind: str, home: Path | None, level: str) -> None:
    """Send what this process logs to `home`/logs/`kind`.log and, from warnings up, to the terminal."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        without_words,
        without_paths,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(_formatter(shared, _short_line(kind)))
    handlers: list[logging.Handler] = [terminal]
    if home is not None:
        folder = home / "logs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = logging.handlers.RotatingFileHandler(
            folder / f"{kind}.log",
            maxBytes=FILE_BYTES_MAX,
            backupCount=FILES_KEPT,
            encoding="utf-8",
            delay=True,
        )
        file.setFormatter(_formatter(shared, structlog.processors.JSONRenderer(ensure_ascii=False)))
        handlers.append(file)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level.upper())
    # What a peer refused or left is told by whoever asked it, with what it means.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    for chatty in ("procrastinate", "asyncio", "django.request", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
    logging.raiseExceptions = (
        False  # a full disk would otherwise print entries, words and all, to the terminal
    )
    sys.excepthook = _log_last_words


def _formatter(shared: list[Any], renderer: Any) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def without_words(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put class and places of an exception into an entry in place of its words."""
    wrong = event.pop("exc_info", None)
    if wrong is True:
        wrong = sys.exc_info()
    if isinstance(wrong, tuple):
        wrong = wrong[1]
    if isinstance(wrong, BaseException):
        event["error"] = told(wrong)
        event["places"] = _places(wrong.__traceback__)
        cause = wrong.__cause__ or wrong.__context__
        if cause is not None:
            event["because"] = told(cause)
    return event


def without_paths(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Name the page in place of the address that was asked for: anything may stand in what somebody typed."""
    record = event.get("_record")
    if record is not None and record.name.startswith("django."):
        event["event"] = str(event["event"]).partition(": /")[0]
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        if match is not None:
            event["page"] = match.route
    return event


def told(wrong: BaseException) -> str:
    """An exception as a log may hold it."""
    name = type(wrong).__name__
    if type(wrong).__module__.startswith("xraydesk."):
        return f"{name}: {wrong}"
    if isinstance(wrong, OSError) and wrong.strerror:
        return f"{name}: {wrong.strerror}"
    state = getattr(wrong, "sqlstate", None)
    if state:
        constraint = getattr(getattr(wrong, "diag", None), "constraint_name", None)
        return f"{name} {state}" + (f" {constraint}" if constraint else "")
    return name


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-FRAMES_MAX:]
    return [f"{_tail(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _tail(path: str) -> str:
    return "/".join(Path(path).parts[-3:])


def _short_line(kind: str) -> Any:
    def line(logger: WrappedLogger, method: str, event: EventDict) -> str:
        clock = str(event.pop("at", ""))[11:19]
        event.pop("logger", None)
        places = event.pop("places", None)
        level = str(event.pop("level", "")).upper()
        if places and level == "CRITICAL":  # a command has no file in which they would be found
            event["at"] = places[-1]
        what = event.pop("event", "")
        rest = " ".join(f"{name}={value}" for name, value in event.items())
        return f"{clock} {kind} {level} {what} {rest}".rstrip()

    return line


def _log_last_words(kind: type[BaseException], wrong: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("xraydesk").critical("ended by an error", exc_info=wrong)
