"""Asking for the job that sends what waits for one system: one at work, one that waits, one for later."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app as jobs

SEND_TASK = "send_out"
SEND_QUEUE = "out"


def defer_sending(*, site_id: int, outlink: str, not_before: datetime | None = None) -> None:
    """Ask for it, in the transaction of whatever asks. Asked already: nothing more is asked.

    The lock lets one job a system run at a time, wherever workers run.
    """
    name = f"out:{site_id}:{outlink}"
    if not_before is None:
        task = jobs.configure_task(SEND_TASK, queue=SEND_QUEUE, lock=name, queueing_lock=name)
    else:
        # A job that waits for its hour must not hold up those behind it: it asks for one that has the lock.
        task = jobs.configure_task(
            f"{SEND_TASK}_later", queue=SEND_QUEUE, queueing_lock=f"{name}:later", schedule_at=not_before
        )
    try:
        with transaction.atomic():
            task.defer(site_id=site_id, outlink=outlink)
    except exceptions.AlreadyEnqueued:
        return
