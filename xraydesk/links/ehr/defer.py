"""Asking for the job that fetches from one EHR: one at work, and one that waits."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app as jobs

from xraydesk.links.outgoing.defer import SEND_QUEUE

FETCH_TASK = "fetch"
"""Fetches what changed at one EHR by FHIR."""


def defer_fetching(*, site_id: int, ehr: str) -> None:
    """Ask for it. Asked already: nothing more is asked."""
    name = f"fetch:{site_id}:{ehr}"
    task = jobs.configure_task(FETCH_TASK, queue=SEND_QUEUE, lock=name, queueing_lock=name)
    with suppress(exceptions.AlreadyEnqueued), transaction.atomic():
        task.defer(site_id=site_id, ehr=ehr)
