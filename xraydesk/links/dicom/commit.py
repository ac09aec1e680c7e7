"""Storage commitment: a machine asks whether its objects are safe here, and is told (PS3.4 annex J)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from procrastinate.contrib.django import app as jobs
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel

from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.actions import commitment_not_told, commitment_told, insert_commitment
from xraydesk.imaging.models import Commitment, Image
from xraydesk.imaging.states import ImageState
from xraydesk.lib import clock
from xraydesk.links.dicom import promise
from xraydesk.links.dicom.header_codec import is_wire_uid, text
from xraydesk.links.dicom.messages import kind_of
from xraydesk.links.dicom.reading import items_of
from xraydesk.links.dicom.service import Answers, Notify, Refused, Request, Response, Service
from xraydesk.links.dicom.sop_classes import (
    MESSAGE_SYNTAXES,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
)
from xraydesk.links.tasks import TELL_QUEUE, TELL_TASK
from xraydesk.rooms.models import Modality

SUCCESS, NO_SUCH_INSTANCE, INVALID_ARGUMENT, NO_SUCH_ACTION = 0x0000, 0x0112, 0x0115, 0x0123
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""

ALL_KEPT, SOME_FAILED = 1, 2
REQUEST_COMMITMENT = 1
OBJECTS_MAX = 10_000
"""A request that names more is refused."""

ANSWER_SECONDS_MAX = 30.0
SAFETY_SECONDS = 60
"""So long after the question the job looks whether the answer was taken, should this process die meanwhile."""

NETWORK_SECONDS_MAX = 20


def commitment(request: Request) -> Answers:
    """Take a machine's question whether its images are safe here, or a destination's answer whether they are safe there."""
    return promise.hear(request) if kind_of(request.command) == "N_EVENT_REPORT" else asked_here(request)


def asked_here(request: Request) -> Answers:
    """Answer a request for commitment at once, then tell the outcome on the same association.

    Where the machine has gone or refuses it there, a job tells it over a new association (row 39).
    """
    if str(request.command.RequestedSOPInstanceUID) != STORAGE_COMMITMENT_INSTANCE:
        raise Refused(NO_SUCH_INSTANCE, "commitment is asked of the well-known instance")
    if request.command.ActionTypeID != REQUEST_COMMITMENT:
        raise Refused(NO_SUCH_ACTION, "only commitment can be requested")
    asked = _asked(request.dataset)
    with transaction.atomic():
        kept = _commit(request, text(request.dataset, "TransactionUID"), asked, at=clock.now())
    yield Response(SUCCESS)
    status = yield Notify(
        STORAGE_COMMITMENT,
        STORAGE_COMMITMENT_INSTANCE,
        event_type(kept),
        event_of(kept),
        answer_seconds_max=ANSWER_SECONDS_MAX,
    )
    with transaction.atomic():
        if status == SUCCESS:
            commitment_told(kept, at=clock.now())
        else:
            defer_telling(kept.pk, at=clock.now())


def _asked(dataset: Dataset) -> list[tuple[str, str]]:
    """The objects asked about, as (SOP class, SOP instance), each once."""
    if not is_wire_uid(text(dataset, "TransactionUID")):
        raise Refused(INVALID_ARGUMENT, "TransactionUID is missing or no UID")
    items = items_of(dataset, "ReferencedSOPSequence")
    if not items or len(items) > OBJECTS_MAX:
        raise Refused(INVALID_ARGUMENT, "ReferencedSOPSequence is missing, empty or too long")
    pairs = [(text(i, "ReferencedSOPClassUID"), text(i, "ReferencedSOPInstanceUID")) for i in items]
    if not all(is_wire_uid(uid) for pair in pairs for uid in pair):
        raise Refused(INVALID_ARGUMENT, "ReferencedSOPSequence holds what is no UID")
    return list(dict.fromkeys(pairs))


def _commit(
    request: Request, transaction_uid: str, asked: Sequence[tuple[str, str]], *, at: datetime
) -> Commitment:
    known = known_objects(request, [uid for _, uid in asked])
    kept, failed = judge(asked, known)
    commitment = insert_commitment(
        site=request.site,
        transaction_uid=transaction_uid,
        ae_title=request.calling_ae,
        kept=kept,
        failed=failed,
        at=at,
    )
    record(
        site_id=request.site.pk,
        kind=FactKind.IMAGES_COMMITTED,
        at=at,
        by=f"modality:{request.calling_ae}",
        data={"commitment": commitment.pk, "kept": len(kept), "failed": len(failed)},
        simulated=request.site.simulated,
    )
    defer_telling(commitment.pk, at=at + timedelta(seconds=SAFETY_SECONDS))
    return commitment


def judge(
    asked: Sequence[tuple[str, str]], known: dict[str, str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str, int]]]:
    """Which objects are promised and which are not, with the reason; `known` gives the SOP class of each kept UID."""
    kept, failed = [], []
    for sop_class, uid in asked:
        if uid not in known:
            failed.append((sop_class, uid, NO_SUCH_OBJECT))
        elif known[uid] != sop_class:
            failed.append((sop_class, uid, CLASS_CONFLICT))
        else:
            kept.append((sop_class, uid))
    return kept, failed


def known_objects(request: Request, uids: Sequence[str]) -> dict[str, str]:
    """The SOP class of each object that is safe: its file is on the disk (flushed before the row), or where it was sent."""
    spool = Path(settings.XRAYDESK_SPOOL)
    rows = Image.objects.filter(site=request.site, sop_instance_uid__in=list(uids), copy=0)
    return {image.sop_instance_uid: image.sop_class_uid for image in rows if _is_safe(image, spool)}


def _is_safe(image: Image, spool: Path) -> bool:
    """True where its file is here, or was let go of because it is safe wherever it goes."""
    if image.released_at is not None:
        return image.state == ImageState.SENT
    return (spool / image.path).is_file()


def event_type(commitment: Commitment) -> int:
    """1 where all is kept, 2 where some is not (PS3.4 J.3.3)."""
    return SOME_FAILED if commitment.failed else ALL_KEPT


def event_of(commitment: Commitment) -> Dataset:
    """The outcome as it is told."""
    event = Dataset()
    event.TransactionUID = commitment.transaction_uid
    event.ReferencedSOPSequence = [_reference(*pair) for pair in commitment.kept]
    if commitment.failed:
        event.FailedSOPSequence = []
        for sop_class, uid, reason in commitment.failed:
            item = _reference(sop_class, uid)
            item.FailureReason = reason
            event.FailedSOPSequence.append(item)
    return event


def _reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def defer_telling(commitment_id: int, *, at: datetime) -> None:
    """Ask for the job that tells an outcome over a new association, unless it was told by then."""
    task = jobs.configure_task(TELL_TASK, queue=TELL_QUEUE, schedule_at=at)
    task.defer(commitment_id=commitment_id)


def tell(commitment_id: int, *, at: datetime) -> None:
    """Tell an outcome that was not taken yet over a new association; capped retries, then an item."""
    commitment = Commitment.objects.select_related("site").get(pk=commitment_id)
    if commitment.told_at is not None:
        return
    key = f"commitment:{commitment.pk}"
    why = _send(commitment)
    with transaction.atomic():
        if not why:
            commitment_told(commitment, at=at)
            close_items(site_id=commitment.site_id, key=key, at=at, by="rule", how="it was told")
            return
        wait = commitment_not_told(commitment)
        if wait is not None:
            defer_telling(commitment.pk, at=at + timedelta(seconds=wait))
            return
        raise_item(
            site_id=commitment.site_id,
            kind=ItemKind.COMMITMENT_NOT_TOLD,
            key=key,
            at=at,
            text=f"{commitment.ae_title} asked whether its images are stored and could not be told: {why}. "
            "Mend its address in the site file, or have it ask again.",
            data={"commitment": commitment.pk},
        )


def _send(commitment: Commitment) -> str:
    """Tell it over an association of our own; why it could not be told, empty where it was."""
    machine = Modality.objects.filter(site=commitment.site, ae_title=commitment.ae_title).first()
    if machine is None or not machine.host or not machine.port:
        return "the site file gives it no address"
    ae = AE(ae_title=commitment.site.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = NETWORK_SECONDS_MAX
    ae.add_requested_context(StorageCommitmentPushModel, list(MESSAGE_SYNTAXES))
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
    association = ae.associate(machine.host, machine.port, ae_title=machine.ae_title, ext_neg=roles)
    if not association.is_established:
        return "it takes no association"
    try:
        status, _ = association.send_n_event_report(
            event_of(commitment),
            event_type(commitment),
            StorageCommitmentPushModel,
            STORAGE_COMMITMENT_INSTANCE,
        )
    except (ValueError, RuntimeError):
        return "it takes no report of storage commitment"
    finally:
        association.release()
    code = status.get("Status")
    return "" if code == SUCCESS else f"it answered {code:04X}" if code is not None else "it did not answer"


SERVICE = Service(
    name="storage commitment",
    handle=commitment,
    commands=frozenset({"N_ACTION", "N_EVENT_REPORT"}),
    sop_classes=(STORAGE_COMMITMENT,),
    transfer_syntaxes=MESSAGE_SYNTAXES,
    failure_status=PROCESSING_FAILURE,
    bad_dataset_status=PROCESSING_FAILURE,
    statuses={
        SUCCESS: "the outcome follows as an event; a destination's answer is written down",
        PROCESSING_FAILURE: "the desk could not do it, or the data set cannot be read",
        NO_SUCH_INSTANCE: "it was asked of another instance than the well-known one",
        INVALID_ARGUMENT: "no transaction UID, none that was asked about, no object, or more than one request may name",
        NO_SUCH_ACTION: "another action than the request of commitment",
    },
)
