"""Reads and writes the command sets of DIMSE messages (PS3.7), by pynetdicom's classes."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import dimse_messages, dimse_primitives, dsutils
from pynetdicom.pdu_primitives import P_DATA

from xraydesk.links.dicom.service import Notify, Response

COMMAND_BYTES_MAX = 65_536
PENDING = frozenset({0xFF00, 0xFF01})
NO_DATA_SET = 0x0101
_IS_COMMAND_AND_LAST = b"\x03"
_UID_LENGTH_MAX = 64
_NOT_READ = ("Priority", "MoveOriginatorApplicationEntityTitle", "MoveOriginatorMessageID")
"""Elements of requests that change nothing here: a wrong value in them is no reason to end an association."""

_ABOUT_REQUESTED = frozenset({"N_GET", "N_SET", "N_ACTION", "N_DELETE"})
"""Requests that name their object by Requested SOP Class and Instance UID (PS3.7 10.3)."""
_NAMES_INSTANCE = frozenset(
    {"C_STORE", "N_GET", "N_SET", "N_ACTION", "N_DELETE", "N_CREATE", "N_EVENT_REPORT"}
)
_NAMES_ITS_KIND = {"N_ACTION": "ActionTypeID", "N_EVENT_REPORT": "EventTypeID"}


class BrokenCommand(ValueError):
    """What came is no command set that PS3.7 knows."""


def kind_of(command: Any) -> str:
    """The name of a DIMSE request or response, as pynetdicom spells it: `C_STORE`, `N_CREATE`…"""
    return type(command).__name__


def read_command(data: bytes, context_id: int) -> tuple[Any, bool]:
    """pynetdicom's primitive of a command set, and whether a data set follows; raises `BrokenCommand`."""
    fragment = P_DATA()
    fragment.presentation_data_value_list = [[context_id, _IS_COMMAND_AND_LAST + data]]
    message = dimse_messages.DIMSEMessage()
    try:
        message.decode_msg(fragment)
        _mend(message.command_set)
        has_data_set = message.command_set.CommandDataSetType != NO_DATA_SET
        primitive = message.message_to_primitive()
        if is_request(primitive) and primitive.MessageID is None:
            raise BrokenCommand("a request without a Message ID")
        return primitive, has_data_set
    except Exception as error:  # any broken bytes from outside end here, and then the association
        raise BrokenCommand(f"no command set ({type(error).__name__})") from None


def _mend(command: Dataset) -> None:
    """Leave out what pynetdicom would refuse the whole message for: it gets an answer, where one is due."""
    for keyword in _NOT_READ:
        if keyword in command:
            delattr(command, keyword)
    for keyword in ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID"):
        if len(str(command.get(keyword) or "")) > _UID_LENGTH_MAX:
            setattr(command, keyword, "?")


def write_command(primitive: Any, *, has_data_set: bool) -> bytes:
    """The encoded command set of one of pynetdicom's primitives."""
    ending = "RQ" if primitive.MessageIDBeingRespondedTo is None else "RSP"
    message = getattr(dimse_messages, f"{kind_of(primitive)}_{ending}")()
    message.primitive_to_message(primitive)
    if has_data_set:
        message.command_set.CommandDataSetType = 0x0001
    encoded = dsutils.encode(message.command_set, True, True)
    if encoded is None:
        raise BrokenCommand("the command set cannot be encoded")
    return bytes(encoded)


def response_command(request: Any, response: Response, *, has_data_set: bool) -> bytes:
    """The encoded command set of the response to `request` (pynetdicom's primitive)."""
    kind = kind_of(request)
    answer = getattr(dimse_primitives, kind)()
    answer.MessageIDBeingRespondedTo = request.MessageID
    if kind in _ABOUT_REQUESTED:
        answer.AffectedSOPClassUID = request.RequestedSOPClassUID
        answer.AffectedSOPInstanceUID = request.RequestedSOPInstanceUID
    else:
        answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        if kind in _NAMES_INSTANCE:
            answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
    if kind in _NAMES_ITS_KIND and not has_failed(response.status):
        keyword = _NAMES_ITS_KIND[kind]
        setattr(answer, keyword, getattr(request, keyword))
    answer.Status = response.status
    for keyword, value in response.elements.items():
        setattr(answer, keyword, value)
    return write_command(answer, has_data_set=has_data_set)


def notice_command(notice: Notify, message_id: int) -> bytes:
    """The encoded command set of an N-EVENT-REPORT request."""
    request = dimse_primitives.N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(notice.sop_class_uid)
    request.AffectedSOPInstanceUID = UID(notice.sop_instance_uid)
    request.EventTypeID = notice.event_type
    return write_command(request, has_data_set=True)


def write_data_set(data_set: Dataset | bytes, transfer_syntax: str) -> bytes:
    """An encoded data set; bytes are passed through."""
    if isinstance(data_set, bytes):
        return data_set
    syntax = UID(transfer_syntax)
    encoded = dsutils.encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian)
    if encoded is None:
        raise BrokenCommand("the answer's data set cannot be encoded")
    return bytes(encoded)


def has_failed(status: int) -> bool:
    """True for a failure status (PS3.7 annex C): neither success, pending, cancel nor warning."""
    return not (
        status in PENDING or status in {0x0000, 0x0001, 0x0107, 0x0116, 0xFE00} or status >> 12 == 0xB
    )


def instance_uid(command: Any) -> str:
    """The SOP instance that a request is about, or an empty string."""
    return str(
        getattr(command, "RequestedSOPInstanceUID", None)
        or getattr(command, "AffectedSOPInstanceUID", None)
        or ""
    )


def is_request(command: Any) -> bool:
    """True for a request, False for a response."""
    return command.MessageIDBeingRespondedTo is None
