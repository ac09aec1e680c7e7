"""Reads a received object's header from its file, and sees that the file is whole, without its pixels in memory."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from xraydesk.links.dicom.reading import BadDataSet, unnamed

HEADER_BYTES_MAX = 67_108_864
"""More than this before the pixels is no header."""

DEFERRED_BYTES = 1_048_576
"""Values longer than this are left in the file."""

UNDEFINED = 0xFFFFFFFF
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ELEMENT_HEAD_BYTES = 8
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_LONG = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})


class _Capped:
    """A file that gives out no more than a stated number of bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = HEADER_BYTES_MAX
        self._size = size
        self.name = file.name
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        wanted = min(size, self._size) if size >= 0 else self._size
        if wanted > self._left:
            raise BadDataSet("its header is too large")
        data = self._file.read(wanted)
        if data and size > len(data):
            # pydicom takes a few bytes where an element's header should stand for the end of the file.
            raise BadDataSet("it is cut short")
        self._left -= len(data)
        return data


def read_object(
    path: Path, *, dataset_offset: int, transfer_syntax: str, charsets: Sequence[str] = ()
) -> Dataset:
    """The data set in a file up to its pixels. Raises BadDataSet where it is cut short or no DICOM.

    `charsets` are what its sender is known to use where it names none.
    """
    syntax = UID(transfer_syntax)
    size = os.path.getsize(path)
    with path.open("rb") as file:
        file.seek(dataset_offset)
        capped: Any = _Capped(file, size)
        try:
            dataset = read_dataset(
                capped,
                syntax.is_implicit_VR,
                syntax.is_little_endian,
                stop_when=_is_pixels,
                defer_size=DEFERRED_BYTES,
                parent_encoding=unnamed(charsets),
            )
        except BadDataSet:
            raise
        except Exception as error:  # pydicom lets many kinds through for broken input
            raise BadDataSet(f"it cannot be read ({type(error).__name__})") from None
        order = "<" if syntax.is_little_endian else ">"
        _check_rest(file, size, order=order, is_implicit=syntax.is_implicit_VR)
    _check_deferred(dataset, size)
    # What was left in the file can still be asked for while it lies there.
    dataset.filename, dataset.timestamp, dataset.fileobj_type, dataset.buffer = str(path), None, open, None
    if not dataset:
        raise BadDataSet("it is empty")
    return dataset


def _is_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) in PIXELS


def _check_deferred(dataset: Dataset, size: int) -> None:
    """A value left in the file must lie within it; pydicom skips over it unseen."""
    for element in dataset.values():
        if isinstance(element, RawDataElement) and element.value is None:
            if element.value_tell + element.length > size:
                raise BadDataSet("it is cut short")
            if element.VR == "SQ" and element.length > HEADER_BYTES_MAX:
                raise BadDataSet("its header is too large")


def _check_rest(file: BinaryIO, size: int, *, order: str, is_implicit: bool) -> None:
    """What follows the header, pixels first, must be whole; lengths are followed, values are not read."""
    while file.tell() < size and not _is_padding(file, size):
        length = _skip_element_header(file, order=order, is_implicit=is_implicit)
        if length == UNDEFINED:
            _skip_fragments(file, size, order=order)
        else:
            _skip(file, length, size)


def _is_padding(file: BinaryIO, size: int) -> bool:
    """True where nothing but zeros is left, too few for an element: some machines make an odd object even so."""
    left = size - file.tell()
    if left >= _ELEMENT_HEAD_BYTES:
        return False
    is_zero = not any(file.read(left))
    file.seek(size - left)
    return is_zero


def _skip_element_header(file: BinaryIO, *, order: str, is_implicit: bool) -> int:
    head = _read(file, _ELEMENT_HEAD_BYTES)
    if is_implicit:
        return int(struct.unpack(order + "HHL", head)[2])
    if head[4:6] in _LONG or head[4:6] in (b"SQ", b"UC", b"UR", b"UT", b"SV", b"UV"):
        return int(struct.unpack(order + "L", _read(file, 4))[0])
    return int(struct.unpack(order + "H", head[6:8])[0])


def _skip_fragments(file: BinaryIO, size: int, *, order: str) -> None:
    """Past the fragments of compressed pixels (PS3.5 A.4), or the items of a last sequence of plain ones."""
    while True:
        group, element, length = struct.unpack(order + "HHL", _read(file, 8))
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM or length == UNDEFINED:
            # Items of undefined length after the pixels occur in no radiograph; their end is not sought.
            file.seek(size)
            return
        _skip(file, length, size)


def _skip(file: BinaryIO, length: int, size: int) -> None:
    end = file.tell() + length
    if end > size:
        raise BadDataSet("it is cut short")
    file.seek(end)


def _read(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise BadDataSet("it is cut short")
    return data
