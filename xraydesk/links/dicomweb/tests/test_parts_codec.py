"""Answers in parts: taken apart however their bytes come, and refused where they are broken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xraydesk.links.dicomweb.parts_codec import (
    PARTS_MAX,
    BadParts,
    Begins,
    Ends,
    Goes,
    PartReader,
    boundary_of,
)

BOUNDARY = b"a-boundary"
DICOM_HEADER = b"Content-Type: Application/DICOM; transfer-syntax=1.2\r\nContent-Location: x\r\n"


def message(*parts: bytes, header: bytes = DICOM_HEADER, last: bytes = b"--\r\n") -> bytes:
    return b"".join(b"\r\n--%b\r\n%b\r\n%b" % (BOUNDARY, header, part) for part in parts) + (
        b"\r\n--%b%b" % (BOUNDARY, last)
    )


def taken(*pieces: bytes) -> list[tuple[str, bytes]]:
    """The parts of a message that comes in pieces, each with its type."""
    reader, parts, open_ = PartReader(BOUNDARY), [], False
    for piece in pieces:
        for event in reader.feed(piece):
            match event:
                case Begins(content_type):
                    assert not open_
                    parts.append((content_type, b""))
                    open_ = True
                case Goes(data):
                    assert open_
                    parts[-1] = (parts[-1][0], parts[-1][1] + data)
                case Ends():
                    open_ = False
    reader.finish()
    return parts


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=6))
@example([b"", b"\r\n--a-boundar", b"\r\n\r\n--"], [1, 2, 3, 50, 51])
def test_parts_come_out_as_they_went_in_wherever_the_pieces_end(parts: list[bytes], cuts: list[int]) -> None:
    whole = message(*parts)
    if any(BOUNDARY in part for part in parts):
        return
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places)]
    assert taken(*pieces) == [("application/dicom", part) for part in parts]


def test_a_message_without_a_line_before_its_first_boundary_is_read_and_what_follows_the_last_is_none() -> (
    None
):
    whole = message(b"one")[2:]
    assert taken(whole, b"an epilogue") == [("application/dicom", b"one")]
    assert taken(message(b"one", header=b"X: y\r\n")) == [("", b"one")]
    assert taken(message(b"one", header=b"")) == [("", b"one")]


@pytest.mark.parametrize(
    ("whole", "why"),
    [
        (b"", "broke off"),
        (message(b"one", last=b""), "broke off"),
        (message(b"one")[:40], "broke off"),
        (message(b"one", last=b"\r\n"), "broke off"),
        (b"\r\n--another\r\n\r\none", "broken"),
        (b"hello\r\n" + message(b"one"), "broken"),
        (message(b"one", header=b"no colon\r\n"), "broken"),
        (message(b"one", header=b"A: " + b"b" * 5000 + b"\r\n"), "broken"),
        (message(b"one", header=b"A: b\r\n" * 17), "broken"),
        (message(*[b""] * (PARTS_MAX + 1)), "more than 2,500 parts"),
    ],
)
def test_what_is_broken_is_refused_with_the_reason(whole: bytes, why: str) -> None:
    with pytest.raises(BadParts, match=why):
        taken(whole)


@pytest.mark.parametrize(
    "said",
    [
        'multipart/related; type="application/dicom"; boundary=a-boundary',
        "Multipart/Related;boundary=a-boundary;type=APPLICATION/DICOM",
        'multipart/related; boundary="a-boundary"',
    ],
)
def test_the_boundary_is_read_of_the_content_type(said: str) -> None:
    assert boundary_of(said) == BOUNDARY


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "answers with text/plain"),
        ("application/dicom", "not with parts"),
        ("text/html; charset=utf-8", "answers with text/html"),
        ('multipart/related; type="application/dicom+xml"; boundary=x', "not application/dicom"),
        ("multipart/related; type*=utf-8''x; boundary=x", "not application/dicom"),
        ("multipart/related", "does not say"),
        ("multipart/related; boundary=" + "x" * 71, "does not say"),
        ("multipart/related; boundary*=utf-8''%C3%A4", "does not say"),
    ],
)
def test_an_answer_that_is_none_in_parts_is_refused_with_the_reason(said: str, why: str) -> None:
    with pytest.raises(BadParts, match=why):
        boundary_of(said)


@given(st.lists(st.binary(max_size=80), max_size=5), st.booleans())
@example([b"\r\n--a-boundary\r\n: \r\n"], False)
@example([b"--a-boundary\r", b"\nA: b\r", b"\n\r\nx\r\n--a-boundary-", b"-"], True)
def test_whatever_bytes_come_they_are_parts_or_refused(pieces: list[bytes], begins: bool) -> None:
    try:
        parts = taken(*([b"\r\n--a-boundary\r\n"] if begins else []), *pieces)
    except BadParts:
        return
    assert all(isinstance(data, bytes) for _, data in parts)
