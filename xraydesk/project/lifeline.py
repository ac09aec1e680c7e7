"""How a child notices that its supervisor is gone, on every system and however it went.

The supervisor holds the writing end of a pipe and never writes; each child holds the
reading end. When the supervisor ends, by `kill -9` too, the kernel closes its end and the
children read the end of the file.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "XRAYDESK_LIFELINE"
"""Names, to a child, the descriptor it reads."""

GRACE_SECONDS = 3.5
"""How long a child may take to end in good order once its supervisor is gone."""


class Lifeline:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()


def hold_on() -> None:
    """Called by a child as it starts: end this process when its supervisor ends. Nothing without one."""
    told = os.environ.pop(VARIABLE, "")
    if told:
        threading.Thread(target=_watch, args=(int(told),), name="lifeline", daemon=True).start()


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(70)
