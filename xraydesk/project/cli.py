"""The command line: `xraydesk`. Modules that add commands are imported at the end, and stay light."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import typer

from xraydesk.project.trouble import Trouble

app = typer.Typer(
    no_args_is_help=True,
    help="The coordination desk of a radiography department.",
    pretty_exceptions_show_locals=False,
    add_completion=False,
    rich_markup_mode=None,
)


@cache
def _command() -> Callable[..., None]:
    """All commands, put together once: a batch asks many questions."""
    return typer.main.get_command(app)


def run(arguments: list[str] | None = None, *, begun: float | None = None) -> int:
    """Do what the arguments ask, the process's own where none are given; the exit status.

    0 done, 1 the answer is no, 2 it cannot be done so. `begun` is when the process began, by the
    clock `time.monotonic`, for what is given a time to take; None: it begins now.
    """
    try:
        _command()(arguments, prog_name="xraydesk", obj=begun)
    except Trouble as trouble:
        print(f"xraydesk: {trouble}", file=sys.stderr)
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(run(begun=time.monotonic() - _running_seconds()))


def _running_seconds() -> float:
    """How long this process has been running: what it took to start counts, on a busy machine above all."""
    took = time.process_time()
    try:
        # proc(5): the 22nd field of a process's `stat`, in clock ticks since the machine was started. Its second one,
        # the command's name, may hold spaces.
        ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
        since = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):
        # Elsewhere than on Linux the processor's time has to do.
        return took
    return max(took, since)


from xraydesk.project import (  # noqa: E402 - their commands are added by importing them
    cli_batch,  # noqa: F401
    cli_codes,  # noqa: F401
    cli_doctor,  # noqa: F401
    cli_media,  # noqa: F401
    cli_people,  # noqa: F401
    cli_plan,  # noqa: F401
    cli_read,  # noqa: F401
    cli_records,  # noqa: F401
    cli_run,  # noqa: F401
    cli_simulate,  # noqa: F401
    cli_site,  # noqa: F401
)
