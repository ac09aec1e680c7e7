"""A plain DICOM client for the benchmarks: it adds as little time of its own as can be, to every server alike."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pynetdicom import dsutils
from pynetdicom import pdu as pdus
from pynetdicom.dimse_messages import C_FIND_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_FIND, C_STORE
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"


def association_request(abstract_syntax: str, syntax: str, calling: str, called: str) -> bytes:
    """An A-ASSOCIATE-RQ with one context."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    context = build_context(abstract_syntax, syntax)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length = MaximumLengthNotification()
    length.maximum_length_received = 131_072
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3"
    primitive.user_information = [length, implementation]
    pdu = pdus.A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def values(data: bytes, *, is_command: bool, length_max: int) -> list[bytes]:
    """P-DATA-TF PDUs."""
    room, out = length_max - 6, []
    for position in range(0, len(data), room):
        part = data[position : position + room]
        last = position + room >= len(data)
        head = struct.pack(">BxLLBB", 4, len(part) + 6, len(part) + 2, 1, is_command | (2 if last else 0))
        out.append(head + part)
    return out


def _command(message: object, primitive: object) -> bytes:
    message.primitive_to_message(primitive)  # type: ignore[attr-defined]
    message.command_set.CommandDataSetType = 1  # type: ignore[attr-defined]
    encoded = dsutils.encode(message.command_set, True, True)  # type: ignore[attr-defined]
    assert encoded is not None
    return encoded


def find_command(abstract_syntax: str) -> bytes:
    """The command set of a C-FIND-RQ."""
    primitive = C_FIND()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.Priority = 1, abstract_syntax, 2
    return _command(C_FIND_RQ(), primitive)


def store_command(abstract_syntax: str, uid: str) -> bytes:
    """The command set of a C-STORE-RQ."""
    primitive = C_STORE()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.Priority = 1, abstract_syntax, 2
    primitive.AffectedSOPInstanceUID = uid
    return _command(C_STORE_RQ(), primitive)


def encoded(dataset: Dataset, *, is_implicit: bool) -> bytes:
    """A data set, little endian."""
    data = dsutils.encode(dataset, is_implicit, True)
    assert data is not None
    return data


class Client:
    """One association."""

    def __init__(self, port: int, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", 262_144)
        self._socket.sendall(request)
        kind, body = self._pdu()
        if kind != 2:
            raise RuntimeError(f"no association: PDU {kind}, {body.hex()}")
        at = body.index(b"\x51\x00\x00\x04", 68)
        self.length_max = struct.unpack(">L", body[at + 4 : at + 8])[0] or 1_048_576

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._file.read(6))
        return kind, self._file.read(length)

    def send(self, pdus_: Sequence[bytes]) -> None:
        """All of them at once."""
        self._socket.sendall(b"".join(pdus_))

    def send_views(self, views: Sequence[bytes | memoryview]) -> None:
        """Without a copy."""
        waiting = [memoryview(view) for view in views]
        while waiting:
            sent = self._socket.sendmsg(waiting[:512])
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if sent:
                waiting[0] = waiting[0][sent:]

    def status(self) -> int:
        """The next response's status; its data set is left unread."""
        while True:
            kind, body = self._pdu()
            if kind != 4:
                raise RuntimeError(f"PDU {kind}: {body.hex()}")
            if body[5] & 1:
                at = body.index(_STATUS) + 8
                return int(struct.unpack("<H", body[at : at + 2])[0])

    def find(self, request: Sequence[bytes]) -> int:
        """Number of answers."""
        self.send(request)
        answers = 0
        while (status := self.status()) in {0xFF00, 0xFF01}:
            answers += 1
        if status:
            raise RuntimeError(f"status {status:04x}")
        return answers

    def close(self) -> None:
        """Release."""
        self._socket.sendall(RELEASE)
        self._pdu()
        self._file.close()
        self._socket.close()
