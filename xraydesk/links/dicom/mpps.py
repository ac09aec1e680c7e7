"""MPPS: machines say that an exam has begun, goes on, is completed or discontinued (PS3.4 F.7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from django.db import DatabaseError

from xraydesk.imaging.actions import ENDED_BY_HAND
from xraydesk.imaging.header import StepReport
from xraydesk.imaging.models import PerformedStep
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import DuplicateStep, StepIsFinal, UnknownStep
from xraydesk.journey.perform import begin_by_step, update_step
from xraydesk.journey.performing import room_of
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.connections import told_time_of
from xraydesk.links.dicom.doctor_rules import SAMPLES_MAX
from xraydesk.links.dicom.header_codec import check_depth
from xraydesk.links.dicom.messages import kind_of
from xraydesk.links.dicom.mpps_codec import (
    BAD_VALUE,
    HAS_END,
    HAS_SERIES,
    MISSING_ATTRIBUTE,
    MISSING_VALUE,
    BadStep,
    read_creation,
    read_update,
)
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, MODALITY_PERFORMED_STEP

_log = structlog.get_logger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE, UNKNOWN = 0x0111, 0x0112
NO_LONGER_IN_PROGRESS = 0xA710
"""Error ID beside 0110H: performed procedure step object may no longer be updated (PS3.4 F.7.2.2.3)."""


def performed_step(request: Request) -> Answers:
    """Answer an N-CREATE or an N-SET of a performed step."""
    check_depth(request.dataset)
    is_creation = kind_of(request.command) == "N_CREATE"
    yield (_create if is_creation else _set)(request)


def _create(request: Request) -> Response:
    # The SCP names the step where the machine does not (PS3.7 10.1.5.1.4).
    uid = str(request.command.AffectedSOPInstanceUID or "") or new_uid()
    try:
        report = read_creation(request.dataset, sop_instance_uid=uid)
    except BadStep as bad:
        raise _refused(bad) from bad
    at = clock.now()
    try:
        begin_by_step(site=request.site, report=_at_its_station(request, report), at=at, by=_by(request))
    except DuplicateStep as error:
        raise Refused(DUPLICATE, "a step with this UID is here already") from error
    if report.started_at is not None:
        _tell_clock(request, report.started_at, at)
    return Response(SUCCESS, elements={"AffectedSOPInstanceUID": uid})


def _tell_clock(request: Request, told: datetime, at: datetime) -> None:
    """A step is told of as it begins: its time says how the machine's clock goes."""
    try:
        told_time_of(
            site=request.site,
            ae_title=request.calling_ae,
            told=told.replace(tzinfo=told.tzinfo or ZoneInfo(request.site.timezone)),
            at=at,
            samples_max=SAMPLES_MAX,
        )
    except DatabaseError as error:  # the step is written down; a machine is not told otherwise for this
        _log.warning("machine_clock_not_kept", ae=request.calling_ae, error=type(error).__name__)


def _set(request: Request) -> Response:
    uid = str(request.command.RequestedSOPInstanceUID or "")
    step = PerformedStep.objects.filter(site=request.site, sop_instance_uid=uid).first()
    if step is None:
        raise Refused(UNKNOWN, "there is no step with this UID")
    if step.state != StepState.IN_PROGRESS and ENDED_BY_HAND not in step.attributes:
        raise _final()
    try:
        report = read_update(
            request.dataset,
            sop_instance_uid=uid,
            has_end=bool(step.attributes.get(HAS_END)),
            has_series=bool(step.attributes.get(HAS_SERIES)),
        )
    except BadStep as bad:
        raise _refused(bad) from bad
    try:
        update_step(site=request.site, report=report, at=clock.now(), by=_by(request))
    except UnknownStep as error:
        raise Refused(UNKNOWN, "there is no step with this UID") from error
    except StepIsFinal as error:
        raise _final() from error
    return Response(SUCCESS, elements={"AffectedSOPInstanceUID": uid})


def _at_its_station(request: Request, report: StepReport) -> StepReport:
    """Where a gateway tells for a station that the site file does not name, the caller's room is meant."""
    if room_of(request.site, report.ae_title) is None and request.known_ae:
        return replace(report, ae_title=request.calling_ae)
    return report


def _by(request: Request) -> str:
    return f"modality:{request.calling_ae}"


def _refused(bad: BadStep) -> Refused:
    return Refused(bad.status, str(bad))


def _final() -> Refused:
    return Refused(PROCESSING_FAILURE, "the step is completed or discontinued", ErrorID=NO_LONGER_IN_PROGRESS)


SERVICE = Service(
    name="performed steps",
    handle=performed_step,
    commands=frozenset({"N_CREATE", "N_SET"}),
    sop_classes=(MODALITY_PERFORMED_STEP,),
    transfer_syntaxes=MESSAGE_SYNTAXES,
    failure_status=PROCESSING_FAILURE,
    bad_dataset_status=PROCESSING_FAILURE,
    statuses={
        SUCCESS: "the step is written down",
        BAD_VALUE: "a value cannot be so: a state, or a date that is none",
        PROCESSING_FAILURE: "the step has ended already (Error ID A710H), or the desk could not do it",
        DUPLICATE: "N-CREATE of a step that is here",
        UNKNOWN: "N-SET of a step that is not here",
        MISSING_ATTRIBUTE: "an attribute is missing that the desk cannot do without",
        MISSING_VALUE: "it is there and empty",
    },
)
