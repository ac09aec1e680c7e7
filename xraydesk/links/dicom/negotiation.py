"""Reads association requests and writes their answers, by pynetdicom's classes (PS3.8 section 9.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom import pdu as pdus
from pynetdicom.pdu_primitives import (
    A_ABORT,
    A_ASSOCIATE,
    A_P_ABORT,
    A_RELEASE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from xraydesk.links.dicom.admission import Caller
from xraydesk.links.dicom.pdus import DATA_BYTES_MAX, BrokenPdu
from xraydesk.links.dicom.service import Service

IMPLEMENTATION_UID = "2.25.219264531734508221385931467281135210271"
IMPLEMENTATION_VERSION = "XRAYDESK_1"
UNEXPECTED_PDU, INVALID_VALUE, NOT_SPECIFIED = 2, 6, 0

_TITLES, _ITEMS = slice(10, 42), slice(74, None)
_TITLE_BYTES = 16
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_LENGTH_MAX, _ROLE = 0x51, 0x54
_ITEM_HEAD = struct.Struct(">BxH")


@dataclass(frozen=True)
class Proposal:
    """An A-ASSOCIATE-RQ that was read; `titles` are both AE titles as they came."""

    primitive: A_ASSOCIATE
    titles: bytes
    called_ae: str
    length_max: int
    caller: Caller


@dataclass(frozen=True)
class Context:
    """One accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


def read_proposal(data: bytes, address: str) -> Proposal:
    """What an A-ASSOCIATE-RQ asks for; raises `BrokenPdu`.

    An AE title is whatever came before a NUL, as bytes of Latin-1: whether anybody is called so is for
    `admission` to say. Items that this desk does not know or use are passed over (PS3.8 section 9.3.1).
    """
    if len(data) < _ITEMS.start:
        raise BrokenPdu("an association request is longer than that")
    titles = data[_TITLES]
    try:
        pdu = pdus.A_ASSOCIATE_RQ()
        pdu.decode(
            data[: _TITLES.start]
            + b"?".ljust(_TITLE_BYTES) * 2
            + data[_TITLES.stop : _ITEMS.start]
            + _read_items(data[_ITEMS])
        )
        primitive = pdu.to_primitive()
        contexts = primitive.presentation_context_definition_list
        caller = Caller(
            calling_ae=_title(titles[_TITLE_BYTES:]),
            address=address,
            application_context=str(primitive.application_context_name),
            abstract_syntaxes=frozenset(str(context.abstract_syntax) for context in contexts),
        )
        length_max = _length_max(primitive)
    except Exception as error:  # any broken bytes from outside end here, and then the association
        raise BrokenPdu(f"no association request ({type(error).__name__})") from None
    if not all(context.abstract_syntax and context.transfer_syntax for context in contexts):
        raise BrokenPdu("a presentation context proposes nothing")
    if 0 < length_max < 8:
        raise BrokenPdu("the peer takes no data at all")
    return Proposal(primitive, titles, _title(titles[:_TITLE_BYTES]), length_max, caller)


def _title(field: bytes) -> str:
    """An AE title out of its sixteen bytes; some machines fill it up with NULs."""
    return field.partition(b"\0")[0].decode("latin-1").strip()


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes, head included, of one item after another."""
    start = 0
    while start < len(data):
        kind, length = _ITEM_HEAD.unpack_from(data, start)
        end = start + _ITEM_HEAD.size + length
        if end > len(data):
            raise BrokenPdu("an item is longer than what holds it")
        yield kind, data[start:end]
        start = end


def _read_items(data: bytes) -> bytes:
    """The items of a request that this desk reads: pynetdicom takes none that it does not know."""
    kept = bytearray()
    for kind, item in _items(data):
        if kind == _USER_INFORMATION:
            told = b"".join(part for below, part in _items(item[_ITEM_HEAD.size :]) if _is_read(below, part))
            kept += _ITEM_HEAD.pack(kind, len(told)) + told
        elif kind in {_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT}:
            kept += item
    return bytes(kept)


def _is_read(kind: int, part: bytes) -> bool:
    """True for the parts of a user information item that are read: the longest PDU, and roles that are some."""
    return kind == _LENGTH_MAX or (kind == _ROLE and all(role <= 1 for role in part[-2:]))


def _length_max(primitive: A_ASSOCIATE) -> int:
    for item in primitive.user_information:
        if isinstance(item, MaximumLengthNotification):
            return int(item.maximum_length_received)
    return 0


def offered_contexts(services: Mapping[str, Service]) -> list[PresentationContext]:
    """What the desk can do, for `accept`. Both roles only where a peer may send us its notices."""
    contexts = []
    for abstract_syntax, service in services.items():
        context = PresentationContext()
        context.abstract_syntax = UID(abstract_syntax)
        context.transfer_syntax = [UID(syntax) for syntax in service.transfer_syntaxes]
        if "N_EVENT_REPORT" in service.commands:
            context.scu_role = context.scp_role = True
        contexts.append(context)
    return contexts


def accept(proposal: Proposal, offered: list[PresentationContext]) -> tuple[bytes, dict[int, Context]]:
    """The A-ASSOCIATE-AC, and the accepted contexts by their number."""
    asked = proposal.primitive
    roles = {
        item.sop_class_uid: (item.scu_role, item.scp_role)
        for item in asked.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation)
    }
    results, role_items = negotiate_as_acceptor(asked.presentation_context_definition_list, offered, roles)
    answer = A_ASSOCIATE()
    answer.application_context_name = asked.application_context_name
    answer.calling_ae_title = asked.calling_ae_title
    answer.called_ae_title = asked.called_ae_title
    answer.result, answer.result_source = 0, 1
    answer.presentation_context_definition_results_list = results
    answer.user_information = _user_information(role_items)
    pdu = pdus.A_ASSOCIATE_AC()
    pdu.from_primitive(answer)
    encoded = bytes(pdu.encode())
    accepted = {
        context.context_id: Context(str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in results
        if context.result == 0
    }
    # The titles go back as they came (PS3.8 table 9-17).
    return encoded[: _TITLES.start] + proposal.titles + encoded[_TITLES.stop :], accepted


def _user_information(role_items: Sequence[SCP_SCU_RoleSelectionNegotiation]) -> list[object]:
    length = MaximumLengthNotification()
    length.maximum_length_received = DATA_BYTES_MAX
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    return [length, implementation, version, *role_items]


def reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    answer = A_ASSOCIATE()
    answer.result, answer.result_source, answer.diagnostic = result, source, reason
    pdu = pdus.A_ASSOCIATE_RJ()
    pdu.from_primitive(answer)
    return bytes(pdu.encode())


def release() -> bytes:
    """An A-RELEASE-RP."""
    answer = A_RELEASE()
    answer.result = "affirmative"
    pdu = pdus.A_RELEASE_RP()
    pdu.from_primitive(answer)
    return bytes(pdu.encode())


def abort(reason: int, *, by_service: bool = False) -> bytes:
    """An A-ABORT, from the provider with a reason (PS3.8 table 9-26), or from the service itself."""
    pdu = pdus.A_ABORT_RQ()
    if by_service:
        primitive = A_ABORT()
        primitive.abort_source = 0
    else:
        primitive = A_P_ABORT()
        primitive.provider_reason = reason
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())
