from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.dicom.pdus import (
    ASSOCIATE_BYTES_MAX,
    DATA_BYTES_MAX,
    P_DATA,
    BrokenPdu,
    Pdu,
    PduReader,
    Piece,
    data_pdus,
)


def _read(reader, data):
    return [*reader.feed(memoryview(data))]


def _message(items):
    """What was said, pieces of one value put together."""
    values, held = [], b""
    for item in items:
        if isinstance(item, Pdu):
            if item.type != P_DATA:
                values.append(item)
            continue
        held += item.data
        if item.is_end:
            values.append((item.context_id, item.is_command, item.is_last, held))
            held = b""
    return values


@given(st.binary(max_size=400), st.integers(8, 90), st.lists(st.integers(1, 50), max_size=200))
def test_data_cut_anywhere_comes_out_as_it_went_in(data, length_max, cuts):
    wire = b"".join(data_pdus(3, data, is_command=False, length_max=length_max)) + bytes(
        [5, 0, 0, 0, 0, 4, 0, 0, 0, 0]
    )
    reader, items = PduReader(), []
    for cut in [*cuts, len(wire)]:
        items += [item._replace(data=bytes(item.data)) for item in _read(reader, wire[:cut])]
        wire = wire[cut:]
    *values, released = _message(items)
    assert released == Pdu(5, bytes([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
    assert b"".join(value for *_, value in values) == data
    assert [is_last for _, _, is_last, _ in values] == [False] * (len(values) - 1) + [True]
    assert reader.is_between_pdus


@given(st.binary(max_size=300))
def test_noise_is_refused_or_waits_and_never_fails_otherwise(noise):
    with suppress(BrokenPdu):
        _read(PduReader(), noise)


@pytest.mark.parametrize(
    "head",
    [
        b"\x04\x00\xff\xff\xff\xff",
        b"\x01\x00\xff\xff\xff\xff",
        struct.pack(">BxL", 4, DATA_BYTES_MAX + 1),
        struct.pack(">BxL", 1, ASSOCIATE_BYTES_MAX + 1),
        struct.pack(">BxL", 5, 5),
        struct.pack(">BxL", 7, 3),
        struct.pack(">BxL", 4, 5),
        b"\x08\x00\x00\x00\x00\x04",
        b"\x00\x00\x00\x00\x00\x04",
        b"GET / ",
    ],
)
def test_a_header_that_claims_too_much_or_nothing_known_is_refused_at_once(head):
    """Row 24: a length of 0xFFFFFFFF is refused when its header is read, before any byte of it."""
    with pytest.raises(BrokenPdu):
        _read(PduReader(), head)


@pytest.mark.parametrize(
    "value", [struct.pack(">LBB", 1, 1, 2), struct.pack(">LBB", 90, 1, 2), struct.pack(">LBB", 3, 1, 2)]
)
def test_a_value_that_does_not_fit_its_pdu_is_refused(value):
    with pytest.raises(BrokenPdu):
        _read(PduReader(), struct.pack(">BxL", 4, 12) + value + b"x" * 6)


def test_an_empty_value_is_a_piece_too():
    items = _read(PduReader(), struct.pack(">BxLLBB", 4, 6, 2, 1, 3))
    assert items[1] == Piece(1, True, True, memoryview(b""), True)


def test_a_peer_that_takes_nothing_is_refused():
    with pytest.raises(BrokenPdu):
        [*data_pdus(1, b"x", is_command=True, length_max=6)]


def test_a_peer_without_a_limit_gets_the_desks_own():
    (pdu,) = data_pdus(1, b"x" * 100, is_command=True, length_max=0)
    assert len(pdu) == 112


def test_a_data_pdu_without_its_last_bytes_waits():
    reader = PduReader()
    (pdu,) = data_pdus(1, b"abcdef", is_command=False, length_max=100)
    assert len(_read(reader, pdu[:14])) == 2
    assert not reader.is_between_pdus
    assert _read(reader, pdu[14:])[0].is_end
    assert reader.is_between_pdus


def test_a_data_pdu_may_hold_several_values():
    values = b"".join(struct.pack(">LBB", 3, 1, control) + b"x" for control in (3, 2))
    items = _read(PduReader(), struct.pack(">BxL", 4, len(values)) + values)
    assert [(item.is_command, item.is_end) for item in items[1:]] == [(True, True), (False, True)]
