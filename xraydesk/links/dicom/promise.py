"""Asks destinations whether they keep what they were sent, and hears their answers (PS3.4 annex J, as user)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import Error as DatabaseError
from django.db import connections
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel

from xraydesk.access.models import Site
from xraydesk.imaging.models import Promise
from xraydesk.journey.promise import (
    Question,
    UnknownTransaction,
    answered,
    committing,
    defer_asking,
    next_question,
    question_not_taken,
    question_taken,
)
from xraydesk.lib import clock
from xraydesk.links.dicom.promise_codec import NoReport, question, read_report
from xraydesk.links.dicom.secure import tls_to
from xraydesk.links.dicom.service import Answers, Refused, Request, Response
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, STORAGE_COMMITMENT_INSTANCE
from xraydesk.siteplan.routing_plan import DestinationPlan

log = structlog.get_logger(__name__)

SUCCESS, PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115
REQUEST_COMMITMENT = 1
NETWORK_SECONDS_MAX = 30

QUESTIONS_AT_ONCE_MAX = 50
"""So many are asked over one association; a further job asks the rest."""

ANSWER_HERE_SECONDS = 3.0
"""So long the association is kept open for answers after the last question; later ones come over one of the destination's own."""

LOOK_SECONDS = 0.1


def ask(*, site_id: int, destination: str) -> None:
    """Ask a destination about everything that it was sent and not asked about yet, one question an exam.

    Its answers are taken on this association while it is open; most archives open one of their own.
    """
    site = Site.objects.get(pk=site_id)
    to = committing(site).get(destination)
    first = next_question(site=site, destination=destination, at=clock.now()) if to else None
    if to is None or first is None:
        return
    try:
        with _association(site, to) as association:
            if not association.is_established:
                question_not_taken(promise_id=first.promise_id, why="it takes no association", at=clock.now())
                return
            _ask_all(association, site, destination, first)
    except OSError as error:
        why = f"a certificate file for it cannot be read ({type(error).__name__})"
        question_not_taken(promise_id=first.promise_id, why=why, at=clock.now())


@contextmanager
def _association(site: Site, to: DestinationPlan) -> Iterator[Association]:
    ae = AE(ae_title=site.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = NETWORK_SECONDS_MAX
    ae.add_requested_context(StorageCommitmentPushModel, list(MESSAGE_SYNTAXES))
    handlers = [(evt.EVT_N_EVENT_REPORT, lambda event: (_heard(site, to, event), None))]
    association = ae.associate(
        to.host,
        to.port,
        ae_title=to.ae_title,
        tls_args=tls_to(to),
        evt_handlers=handlers,
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _ask_all(association: Association, site: Site, destination: str, first: Question) -> None:
    asked: Question | None = first
    taken: list[int] = []
    for number in range(1, QUESTIONS_AT_ONCE_MAX + 1):
        if asked is None:
            break
        why = _ask_one(association, asked)
        if why:
            question_not_taken(promise_id=asked.promise_id, why=why, at=clock.now())
        else:
            question_taken(promise_id=asked.promise_id, at=clock.now())
            taken.append(asked.promise_id)
        if not association.is_established:
            break
        if number == QUESTIONS_AT_ONCE_MAX:
            # A question that is written down counts as asked: the next job takes its own.
            defer_asking(site_id=site.pk, destination=destination)
            break
        asked = next_question(site=site, destination=destination, at=clock.now())
    _wait_for_answers(association, taken)


def _ask_one(association: Association, asked: Question) -> str:
    """Send one question; why it was not taken, empty where it was."""
    try:
        status, _ = association.send_n_action(
            question(asked.transaction_uid, asked.objects),
            REQUEST_COMMITMENT,
            StorageCommitmentPushModel,
            STORAGE_COMMITMENT_INSTANCE,
        )
    except (ValueError, RuntimeError):
        return "it takes no questions of storage commitment"
    code = status.get("Status")
    if code is None:
        return "it did not answer"
    return "" if code == SUCCESS else f"it answered {code:04X}"


def _wait_for_answers(association: Association, taken: list[int]) -> None:
    ends = time.monotonic() + ANSWER_HERE_SECONDS
    while association.is_established and time.monotonic() < ends:
        if not Promise.objects.filter(pk__in=taken, answered_at=None).exists():
            return
        time.sleep(LOOK_SECONDS)


def _heard(site: Site, to: DestinationPlan, event: evt.Event) -> int:
    """An answer on the association that asked, in its thread: written down before it is acknowledged."""
    try:
        report = read_report(event.event_information)
        answered(
            site=site,
            transaction_uid=report.transaction_uid,
            kept=report.kept,
            failed=report.failed,
            at=clock.now(),
            by=f"destination:{to.name}",
        )
    except (NoReport, UnknownTransaction) as error:
        log.warning("commitment_answer_refused", ae=to.ae_title, why=type(error).__name__)
        return INVALID_ARGUMENT
    except DatabaseError as error:
        log.error("commitment_answer_not_kept", ae=to.ae_title, error=type(error).__name__)
        return PROCESSING_FAILURE
    finally:
        connections.close_all()
    return SUCCESS


def hear(request: Request) -> Answers:
    """An answer over an association that the destination opened: written down before it is acknowledged.

    One to a question that nobody asked here is refused (0115H), so that whoever sends it looks into it.
    """
    try:
        report = read_report(request.dataset)
        answered(
            site=request.site,
            transaction_uid=report.transaction_uid,
            kept=report.kept,
            failed=report.failed,
            at=clock.now(),
            by=f"destination:{request.calling_ae}",
        )
    except NoReport as error:
        raise Refused(INVALID_ARGUMENT, str(error)) from None
    except UnknownTransaction:
        raise Refused(INVALID_ARGUMENT, "nothing was asked here under this TransactionUID") from None
    yield Response(SUCCESS)
