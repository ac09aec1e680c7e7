"""The command line: `xraydesk`."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="The coordination desk of a radiography department.")


def main() -> None:
    """Entry point of the installed command."""
    app()
