"""The command line: `xraydesk`. Modules that add commands are imported at the end, and stay light."""

from __future__ import annotations

import sys

import typer

from xraydesk.project.trouble import Trouble

app = typer.Typer(
    no_args_is_help=True,
    help="The coordination desk of a radiography department.",
    pretty_exceptions_show_locals=False,
    add_completion=False,
)


def main() -> None:
    """Entry point of the installed command: 0 done, 1 the answer is no, 2 it cannot be done so."""
    try:
        app()
    except Trouble as trouble:
        print(f"xraydesk: {trouble}", file=sys.stderr)
        sys.exit(2)


from xraydesk.project import cli_run  # noqa: E402, F401 - its commands are added by importing it
