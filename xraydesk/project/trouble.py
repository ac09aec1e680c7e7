"""What stops a command, in one sentence that says what to do."""

from __future__ import annotations


class Trouble(RuntimeError):
    """A command cannot do what was asked; its message is for the person at the terminal, the exit status 2."""
