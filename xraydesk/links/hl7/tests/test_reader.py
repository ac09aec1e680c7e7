"""Messages in all their dialects, read; values of every kind, written and read again."""

from __future__ import annotations

import time
from encodings.aliases import aliases

import pytest
from hl7apy.core import Message as OracleMessage
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.hl7.charset import codec_of, decoded
from xraydesk.links.hl7.reader import (
    NOWHERE,
    Segment,
    Separators,
    Unreadable,
    escaped,
    header_line,
    read_batch,
    read_header,
    read_message,
    unescaped,
    written,
)
from xraydesk.links.hl7.tests.sent import order

USUAL = Separators()
OTHER = Separators("#", "*", "!", "/", "%")
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=30)
nasty = st.text("|^~\\&\r\n\x0b\x1cX0D.brEFSTR#*!/%", max_size=20)
values = st.one_of(texts, nasty)


@given(values, st.sampled_from([USUAL, OTHER]))
def test_whatever_a_value_holds_it_is_read_as_it_was_written(value: str, separators: Separators) -> None:
    """Row 14: escapes, bare &, CR inside text; round-trips."""
    assert unescaped(escaped(value, separators), separators) == value


@given(st.lists(values, min_size=1, max_size=6), st.sampled_from([USUAL, OTHER]))
def test_a_value_cannot_add_a_segment_a_field_or_a_component(
    given: list[str], separators: Separators
) -> None:
    """Row 14: cannot add a segment."""
    pid = written("PID", [*given, given, tuple(given)], separators).text()
    mark = separators.field
    raw = f"MSH{mark}{separators.declared()}\r{pid}\r".encode()
    message = read_message(raw)
    assert [s.name for s in message.segments] == ["MSH", "PID"]
    segment = message.first("PID")
    assert len(segment.fields) == len(given) + 2
    for number, value in enumerate(given, 1):
        expected = "" if value == '""' else value
        assert segment.get(number) == expected
        assert segment.get(len(given) + 1, number) == expected


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_other_than_by_saying_so(raw: bytes) -> None:
    try:
        for message in read_batch(b"MSH|^~\\&|" + raw).messages:
            for segment in message.segments:
                for number in range(1, len(segment.fields) + 2):
                    segment.get(number, 2, 2, repetition=2)
    except Unreadable:
        pass


@given(
    st.sampled_from([*sorted(set(aliases.values())), "hex", "rot13", "undefined", "a\x00b", "x" * 999]),
    st.binary(max_size=50),
)
def test_no_name_of_a_character_set_makes_the_reader_fail(name: str, more: bytes) -> None:
    raw = (
        b"MSH|^~\\&"
        + b"|" * 16
        + name.encode()
        + b"|"
        + more.replace(b"\r", b"").replace(b"\n", b"")
        + b"\rPID|1\r"
    )
    for fallback in ("iso8859-1", name):
        try:
            assert read_batch(raw, fallback=fallback).messages
        except Unreadable:
            assert more


def test_it_reads_what_an_independent_reader_reads() -> None:
    raw = order(control="C1", name="O\\T\\Neil&Junior^Ada~Smith^B", patient="1&2")
    ours = read_message(raw.encode())
    theirs: OracleMessage = parse_message(raw, find_groups=False)
    assert ours.header.get(10) == theirs.msh.msh_10.value
    assert ours.first("PID").get(5, 1, 2) == "Junior"
    assert theirs.pid.pid_5[0].xpn_1.fn_2.to_er7() == "Junior"
    assert ours.first("PID").get(5, 2, repetition=1) == theirs.pid.pid_5[0].xpn_2.to_er7()
    assert ours.first("PID").get(5, 1, repetition=2) == theirs.pid.pid_5[1].xpn_1.to_er7()
    assert [s.name for s in ours.segments] == [c.name for c in theirs.children]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r"])
def test_segments_may_end_in_any_way(end: str) -> None:
    message = read_message(end.join(["MSH|^~\\&|A", "PID|1", "ZZZ|x"]).encode())
    assert message.text() == "MSH|^~\\&|A\rPID|1\rZZZ|x\r"


def test_a_line_that_is_no_segment_is_kept_where_it_was() -> None:
    message = read_message(b"MSH|^~\\&|A\rPID|1\rand a line\rof text\rPV1|1\r")
    assert [s.name for s in message.segments] == ["MSH", "PID", "", "", "PV1"]
    assert "and a line\rof text\r" in message.text()
    assert message.segments[2].get(1) == "and a line"


def test_a_segment_without_fields_is_a_segment() -> None:
    assert read_message(b"MSH|^~\\&|A\rPID\r").first("PID").get(3) == ""


def test_what_is_not_there_is_empty() -> None:
    message = read_message(b"MSH|^~\\&|A\rPID|a^b&c~d\r")
    pid = message.first("PID")
    assert [pid.get(9), pid.get(0), pid.get(1, 9), pid.get(1, 2, 9), pid.get(1, repetition=9)] == [""] * 5
    assert (pid.get(1, 2, 2), pid.get(1, repetition=2)) == ("c", "d")
    assert message.first("PV1") is NOWHERE
    assert pid.get(1) == "a"


def test_an_explicit_null_reads_as_nothing() -> None:
    assert read_message(b'MSH|^~\\&|A\rPID|""|x^""\r').first("PID").get(1) == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("MSH|^~\\&|A", USUAL),
        ("MSH^~|\\&^A", Separators("^", "~", "|", "\\", "&")),
        ("MSH|^~\\\\&|A", USUAL),
        ("MSH|^~\\&#|A", USUAL),
        ("MSH||A", USUAL),
        ("MSH|*|A", Separators("|", "*", "~", "\\", "&")),
    ],
)
def test_the_separators_are_those_that_the_header_declares(line: str, expected: Separators) -> None:
    assert Separators.of_header(line) == expected


@pytest.mark.parametrize("raw", [b"", b"PID|1\r", b"MSH", b"MSHA^~", b"MSH \r", b"MSH\x01a", b"nothing"])
def test_bytes_without_a_header_are_no_message(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_header(raw)
    with pytest.raises(Unreadable):
        read_batch(raw)


def test_the_header_is_found_behind_a_byte_order_mark_and_empty_lines() -> None:
    assert header_line(b"\xef\xbb\xbfMSH|^~\\&|A\r") == "MSH|^~\\&|A"
    assert read_message(b"\xef\xbb\xbf\r\n MSH|^~\\&|\xc3\x84\rPID|1").header.get(3) == "Ä"


@pytest.mark.parametrize(
    ("sequence", "meant"),
    [
        ("\\F\\\\S\\\\T\\\\R\\\\E\\", "|^&~\\"),
        ("a\\.br\\b\\.sp2\\c\\.ce\\d", "a\nb\nc\nd"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\.in+4\\x", "x"),
        ("\\X0D\\\\XC3A4\\\\XE4\\", "\rää"),
        ("\\Z01\\", "\\Z01\\"),
        ("C:\\temp\\new", "C:\\temp\\new"),
        ("a\\", "a\\"),
        ("\\\\F\\", "\\|"),
        ("\\X0\\", "\\X0\\"),
        ("\\X00\\a", "a"),
    ],
)
def test_escape_sequences_are_resolved_and_others_kept(sequence: str, meant: str) -> None:
    assert unescaped(sequence, USUAL) == meant


def test_batches_files_and_feed_logs_give_their_messages() -> None:
    one, two = "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\r"
    batch = read_batch(f"FHS|^~\\&|F\rBHS|^~\\&|G\r{one}{two}BTS|2\rFTS|1\r".encode())
    assert [m.text() for m in batch.messages] == [one, two]
    assert batch.enveloped
    assert batch.header.name == "FHS"
    log = f"2024 INFO\n<SB>\n{one}<R>\n<EB><R>\n2024 INFO\n<SB>\n{two}<EB>".replace("\r", "<R>\n")
    assert [m.text() for m in read_batch(log.encode()).messages] == [one, two]
    assert [m.text() for m in read_batch(f"\x0b{one}\x1c\r\x0b{two}\x1c\r".encode()).messages] == [one, two]


def test_a_frame_of_too_many_messages_is_refused() -> None:
    with pytest.raises(Unreadable, match="in parts"):
        read_batch(b"MSH|^~\\&|A\r" * 5001)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (("BTS|2", "BTS|1"), ""),
        (("BTS|", "BTS|one"), ""),
        (("BTS|2", "BTS|4"), "has 4 messages, and 1 came"),
        (("BTS|9", "BTS|4"), "has 9 messages, and 2 came"),
    ],
)
def test_a_batch_whose_end_counts_otherwise_says_so(ends: tuple[str, str], told: str) -> None:
    one = "MSH|^~\\&|A\r"
    raw = f"FHS|^~\\&|F\rBHS|^~\\&|G\r{one}{one}{ends[0]}\rBHS|^~\\&|G\r{one}{ends[1]}\rFTS|2\r".encode()
    batch = read_batch(raw)
    assert len(batch.messages) == 3
    assert told in batch.miscount
    assert bool(batch.miscount) is bool(told)
    assert read_batch(f"\x0b{one}\x1c\rBTS|7\r".encode()).miscount == ""


@pytest.mark.parametrize(
    ("codec", "name"),
    [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("cp500", "EBCDIC"), ("ascii", "no MSH")],
)
def test_a_character_set_that_mllp_cannot_carry_is_called_by_its_name(codec: str, name: str) -> None:
    text = "nothing at all\r" if codec == "ascii" else "MSH|^~\\&|A\r"
    with pytest.raises(Unreadable, match=name):
        read_header(text.encode(codec))


def test_a_text_keeps_the_separators_that_its_sender_did_not_escape() -> None:
    """Row 14: bare `&`."""
    segment = read_message(b'MSH|^~\\&|A\rNTE|fall & hit\\E\\^left ~ arm|""~a^b & c^d').segments[1]
    assert segment.words(1) == "fall & hit\\^left "
    assert segment.words(1, repetition=2) == " arm"
    assert segment.words(1, 2) == "left "
    assert (segment.words(2), segment.words(2, 2, repetition=2)) == ("", "b & c")
    assert (segment.words(2, 4, repetition=2), segment.words(2, repetition=3), segment.words(9)) == (
        "",
        "",
        "",
    )


@pytest.mark.parametrize("filling", [b"\n", b" ", b"\n ", b"\\", b"\\X", b"<", b"MSH", b"|", b"\x0b"])
def test_no_filling_takes_long_to_read(filling: bytes) -> None:
    started = time.monotonic()
    for raw in (filling * 30_000, b"MSH|^~\\&|" + filling * 30_000):
        try:
            for segment in read_batch(raw).messages[0].segments[:3]:
                segment.get(3)
        except Unreadable:
            pass
    assert time.monotonic() - started < 5


def test_one_message_is_asked_for_and_two_are_too_many() -> None:
    with pytest.raises(Unreadable):
        read_message(b"MSH|^~\\&|A\rMSH|^~\\&|B\r")


def test_type_and_control_id_are_given_as_they_came() -> None:
    message = read_message(b"MSH|^~\\&|||||||ORU|  1 2|P\r")
    assert (message.type, message.control_id) == ("ORU", "  1 2")
    assert Segment("MSH", ("|", "^~\\&")).get(2) == "^~\\&"


def test_subcomponents_are_written_too() -> None:
    assert written("ERR", ["", ["A", ("b&", "c")]]).text() == "ERR||A^b\\T\\&c"


@pytest.mark.parametrize(
    ("raw", "said", "meant"),
    [
        ("Ä".encode(), ("", "iso8859-1"), ("Ä", "utf-8", False)),
        ("Ä".encode(), ("8859/1", "iso8859-1"), ("Ä", "utf-8", False)),
        ("Ä".encode("latin-1"), ("8859/1", "utf-8"), ("Ä", "iso8859-1", True)),
        ("Ä".encode("latin-1"), ("UNICODE UTF-8", "iso8859-1"), ("Ä", "iso8859-1", False)),
        ("Ł".encode("iso8859-2"), ("", "8859/2"), ("Ł", "iso8859-2", False)),
        ("Ä".encode("latin-1"), ("nonsense", "nonsense"), ("Ä", "iso8859-1", False)),
        ("山田".encode("iso2022_jp"), ("ISO IR87", "iso8859-1"), ("山田", "iso2022_jp", True)),
        (b"\xef\xbb\xbfA", ("", "iso8859-1"), ("A", "utf-8", False)),
        (b"A\x00B", ("ASCII", "iso8859-1"), ("AB", "ascii", True)),
    ],
)
def test_text_is_read_in_the_character_set_that_it_is_in(
    raw: bytes, said: tuple[str, str], meant: tuple[str, str, bool]
) -> None:
    """Row 13: MSH-18 says Latin-1, lies, or is absent."""
    found = decoded(raw, named=said[0], fallback=said[1])
    assert (found.text, codec_of(found.codec), found.as_named) == (meant[0], codec_of(meant[1]), meant[2])
