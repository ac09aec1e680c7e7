"""Association requests as machines of all makers write them: what is not known is passed over. Pure."""

from __future__ import annotations

import struct

import pytest

from xraydesk.links.dicom.negotiation import accept, offered_contexts, read_proposal
from xraydesk.links.dicom.pdus import BrokenPdu
from xraydesk.links.dicom.service import Service

ECHO, IMAGE, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.5.1.4.1.1.1", b"1.2.840.10008.1.2"
TITLE = b"XRAYDESK".ljust(16)


def item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(data)) + data


def context(number: int, abstract: bytes, *syntaxes: bytes) -> bytes:
    parts = item(0x30, abstract) + b"".join(item(0x40, syntax) for syntax in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + parts)


def role(scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(IMAGE)) + IMAGE + bytes([scu, scp]))


LENGTH = item(0x51, struct.pack(">L", 16_384))
APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")


def request(
    *parts: bytes,
    calling: bytes = b"XR1".ljust(16),
    called: bytes = TITLE,
    contexts: bytes = context(1, ECHO, IMPLICIT),
    beside: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ with these parts in its user information, and what stands beside that."""
    body = struct.pack(">HH", 1, 0) + called + calling + bytes(32)
    body += APPLICATION + contexts + item(0x50, b"".join(parts)) + beside
    return struct.pack(">BxL", 1, len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        request(LENGTH, item(0x5A, b"abc")),
        request(LENGTH, beside=item(0x60, b"abc")),
        request(LENGTH, item(0x55, b"A name that is too long")),
        request(LENGTH, item(0x55, b"Ger\xe4t")),
        request(LENGTH, item(0x52, b"1." + b"2" * 70)),
        request(LENGTH, item(0x58, b"\x09\x01\x00\x03bob\x00\x00")),
        request(LENGTH, item(0x53, b"\x00\x00\x00\x00"), role(2, 3)),
    ],
    ids=["part", "item", "long name", "letters", "long UID", "identity", "window and role"],
)
def test_what_the_desk_does_not_know_or_use_ends_no_association(data: bytes) -> None:
    """PS3.8 section 9.3.1: items that are not known are ignored."""
    proposal = read_proposal(data, "10.0.0.1")
    assert (proposal.called_ae, proposal.caller.calling_ae, proposal.length_max) == (
        "XRAYDESK",
        "XR1",
        16_384,
    )
    assert proposal.caller.abstract_syntaxes == {ECHO.decode()}


@pytest.mark.parametrize(
    ("field", "title"),
    [
        (b"XR1".ljust(16), "XR1"),
        (b"XR1".ljust(16, b"\0"), "XR1"),
        (b"XR1 \0garbage".ljust(16), "XR1"),
        (b"  XR1".ljust(16), "XR1"),
        (b"R\xd6NTGEN".ljust(16), "RÖNTGEN"),
        (b"A\\B\t1".ljust(16), "A\\B\t1"),
        (b" " * 16, ""),
    ],
)
def test_an_ae_title_is_read_as_it_came_and_goes_back_so(field: bytes, title: str) -> None:
    """Whether anybody is called so is for the site to say, not for the reader: the caller is told why."""
    proposal = read_proposal(request(LENGTH, calling=field, called=TITLE), "10.0.0.1")
    assert proposal.caller.calling_ae == title
    answer, _ = accept(proposal, [])
    assert answer[10:42] == TITLE + field


def test_each_context_has_an_answer_of_its_own() -> None:
    verification = Service("echo", lambda _: None, frozenset(), (ECHO.decode(),), (IMPLICIT.decode(),))  # type: ignore[arg-type, return-value]
    contexts = (
        context(1, b"1.2.3.4", IMPLICIT)
        + context(3, ECHO, b"1.2.3.4.5")
        + context(5, ECHO, b"1.2.3.4.5", IMPLICIT)
        + context(7, b"no UID", IMPLICIT)
    )
    proposal = read_proposal(request(LENGTH, contexts=contexts), "10.0.0.1")
    answer, accepted = accept(proposal, offered_contexts({ECHO.decode(): verification}))
    assert {number: c.abstract_syntax for number, c in accepted.items()} == {5: ECHO.decode()}
    results = {}
    at = 74
    while at < len(answer):
        kind, length = struct.unpack_from(">BxH", answer, at)
        if kind == 0x21:
            results[answer[at + 4]] = answer[at + 6]
        at += 4 + length
    # PS3.8 table 9-18: 3 is an abstract syntax that is not known, 4 are transfer syntaxes that are not taken.
    assert results == {1: 3, 3: 4, 5: 0, 7: 3}


def test_a_peer_without_a_limit_or_any_user_information_is_taken() -> None:
    assert read_proposal(request(), "10.0.0.1").length_max == 0
    body = request()[:-4]
    assert read_proposal(body, "10.0.0.1").length_max == 0


@pytest.mark.parametrize(
    "data",
    [
        request(item(0x51, struct.pack(">L", 7))),
        request(item(0x51, b"\0")),
        request(LENGTH)[:-1],
        request(LENGTH, beside=b"\x60\x00"),
        request(LENGTH, contexts=context(1, ECHO)),
        request(LENGTH, contexts=context(2, ECHO, IMPLICIT)),
        request(LENGTH)[:60],
    ],
    ids=["tiny", "short length", "cut", "half an item", "nothing proposed", "even number", "no items"],
)
def test_what_cannot_be_read_is_no_request(data: bytes) -> None:
    with pytest.raises(BrokenPdu):
        read_proposal(data, "10.0.0.1")
