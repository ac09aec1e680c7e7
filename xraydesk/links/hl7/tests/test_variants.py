"""Real messages, changed as wires, editors and engines change them: no crash, no loss, the right answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.factories import AT, make_site
from tests.properties import tried
from tests.shared_data import ROOT
from xraydesk.links.hl7.describe import describe
from xraydesk.links.hl7.partners import UNKNOWN, Partner
from xraydesk.links.hl7.reader import Unreadable, read_batch
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.hl7.tests.sent import adt, order, result
from xraydesk.links.models import Message

FILES = sorted((ROOT / "hl7").rglob("*.*")) if (ROOT / "hl7").exists() else []
OWN = [
    order(control="C1"),
    adt("A08", control="C2"),
    result(control="C3"),
    order(control="C4", extra="OBR|2|P1^EHR"),
]
SMALL_BYTES = 20_000
ALL_SENDERS = replace(UNKNOWN, name="EHR", kind="orders")


def readable(raw: bytes) -> bool:
    try:
        return bool(describe(raw))
    except Unreadable:
        return False


REAL = [f.read_bytes() for f in FILES if f.is_file() and f.stat().st_size < SMALL_BYTES]
SOURCES = [raw for raw in REAL if readable(raw)] + [text.encode() for text in OWN]


def holds_several(raw: bytes) -> bool:
    """True where each message is kept by itself: of a batch, a file, a feed log."""
    batch = read_batch(raw) if readable(raw) else None
    return batch is not None and (len(batch.messages) > 1 or batch.enveloped)


def lines(raw: bytes) -> list[bytes]:
    return [line for line in re.split(rb"[\r\n]+", raw) if line.strip()]


MARKED = "\ufeff".encode() + order(control="C5").replace("|", "\x80", 1).encode("latin-1")
"""A byte-order mark before what is not UTF-8."""
UNNAMED = order(control=" ").encode()
TWICE = order(control="C6").encode() * 2
"""Several messages at once, of which one is kept: the other is the same again."""

SAME: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda raw: b"\n".join(lines(raw)) + b"\n",
    "CR": lambda raw: b"\r".join(lines(raw)) + b"\r",
    "CR LF": lambda raw: b"\r\n".join(lines(raw)) + b"\r\n",
    "empty lines": lambda raw: b"\r\r\n".join(lines(raw)) + b"\r\n\r\n",
    "byte-order mark": lambda raw: b"\xef\xbb\xbf" + raw if raw.isascii() else raw,
    "framed": lambda raw: b"\x0b" + raw + b"\x1c\r",
    "no end": lambda raw: raw.rstrip(b"\r\n"),
}
"""Changes that mean nothing."""


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A message cut short, with lines left out, doubled or swapped, bytes changed, or in another character set."""
    raw = draw(st.sampled_from(SOURCES))
    kind = draw(st.sampled_from(["cut", "left out", "doubled", "swapped", "bytes", "charset", "separators"]))
    parts = lines(raw)
    at = draw(st.integers(0, len(parts) - 1))
    if kind == "cut":
        return raw[: draw(st.integers(0, len(raw)))]
    if kind == "left out":
        return b"\r".join(parts[:at] + parts[at + 1 :])
    if kind == "doubled":
        return b"\r".join(parts[: at + 1] + parts[at:])
    if kind == "swapped":
        return b"\r".join(parts[:at] + parts[at:][::-1])
    if kind == "bytes":
        place = draw(st.integers(0, len(raw) - 1))
        return raw[:place] + draw(st.binary(min_size=1, max_size=4)) + raw[place + 1 :]
    if kind == "charset":
        return raw.decode("utf-8", "replace").encode(
            draw(st.sampled_from(["utf-16", "cp1252", "koi8-r", "utf-8"])), "replace"
        )
    return raw.replace(b"^", draw(st.sampled_from([b"|", b"&", b"~", b"\\", b"*"])))


@pytest.mark.parametrize("change", SAME)
def test_what_means_nothing_changes_nothing(change: str) -> None:
    for raw in SOURCES:
        assert describe(SAME[change](raw)) == describe(raw)


@example(MARKED)
@given(broken())
def test_whatever_was_done_to_a_message_it_is_read_or_refused_with_a_reason(raw: bytes) -> None:
    if not readable(raw):
        with pytest.raises(Unreadable, match=r"\w"):
            read_batch(raw)
        return
    assert read_batch(raw).messages


@pytest.mark.django_db
@settings(max_examples=tried(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(raw=MARKED)
@example(raw=UNNAMED)
@example(raw=TWICE)
@given(raw=broken())
def test_whatever_was_done_to_a_message_it_is_kept_as_it_came_and_answered(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction.atomic():
        site = make_site()
        monkeypatch.setattr(
            "xraydesk.links.hl7.partners.Directory.partner_of", lambda *_: Partner(site, ALL_SENDERS)
        )
        answers = Receiver().receive(raw, peer=Peer(), at=AT)
        rows = list(Message.objects.order_by("id"))
        assert rows
        if not holds_several(raw):
            assert [bytes(row.raw) for row in rows] == [raw]
        for row in rows:
            assert "The desk failed" not in row.why
            assert row.ack or row.state == "kept, nothing to do" or not answers
        codes = re.findall(rb"MSA\W(..)", b"".join(answers))
        assert set(codes) <= {b"AA", b"AE", b"AR", b"CA", b"CE", b"CR"}
        again = Receiver().receive(raw, peer=Peer(), at=AT)
        assert re.findall(rb"MSA\W(..)", b"".join(again)) == codes
        transaction.set_rollback(True)


def test_the_real_files_are_among_them_where_they_are_present() -> None:
    if not FILES:
        pytest.skip("the real files of other vendors are absent here")
    assert len(SOURCES) > len(OWN) + 100
    assert isinstance(FILES[0], Path)
