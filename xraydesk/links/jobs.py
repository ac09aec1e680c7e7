"""Jobs of the links: images out, promises told, and what is looked after from time to time.

Every process of the desk imports this module to know its jobs; what speaks DICOM takes two
seconds and 40 MB to import, so that only the worker that needs it does.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.journey.announce import NOTICE_TASK, resume_notices
from xraydesk.journey.announced import take_silence
from xraydesk.journey.medium import BRING_LOCK, BRING_QUEUE, BRING_TASK, resume_media
from xraydesk.journey.overdue import flag_images_waiting, flag_open_steps
from xraydesk.journey.policy import policies_of
from xraydesk.journey.prior_images import FETCH_TASK as FETCH_PRIOR_TASK
from xraydesk.journey.prior_images import resume_fetches
from xraydesk.journey.priors import FIND_TASK
from xraydesk.journey.promise import ASK_TASK, look_after_promises
from xraydesk.journey.retention import RELEASE_TASK
from xraydesk.journey.route import resume_deliveries
from xraydesk.journey.turns import DELIVER_QUEUE, DELIVER_TASK, REQUISITION_TASK
from xraydesk.lib import clock
from xraydesk.links import asked, connections
from xraydesk.links.dicom.spool_sweep import sweep_kept
from xraydesk.links.ehr.defer import FETCH_TASK, defer_fetching
from xraydesk.links.models import Subscription
from xraydesk.links.outgoing.defer import SEND_QUEUE, SEND_TASK, defer_sending
from xraydesk.links.subscriptions.standing import STANDING
from xraydesk.links.tasks import TELL_QUEUE, TELL_TASK
from xraydesk.siteplan.reading import from_json

log = structlog.get_logger(__name__)

RETRIES_MAX = 5
"""Tries of a job that met a database that was away: half a minute in all."""


@jobs.task(name=DELIVER_TASK, queue=DELIVER_QUEUE)
def deliver(site_id: int, destination: str, lane: int) -> None:
    """Send what waits for one destination.

    What a database that goes away leaves undone stands in its rows: `resume` asks for it within a minute.
    A retry of this job would clash with the one for the same lane that may wait behind it by then.
    """
    from xraydesk.links.dicom import lanes

    try:
        lanes.run(site_id=site_id, destination=destination, lane=lane)
    except (OperationalError, InterfaceError) as away:
        log.warning("the database went away under a delivery; it is resumed", error=type(away).__name__)


@jobs.task(name=ASK_TASK, queue=DELIVER_QUEUE)
def ask_commitment(site_id: int, destination: str) -> None:
    """Ask a destination whether it keeps what it was sent. What a database that goes away leaves undone is asked again."""
    from xraydesk.links.dicom import promise

    try:
        promise.ask(site_id=site_id, destination=destination)
    except (OperationalError, InterfaceError) as away:
        log.warning(
            "the database went away under storage commitment; it is asked again", error=type(away).__name__
        )


@jobs.task(
    name=REQUISITION_TASK,
    queue=DELIVER_QUEUE,
    retry=RetryStrategy(max_attempts=RETRIES_MAX, exponential_wait=2),
)
def write_requisition(exam_id: int) -> None:
    """Write an exam's requisition as a document, for the destinations that want it beside the images."""
    from xraydesk.links.dicom import requisition

    requisition.write(exam_id)


@jobs.task(name=NOTICE_TASK, queue=DELIVER_QUEUE)
def tell_available(site_id: int, recipient: str) -> None:
    """Tell one recipient where images can be read. What a database that goes away leaves undone is resumed within a minute."""
    from xraydesk.links.dicom import available

    try:
        available.tell(site_id=site_id, recipient=recipient)
    except (OperationalError, InterfaceError) as away:
        log.warning("the database went away under a notice; it is resumed", error=type(away).__name__)


@jobs.task(name=FIND_TASK, queue=DELIVER_QUEUE)
def find_priors(exam_id: int) -> None:
    """Ask the archives for what an exam is compared with. What fails stands beside the exam, and is tried at its next step."""
    from xraydesk.links.dicom import archive

    archive.fetch_priors(exam_id)


@jobs.task(name=FETCH_PRIOR_TASK, queue=DELIVER_QUEUE)
def fetch_prior_images(fetch_id: int) -> None:
    """Fetch one study to compare with. What a database that goes away leaves undone is resumed within a minute."""
    from xraydesk.links.dicomweb import fetch as fetching

    try:
        fetching.fetch(fetch_id)
    except (OperationalError, InterfaceError) as away:
        log.warning(
            "the database went away under a study that is fetched; it is resumed", error=type(away).__name__
        )


@jobs.task(name=BRING_TASK, queue=BRING_QUEUE, lock=BRING_LOCK, pass_context=True)
def bring_medium_in(context: JobContext, medium_id: int) -> None:
    """Read a medium that was uploaded from where it stands. What is left undone is resumed within a minute."""
    from xraydesk.links.dicom import media

    try:
        media.bring_in(medium_id, now=clock.now, leave=context.should_abort)
    except (OperationalError, InterfaceError) as away:
        log.warning("the database went away under a medium; it is resumed", error=type(away).__name__)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="resume_media", queue=BRING_QUEUE, queueing_lock="resume_media")
def read_media_on(timestamp: int) -> None:
    """Every minute: media that nobody reads to their end."""
    resume_media(at=clock.now())


@jobs.task(
    name=TELL_TASK,
    queue=TELL_QUEUE,
    retry=RetryStrategy(
        max_attempts=RETRIES_MAX, exponential_wait=2, retry_exceptions={OperationalError, InterfaceError}
    ),
)
def tell_commitment(commitment_id: int) -> None:
    """Tell a machine whether its images are stored, unless it was told already."""
    from xraydesk.links.dicom import commit

    commit.tell(commitment_id, at=clock.now())


@jobs.periodic(cron="* * * * *")
@jobs.task(name="resume_deliveries", queue=DELIVER_QUEUE, queueing_lock="resume_deliveries")
def resume(timestamp: int) -> None:
    """Every minute: images and notices whose time has come and whose job was lost, and promises that were not given in time."""
    resume_deliveries(at=clock.now())
    resume_notices(at=clock.now())
    resume_fetches(at=clock.now())
    for site in Site.objects.exclude(plan={}).order_by("id"):
        look_after_promises(site=site, at=clock.now())


@jobs.periodic(cron="*/5 * * * *")
@jobs.task(name="flag_overdue", queue=DELIVER_QUEUE, queueing_lock="flag_overdue")
def flag_overdue(timestamp: int) -> None:
    """Every five minutes: steps that never end, images that nobody began or spoke of, room that runs short."""
    for site in Site.objects.order_by("id"):
        flag_open_steps(site=site, at=clock.now())
        flag_images_waiting(site=site, at=clock.now())
        take_silence(site=site, at=clock.now())
    from xraydesk.links.dicom import release

    release.look_after(Path(settings.XRAYDESK_SPOOL))


@jobs.periodic(cron="17 * * * *")
@jobs.task(name="sweep_spool", queue=DELIVER_QUEUE, queueing_lock="sweep_spool")
def sweep_spool(timestamp: int) -> None:
    """Every hour: files of objects that were never acknowledged."""
    sweep_kept(Path(settings.XRAYDESK_SPOOL), at=clock.now())


@jobs.periodic(cron="29 * * * *")
@jobs.task(name=RELEASE_TASK, queue=DELIVER_QUEUE, queueing_lock=RELEASE_TASK, lock=RELEASE_TASK)
def release_images(timestamp: int = 0) -> None:
    """Every hour, and when a person asks: files of images that are safe wherever they go, and were kept long enough."""
    from xraydesk.links.dicom import release

    release.let_go(Path(settings.XRAYDESK_SPOOL))
    from xraydesk.links.outgoing import documents_kept

    for site in Site.objects.order_by("id"):
        documents_kept.let_go_of_documents(site, at=clock.now())


@jobs.task(name=SEND_TASK, queue=SEND_QUEUE)
def send_out(site_id: int, outlink: str) -> None:
    """Send what waits for one system. What a database that goes away leaves undone is resumed within a minute."""
    from xraydesk.links.outgoing import send

    try:
        send.send_out(site_id=site_id, outlink=outlink)
    except (OperationalError, InterfaceError) as away:
        log.warning("the database went away under what goes out; it is resumed", error=type(away).__name__)


@jobs.task(name=f"{SEND_TASK}_later", queue=SEND_QUEUE)
def send_out_later(site_id: int, outlink: str) -> None:
    """The pause after an attempt is over: ask for the next one."""
    defer_sending(site_id=site_id, outlink=outlink)


@jobs.periodic(cron="* * * * *")
@jobs.task(name="resume_sending", queue=SEND_QUEUE, queueing_lock="resume_sending")
def resume_sending(timestamp: int) -> None:
    """Every minute: messages that wait although nobody sends them."""
    from xraydesk.links.outgoing import send

    send.resume_sending()


@jobs.periodic(cron="* * * * *")
@jobs.task(name="look_after_subscriptions", queue=SEND_QUEUE, queueing_lock="look_after_subscriptions")
def look_after_subscriptions(timestamp: int) -> None:
    """Every minute: heartbeats of subscribers, and those that are over."""
    if not Subscription.objects.filter(state__in=STANDING).exists():
        return
    from xraydesk.links.subscriptions import tell

    tell.look_after_all()


@jobs.periodic(cron="41 * * * *")
@jobs.task(name="forget_messages", queue=SEND_QUEUE, queueing_lock="forget_messages")
def forget_messages(timestamp: int) -> None:
    """Every hour: messages that are older than their site keeps them."""
    from xraydesk.links import messages

    for site in Site.objects.order_by("id"):
        days = policies_of(site).message_days
        if days:
            messages.forget_old(site=site, before=clock.now() - timedelta(days=days))


@jobs.periodic(cron="53 * * * *")
@jobs.task(name="forget_queries", queue=SEND_QUEUE, queueing_lock="forget_queries")
def forget_queries(timestamp: int) -> None:
    """Every hour: what machines asked of the worklist, and calls and checks of connections, longer ago than they are kept."""
    asked.forget_old(at=clock.now())
    connections.forget_old(at=clock.now())


@jobs.task(name=FETCH_TASK, queue=SEND_QUEUE)
def fetch(site_id: int, ehr: str) -> None:
    """Fetch what changed at one EHR. What a database that goes away leaves undone is asked for again within a minute."""
    from xraydesk.links.ehr import fetch as fetching

    try:
        fetching.fetch(site_id=site_id, ehr=ehr)
    except (OperationalError, InterfaceError) as away:
        log.warning(
            "the database went away under what was fetched; it is asked again", error=type(away).__name__
        )


@jobs.periodic(cron="* * * * *")
@jobs.task(name="fetch_all", queue=SEND_QUEUE, queueing_lock="fetch_all")
def fetch_all(timestamp: int) -> None:
    """Every minute: ask each EHR that things are fetched from; one that still answers the last time is not asked twice."""
    for site in Site.objects.exclude(plan={}).order_by("id"):
        for ehr in from_json(site.plan).ehrs:
            if ehr.pulls:
                defer_fetching(site_id=site.pk, ehr=ehr.name)
