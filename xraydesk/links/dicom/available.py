"""Instance Availability Notification, both ways (PS3.4 annex R): who waits for images is told, and a PACS tells the desk."""

from __future__ import annotations

from collections.abc import Sequence

from pynetdicom import AE
from pynetdicom.association import Association

from xraydesk.access.models import Site
from xraydesk.imaging.models import AvailabilityNotice
from xraydesk.journey.announce import (
    defer_notices,
    due_notices,
    next_notice_at,
    record_not_told,
    record_told,
)
from xraydesk.journey.announced import announced, announcing
from xraydesk.journey.route import destinations_of
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom.header_codec import check_depth
from xraydesk.links.dicom.messages import has_failed
from xraydesk.links.dicom.mpps_codec import MISSING_ATTRIBUTE, MISSING_VALUE
from xraydesk.links.dicom.notice_codec import BadNotice, notice_of, read_notice
from xraydesk.links.dicom.secure import tls_to
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.sop_classes import INSTANCE_AVAILABILITY, MESSAGE_SYNTAXES
from xraydesk.siteplan.routing_plan import DestinationPlan

SUCCESS, PROCESSING_FAILURE, DUPLICATE, NOT_AUTHORISED = 0x0000, 0x0110, 0x0111, 0x0124
NETWORK_SECONDS_MAX = 20


def available(request: Request) -> Answers:
    """Take what a destination tells: which images can be read there now."""
    check_depth(request.dataset)
    destinations = announcing(request.site).get(request.calling_ae)
    if not destinations:
        raise Refused(NOT_AUTHORISED, "the site file does not say that this AE title announces")
    try:
        said = read_notice(request.dataset)
    except BadNotice as bad:
        raise Refused(bad.status, str(bad)) from bad
    announced(
        site=request.site,
        destinations=destinations,
        said=said,
        at=clock.now(),
        by=f"pacs:{request.calling_ae}",
    )
    uid = str(request.command.AffectedSOPInstanceUID or "") or new_uid()
    yield Response(SUCCESS, elements={"AffectedSOPInstanceUID": uid})


def tell(*, site_id: int, recipient: str) -> None:
    """Tell one recipient what it was not told yet, in order, over one association; what is left asks for itself again."""
    site = Site.objects.get(pk=site_id)
    to = next((d for d in destinations_of(site) if d.name == recipient), None)
    due = due_notices(site_id=site_id, recipient=recipient, at=clock.now())
    if due and (to is None or not to.notices):
        _all_refused(due, "the site file does not say any more that it is told")
    elif due and to is not None:
        _tell(due, site=site, to=to)
    later = next_notice_at(site_id=site_id, recipient=recipient)
    if later is not None:
        defer_notices(site_id=site_id, recipient=recipient, not_before=later)


def _tell(due: Sequence[AvailabilityNotice], *, site: Site, to: DestinationPlan) -> None:
    ae = AE(ae_title=site.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = NETWORK_SECONDS_MAX
    ae.add_requested_context(INSTANCE_AVAILABILITY, list(MESSAGE_SYNTAXES))
    try:
        tls = tls_to(to)
    except OSError as error:
        _all_away(due, f"a certificate file for it cannot be read ({type(error).__name__})")
        return
    association = ae.associate(to.host, to.port, ae_title=to.ae_title, tls_args=tls)
    if not association.is_established:
        _all_away(due, "it takes no association")
        return
    try:
        for place, notice in enumerate(due):
            if not association.is_established:
                _all_away(due[place:], "it closed the association")
                return
            _tell_one(association, notice)
    finally:
        association.release()


def _tell_one(association: Association, notice: AvailabilityNotice) -> None:
    try:
        answer, _ = association.send_n_create(
            notice_of(notice.said), INSTANCE_AVAILABILITY, notice.sop_instance_uid
        )
    except (ValueError, RuntimeError) as error:
        # pynetdicom says so where the context was not accepted, or the association has gone.
        why = f"it takes no such notices ({type(error).__name__})"
        record_not_told(notice_id=notice.pk, at=clock.now(), why=why, refused=True)
        return
    status = answer.get("Status")
    if status is None:
        record_not_told(notice_id=notice.pk, at=clock.now(), why="it did not answer", refused=False)
    elif has_failed(status) and status != DUPLICATE:
        record_not_told(notice_id=notice.pk, at=clock.now(), why=f"it answered {status:04X}", refused=True)
    else:
        # A duplicate was taken by it before, and its answer lost.
        record_told(notice_id=notice.pk, at=clock.now())


def _all_away(notices: Sequence[AvailabilityNotice], why: str) -> None:
    for notice in notices:
        record_not_told(notice_id=notice.pk, at=clock.now(), why=why, refused=False)


def _all_refused(notices: Sequence[AvailabilityNotice], why: str) -> None:
    for notice in notices:
        record_not_told(notice_id=notice.pk, at=clock.now(), why=why, refused=True)


SERVICE = Service(
    name="availability of images",
    handle=available,
    commands=frozenset({"N_CREATE"}),
    sop_classes=(INSTANCE_AVAILABILITY,),
    transfer_syntaxes=MESSAGE_SYNTAXES,
    failure_status=PROCESSING_FAILURE,
    bad_dataset_status=PROCESSING_FAILURE,
    statuses={
        SUCCESS: "it is written down; objects that the desk did not send there are passed over",
        PROCESSING_FAILURE: "the desk could not do it, or the data set cannot be read",
        MISSING_ATTRIBUTE: "Study Instance UID or Referenced Series Sequence is missing",
        MISSING_VALUE: "Study Instance UID is empty",
        NOT_AUTHORISED: "the caller is no destination that announces",
    },
)
