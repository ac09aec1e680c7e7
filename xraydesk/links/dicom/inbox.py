"""Puts pieces of data together to DIMSE messages, within stated limits (PS3.8 annex E)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xraydesk.links.dicom.messages import (
    COMMAND_BYTES_MAX,
    BrokenCommand,
    instance_uid,
    is_request,
    kind_of,
    read_command,
)
from xraydesk.links.dicom.negotiation import Context
from xraydesk.links.dicom.pdus import Piece
from xraydesk.links.dicom.pipe import ObjectPipe
from xraydesk.links.dicom.service import Response, Service

DATA_SET_BYTES_MAX = 8_388_608
"""The largest data set of a request that is no object to be stored."""
UID_ON_THE_WIRE = re.compile(r"[0-9.]{1,64}")
"""Digits and dots. Real machines send UIDs with leading zeros; nothing else may pass for one."""

NOT_THIS_OPERATION, NO_SUCH_CLASS, BAD_UID, TOO_MUCH, OUT_OF_RESOURCES = (
    0x0211,
    0x0122,
    0x0117,
    0x0213,
    0xA700,
)
STATUSES: Mapping[int, str] = {
    NOT_THIS_OPERATION: "the service does not have this message",
    NO_SUCH_CLASS: "another SOP class than the presentation context's",
    BAD_UID: "the SOP instance UID is missing or none",
    TOO_MUCH: "the data set is too large",
}
"""What any service may be answered with before its own code is asked."""


@dataclass
class Message:
    """One DIMSE message, whole or still coming."""

    command: Any
    context_id: int
    context: Context
    service: Service | None
    refusal: Response | None = None
    data: bytearray = field(default_factory=bytearray)
    object: ObjectPipe | None = None
    object_bytes: int = 0


class Inbox:
    """Collects what comes over one association; the bytes of objects go to a pipe as they come."""

    def __init__(
        self,
        contexts: Mapping[int, Context],
        services: Mapping[str, Service],
        *,
        object_bytes_max: int,
        open_object: Callable[[Message], ObjectPipe],
    ) -> None:
        self._contexts = contexts
        self._services = services
        self._object_bytes_max = object_bytes_max
        self._open_object = open_object
        self._command = bytearray()
        self._command_context = 0
        self._message: Message | None = None
        self.views: list[memoryview] = []
        """Bytes of the object under way that are not yet handed to its pipe."""

    @property
    def is_empty(self) -> bool:
        """True between two messages."""
        return self._message is None and not self._command

    @property
    def object(self) -> ObjectPipe | None:
        """The pipe of the object under way."""
        return self._message.object if self._message else None

    def take(self, piece: Piece) -> Message | None:
        """Add a piece; the message where it is whole. Raises `BrokenCommand` for what fits no message."""
        return self._take_command(piece) if piece.is_command else self._take_data(piece)

    def _take_command(self, piece: Piece) -> Message | None:
        if self._message is not None or (self._command and piece.context_id != self._command_context):
            raise BrokenCommand("a command within another message")
        self._command_context = piece.context_id
        self._command += piece.data
        if len(self._command) > COMMAND_BYTES_MAX:
            raise BrokenCommand("a command set that is too long")
        if not (piece.is_end and piece.is_last):
            return None
        context = self._contexts.get(piece.context_id)
        if context is None:
            raise BrokenCommand("a presentation context that was not accepted")
        command, has_data = read_command(bytes(self._command), piece.context_id)
        self._command.clear()
        message = Message(command, piece.context_id, context, self._services.get(context.abstract_syntax))
        if is_request(command):
            message.refusal = _refusal(message, has_data=has_data)
        if not has_data:
            return message
        self._message = message
        if kind_of(command) == "C_STORE" and is_request(command) and message.refusal is None:
            message.object = self._open_object(message)
        return None

    def _take_data(self, piece: Piece) -> Message | None:
        message = self._message
        if message is None or piece.context_id != message.context_id:
            raise BrokenCommand("data without a command")
        if message.object is not None:
            self._take_object(message, piece)
        elif message.refusal is None:
            message.data += piece.data
            if len(message.data) > DATA_SET_BYTES_MAX:
                message.data.clear()
                message.refusal = Response(TOO_MUCH, elements={"ErrorComment": "the data set is too large"})
        if piece.is_end and piece.is_last:
            self._message = None
            return message
        return None

    def _take_object(self, message: Message, piece: Piece) -> None:
        message.object_bytes += len(piece.data)
        if message.object_bytes <= self._object_bytes_max:
            self.views.append(piece.data)
            return
        self.views.clear()
        if message.object is not None:
            message.object.abandon()
        message.object = None
        message.refusal = Response(OUT_OF_RESOURCES, elements={"ErrorComment": "the object is too large"})


def _refusal(message: Message, *, has_data: bool) -> Response | None:
    """Why a request is not taken, judged by its command set alone."""
    command, service = message.command, message.service
    kind = kind_of(command)
    if service is None or kind not in service.commands:
        return Response(NOT_THIS_OPERATION)
    uid = instance_uid(command)
    if uid and not UID_ON_THE_WIRE.fullmatch(uid):
        command.AffectedSOPInstanceUID = None
        if hasattr(command, "RequestedSOPInstanceUID"):
            command.RequestedSOPInstanceUID = None
        return Response(BAD_UID, elements={"ErrorComment": "that is no SOP Instance UID"})
    if kind == "C_STORE":
        if not uid or not has_data:
            return Response(0xC000, elements={"ErrorComment": "an object needs a UID and a data set"})
        if command.AffectedSOPClassUID != message.context.abstract_syntax:
            return Response(NO_SUCH_CLASS, elements={"ErrorComment": "another SOP class than was agreed"})
    return None
