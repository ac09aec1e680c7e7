"""Command sets as machines of all makers write them. Pure."""

from __future__ import annotations

import struct

import pytest

from xraydesk.links.dicom.messages import BrokenCommand, kind_of, read_command

IMAGE = b"1.2.840.10008.5.1.4.1.1.1\0"


def store(**changed: bytes | None) -> bytes:
    """A C-STORE-RQ; `changed` by element number: None leaves an element out."""
    elements: dict[int, bytes | None] = {
        0x0002: IMAGE,
        0x0100: b"\x01\0",
        0x0110: b"\x07\0",
        0x0700: b"\x02\0",
        0x0800: b"\x01\0",
        0x1000: b"1.2.3.4\0",
    }
    elements |= {int(name[1:], 16): value for name, value in changed.items()}
    return b"".join(
        struct.pack("<HHL", 0, number, len(value)) + value
        for number, value in sorted(elements.items())
        if value is not None
    )


@pytest.mark.parametrize(
    "data",
    [
        store(),
        store(_0700=None),
        store(_0700=b"\x05\0"),
        store(_0700=b""),
        store(_1030=b" " * 18, _1031=b""),
        store(_1030=b"\xc4B\\C", _1031=b"\1\0"),
        store(_1000=b"1.2.3.4 "),
        store(_0001=b"\x64\0\0\0", _0010=b"DICOM 3 ", _5110=b"ab"),
        struct.pack("<HHLL", 0, 0, 4, 9999) + store(),
    ],
    ids=[
        "plain", "no priority", "priority 5", "empty priority", "blank originator", "odd originator",
        "padded with a space", "old elements", "wrong group length",
    ],
)  # fmt: skip
def test_what_changes_nothing_here_is_not_held_against_a_message(data: bytes) -> None:
    command, has_data_set = read_command(data, 1)
    assert (kind_of(command), command.MessageID, has_data_set) == ("C_STORE", 7, True)
    assert command.AffectedSOPInstanceUID == "1.2.3.4"


def test_a_uid_that_is_too_long_is_left_for_an_answer() -> None:
    """It is refused with 0117H as any other that is none; the association goes on."""
    command, _ = read_command(store(_1000=b"1." + b"2" * 68), 1)
    assert command.AffectedSOPInstanceUID == "?"
    assert command.MessageID == 7


@pytest.mark.parametrize(
    "data",
    [store(_0110=None), store(_0800=None), store(_0100=b"\x99\x99"), b"", b"\0" * 7],
    ids=["no number", "no word of data", "no such command", "nothing", "cut"],
)
def test_what_cannot_be_answered_is_no_command(data: bytes) -> None:
    with pytest.raises(BrokenCommand):
        read_command(data, 1)
