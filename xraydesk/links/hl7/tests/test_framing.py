"""Frames and what is none, without a socket."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.hl7.framing import NOISE_BYTES_MAX, Broken, Deframer, Event, Fault, Frame, framed

MESSAGE = b"MSH|^~\\&|A\rPID|1\r"
payloads = st.binary(min_size=1, max_size=60).filter(
    lambda b: not {0x0B, 0x1C} & set(b) and b.strip(b"\r\n\x00 \t") != b""
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(payloads, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_out_whole_wherever_they_were_cut(messages: list[bytes], places: list[int]) -> None:
    """Row 9: frame split at any byte."""
    deframer = Deframer(1000)
    events: list[Event] = []
    for part in cut(b"".join(framed(m) for m in messages), places):
        events += deframer.feed(part)
    assert events == [Frame(m) for m in messages]
    assert not deframer.begun
    assert deframer.give_up(Fault.CUT_OFF) == []


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_make_it_fail_or_grow(parts: list[bytes]) -> None:
    """Row 11: bounded buffer."""
    deframer = Deframer(50)
    for part in parts:
        for event in deframer.feed(part):
            assert len(event.payload) <= NOISE_BYTES_MAX
    deframer.give_up(Fault.NOT_ENDED)
    assert not deframer.begun


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b"\x00\x00", b" "])
def test_what_lies_between_frames_means_nothing(between: bytes) -> None:
    """Row 10: LF or NUL between frames."""
    events = Deframer(1000).feed(between + framed(MESSAGE) + between + framed(MESSAGE) + between)
    assert events == [Frame(MESSAGE)] * 2


def test_a_cr_that_is_left_out_after_fs_is_no_error() -> None:
    assert Deframer(1000).feed((b"\x0b" + MESSAGE + b"\x1c") * 2) == [Frame(MESSAGE)] * 2


def test_an_empty_frame_is_nothing() -> None:
    assert Deframer(1000).feed(framed(b"\r\n")) == []


def test_noise_before_a_frame_comes_out_and_nobody_waits_for_an_answer() -> None:
    events = Deframer(1000).feed(b"hello" + framed(MESSAGE))
    assert events == [Broken(Fault.NO_START, b"hello", answered=False), Frame(MESSAGE)]


def test_a_message_without_vt_is_answered() -> None:
    assert Deframer(1000).feed(framed(MESSAGE)[1:]) == [Broken(Fault.NO_START, MESSAGE)]


def test_noise_without_end_is_kept_up_to_its_limit() -> None:
    deframer = Deframer(1000)
    for _ in range(3):
        assert deframer.feed(b"x" * NOISE_BYTES_MAX) == []
    assert deframer.begun
    assert deframer.feed(framed(MESSAGE)) == [
        Broken(Fault.NO_START, b"x" * NOISE_BYTES_MAX, answered=False),
        Frame(MESSAGE),
    ]


def test_messages_that_lost_their_fs_come_out_before_the_one_that_has_it() -> None:
    data = b"\x0b" + MESSAGE + b"\x0bMSH|2\r" + framed(MESSAGE)
    assert Deframer(1000).feed(data) == [
        Broken(Fault.NO_END, MESSAGE),
        Broken(Fault.NO_END, b"MSH|2\r"),
        Frame(MESSAGE),
    ]


def test_a_vt_inside_text_is_text() -> None:
    assert Deframer(1000).feed(framed(b"MSH|a\x0bb\r")) == [Frame(b"MSH|a\x0bb\r")]


def test_a_doubled_vt_is_no_error() -> None:
    assert Deframer(1000).feed(b"\x0b" + framed(MESSAGE)) == [Frame(MESSAGE)]


@pytest.mark.parametrize("size", [20, 21])
def test_a_message_above_the_limit_is_cut_and_ends_the_reading(size: int) -> None:
    """Row 12: above the cap."""
    deframer = Deframer(20)
    events = deframer.feed(b"\x0b" + b"x" * 10) + deframer.feed(
        b"x" * (size - 10) + b"\x1c\r" + framed(MESSAGE)
    )
    if size == 20:
        assert events == [Frame(b"x" * 20), Frame(MESSAGE)]
    else:
        assert events == [Broken(Fault.TOO_LONG, b"x" * 20)]


def test_what_is_left_over_says_why() -> None:
    deframer = Deframer(1000)
    deframer.feed(b"\x0bMSH")
    assert deframer.begun
    assert deframer.give_up(Fault.NOT_ENDED) == [Broken(Fault.NOT_ENDED, b"MSH")]
    deframer.feed(b"noise")
    assert deframer.give_up(Fault.CUT_OFF) == [Broken(Fault.NO_START, b"noise", answered=False)]


@pytest.mark.parametrize("filling", [b"\x0b\x1c", b"\x0bMSH", b"x\x1c", b"\x0bx\x1c"])
def test_no_filling_takes_long_to_take_apart(filling: bytes) -> None:
    started = time.monotonic()
    deframer = Deframer(1_000_000)
    deframer.feed(filling * 20_000)
    assert time.monotonic() - started < 5
