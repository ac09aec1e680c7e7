"""The job that follows every fact."""

from __future__ import annotations

from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.facts.actions import REACT_TASK
from xraydesk.journey.ahead import end_expired
from xraydesk.journey.autopilot import place_by_itself
from xraydesk.journey.charge import flag_charges_waiting
from xraydesk.journey.distribute import pass_on_unopened
from xraydesk.journey.fetch import flag_late_fetches
from xraydesk.journey.learning import LEARN_TASK
from xraydesk.journey.seed.fill import FILL_QUEUE, FILL_TASK, days_missing, defer_history, fill_day
from xraydesk.journey.tell import pass_on_late
from xraydesk.journey.trial import TRIAL_LOCK, TRIAL_QUEUE, TRIAL_TASK, TryAgain, run_trial
from xraydesk.lib import clock
from xraydesk.reactions.run import give_up, react_to
from xraydesk.reactions.table import BOOK_TASK

RETRIES_MAX = 5
"""After them, a minute or so in all, a person is told."""


@jobs.task(
    name=REACT_TASK,
    queue="reactions",
    pass_context=True,
    retry=RetryStrategy(max_attempts=RETRIES_MAX, exponential_wait=2),
)
def react(context: JobContext, fact_id: int) -> None:
    """Run whatever follows from one fact; when it failed for the last time, tell a person."""
    try:
        react_to(fact_id)
    except Exception:  # raised again for the queue, after a person was told
        if context.job.attempts >= RETRIES_MAX:
            give_up(fact_id, clock.now())
        raise


@jobs.task(
    name=BOOK_TASK,
    queue="reactions",
    retry=RetryStrategy(max_attempts=RETRIES_MAX, exponential_wait=2),
)
def book(exam_id: int) -> None:
    """Try again to give one exam a place. Where that fails, the item that asks a person for one is still open."""
    place_by_itself(exam_id=exam_id, at=clock.now())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="pass_on_findings", queue="reactions", queueing_lock="pass_on_findings")
def pass_on_findings(timestamp: int) -> None:
    """Every minute: whoever has not answered about a finding in time is passed over for the next person."""
    for site in Site.objects.order_by("id"):
        pass_on_late(site=site, at=clock.now())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="pass_on_stats", queue="reactions", queueing_lock="pass_on_stats")
def pass_on_stats(timestamp: int) -> None:
    """Every minute: STATs whose images nobody opened are passed to who covers."""
    for site in Site.objects.order_by("id"):
        pass_on_unopened(site=site, at=clock.now())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="flag_late_fetches", queue="reactions", queueing_lock="flag_late_fetches")
def flag_late(timestamp: int) -> None:
    """Every minute: patients who cannot be fetched in time any more."""
    for site in Site.objects.order_by("id"):
        flag_late_fetches(site=site, at=clock.now())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="end_holds", queue="reactions", queueing_lock="end_holds")
def end_holds(timestamp: int) -> None:
    """Every minute: held places whose time to decide is over are told of as free."""
    for site in Site.objects.order_by("id"):
        end_expired(site=site, at=clock.now())


@jobs.task(name=FILL_TASK, queue=FILL_QUEUE, queueing_lock=FILL_TASK)
def fill_history(site_id: int, seed: int) -> None:
    """Invent the newest day behind a demonstration that is not there yet, and ask for the next one."""
    site = Site.objects.get(pk=site_id)
    missing = days_missing(site=site, at=clock.now())
    if missing:
        fill_day(site=site, day=missing[0], at=clock.now(), seed=seed)
        defer_history(site=site, seed=seed, at=clock.now())


@jobs.periodic(cron="23 * * * *")
@jobs.task(name="flag_charges", queue="reactions", queueing_lock="flag_charges")
def flag_charges(timestamp: int) -> None:
    """Every hour: charges that have waited a day for their report."""
    for site in Site.objects.order_by("id"):
        flag_charges_waiting(site=site, at=clock.now())


@jobs.task(name=LEARN_TASK, queue=TRIAL_QUEUE, lock=TRIAL_LOCK)
def learn_pictures(site_id: int, by: str) -> None:
    """Learn anew what pictures look like, from what is confirmed by now."""
    from xraydesk.journey.pictures import learn_parts

    learn_parts(site=Site.objects.get(pk=site_id), at=clock.now(), by=by)


@jobs.task(
    name=TRIAL_TASK,
    queue=TRIAL_QUEUE,
    pass_context=True,
    retry=RetryStrategy(max_attempts=RETRIES_MAX, retry_exceptions={TryAgain}),
)
def run_a_trial(context: JobContext, trial_id: int) -> None:
    """Run a department in fast time for somebody who wants to try a rule; it begins anew where this worker has to end."""
    run_trial(trial_id=trial_id, now=clock.now, leave=context.should_abort)
