"""That what pictures look like is learnt anew: asked for on its page, done by a job."""

from __future__ import annotations

from django.db import transaction
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs
from procrastinate.contrib.django.models import ProcrastinateJob

from xraydesk.access.models import Site
from xraydesk.journey.pictures import NotEnoughPictures, counts
from xraydesk.journey.trial import TRIAL_LOCK, TRIAL_QUEUE

LEARN_TASK = "learn_parts"
"""Name of the job that learns; `reactions` owns it. It takes turns with trials: both take a processor for a while."""


@transaction.atomic
def ask_to_learn(*, site: Site, by: str) -> bool:
    """Ask for the job that learns anew: it takes a minute where there is much. False where it waits or learns already.

    Raises NotEnoughPictures.
    """
    # What counts pictures is loaded only where somebody asks.
    from xraydesk.imaging.gross_part import EXAMPLES_MIN, PARTS_MIN, enough

    if len(enough(counts(site))) < PARTS_MIN:
        raise NotEnoughPictures(
            f"It takes {EXAMPLES_MIN} confirmed images of each of two parts. Nothing was learnt."
        )
    if is_learning(site):
        return False
    name = f"{LEARN_TASK}:{site.pk}"
    task = jobs.configure_task(LEARN_TASK, queue=TRIAL_QUEUE, lock=TRIAL_LOCK, queueing_lock=name)
    try:
        with transaction.atomic():
            task.defer(site_id=site.pk, by=by)
    except job_errors.AlreadyEnqueued:
        return False
    return True


def is_learning(site: Site) -> bool:
    """Whether the job that learns waits or is at work."""
    asked = ProcrastinateJob.objects.filter(task_name=LEARN_TASK, status__in=("todo", "doing"))
    return asked.filter(args__site_id=site.pk).exists()
