"""The kinds of process that the desk consists of, and how one of them starts."""

from __future__ import annotations

import importlib
import os
import sys

KINDS = {
    "web": "xraydesk.project.web",
    "mllp": "xraydesk.links.hl7.server",
    "dicom": "xraydesk.links.dicom.server",
    "worker": "xraydesk.project.worker",
}
"""Kind to the module whose `run(config)` is that process until it is told to end."""


def run_process(kind: str) -> None:
    """Be one process of the desk: settings, logs, then its module's `run`.

    Call after the command's flags were put into the environment; ends when that returns.
    """
    os.environ["XRAYDESK_KIND"] = kind
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraydesk.project.settings")
    from xraydesk.project.config import config
    from xraydesk.project.lifeline import hold_on
    from xraydesk.project.logs import configure_logs

    hold_on()
    settings = config()
    configure_logs(kind, settings.home, settings.log_level)
    import django

    django.setup()
    importlib.import_module(KINDS[kind]).run(settings)


def run_started_process(kind: str, home: str) -> None:
    """Be a process that `up` started: its flags are in the environment; trouble is a sentence and status 2."""
    from xraydesk.project.config import put_flags
    from xraydesk.project.trouble import Trouble

    put_flags({"home": home})
    try:
        run_process(kind)
    except Trouble as trouble:
        print(f"xraydesk: {trouble}", file=sys.stderr)
        sys.exit(2)
