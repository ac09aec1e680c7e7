"""A folder in place of a wire: each message becomes a file of its own there, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from xraydesk.links.outgoing.wire import Answered, NotReached
from xraydesk.siteplan.link_plan import OutlinkPlan

TAKEN = "CA"
"""A file that lies there is taken; what becomes of it nobody says."""


def names_of(number: str, sequence: int) -> tuple[str, str]:
    """The name of a message's file, which sorts as it was queued, and the one under which it is begun."""
    name = f"{sequence:012d}-{''.join(c for c in number if c.isalnum())}"
    return f"{name}.hl7", f".{name}.part"


class Folder:
    """Puts messages into a folder that another system empties; it must be there, for the desk makes none."""

    def __init__(self, to: OutlinkPlan) -> None:
        self._folder = Path(to.folder)

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ask(self, raw: bytes, *, number: str, sequence: int) -> Answered:
        """Write one message under a name that sorts as it was queued, and make sure that it is on the disk.

        A name that ends in `.hl7` is whole: it is written under another one first. The same
        message again replaces its file. Raises NotReached where the folder cannot be written to.
        """
        whole, begun = (self._folder / name for name in names_of(number, sequence))
        try:
            with begun.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            begun.replace(whole)
            self._sync()
        except OSError as trouble:
            with contextlib.suppress(OSError):
                begun.unlink(missing_ok=True)
            raise NotReached(trouble.strerror or type(trouble).__name__) from trouble
        return Answered(TAKEN, "", b"")

    def _sync(self) -> None:
        """The name is on the disk only once the folder is."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
