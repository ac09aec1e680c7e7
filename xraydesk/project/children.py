"""One process that the supervisor keeps running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from xraydesk.project.lifeline import VARIABLE, Lifeline

AGAIN_AFTER_SECONDS = (0.1, 0.3, 1.0, 2.0, 3.0)
"""Pauses before the first, second… start after a death; the last one holds from then on."""

SETTLED_SECONDS = 4.0
"""After a death, it is believed to stay when it has lived so long."""

STEADY_SECONDS = 20.0
"""After so long alive, an earlier death no longer counts."""


class Child:
    """A process of one kind: started, started again when it dies, ended when asked."""

    def __init__(self, kind: str, line: list[str], lifeline: Lifeline) -> None:
        self.kind = kind
        self.line = line
        self.lifeline = lifeline
        self.deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._again_at: float | None = None

    def start(self) -> None:
        """Start it, in a session of its own: a terminal's Ctrl-C is for the supervisor, which ends all in order."""
        self._started_at = time.monotonic()
        self._again_at = None
        self._process = subprocess.Popen(
            self.line,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                VARIABLE: str(self.lifeline.read_end),
                "XRAYDESK_KIND": self.kind,
                "PYTHONUNBUFFERED": "1",
                # glibc keeps an arena a thread otherwise, and gives little of it back
                "MALLOC_ARENA_MAX": "2",
            },
            pass_fds=(self.lifeline.read_end,),
            start_new_session=True,
        )

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def settled(self) -> bool:
        """Whether it runs, and did not die a moment ago: somebody else may have its port."""
        return self.alive() and (not self.deaths or time.monotonic() - self._started_at > SETTLED_SECONDS)

    def look_after(self, now: float) -> str:
        """Start it again where it died and its pause is over; what to tell about it, or nothing."""
        if self.alive():
            if self.deaths and now - self._started_at > STEADY_SECONDS:
                self.deaths = 0
            return ""
        if self._again_at is None:
            pause = AGAIN_AFTER_SECONDS[min(self.deaths, len(AGAIN_AFTER_SECONDS) - 1)]
            self.deaths += 1
            self._again_at = now + pause
            return f"{self.kind} ended ({_how(self.status())}); starting it again"
        if now >= self._again_at:
            self.start()
        return ""

    def ask_to_end(self) -> None:
        """Ask it to end in good order."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"status {status}"
