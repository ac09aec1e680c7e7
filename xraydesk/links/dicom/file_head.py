"""Where the data set of a file begins and how it is written: with file meta information (PS3.10), or without."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from xraydesk.links.dicom.header_codec import text
from xraydesk.links.dicom.reading import BadDataSet

PREAMBLE_BYTES = 128
META_BYTES_MAX = 65_536
"""More than this before the data set is no file meta information."""

_VALUE_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


@dataclass(frozen=True)
class FileHead:
    """How a file begins. The SOP class is empty where no file meta information names it."""

    dataset_offset: int
    transfer_syntax_uid: str
    sop_class_uid: str = ""


def where_it_begins(file: BinaryIO) -> FileHead:
    """The head of a file with or without a preamble, which is left where the data set begins. Raises BadDataSet.

    Where no transfer syntax is named, the first element tells it (PS3.5 7.1).
    """
    file.seek(PREAMBLE_BYTES)
    has_preamble = file.read(4) == b"DICM"
    if not has_preamble:
        file.seek(0)
    meta = _meta(file)
    syntax = text(meta, "TransferSyntaxUID") or _guessed_syntax(file, has_preamble=has_preamble)
    return FileHead(file.tell(), syntax, text(meta, "MediaStorageSOPClassUID"))


def _meta(file: BinaryIO) -> Dataset:
    """The file meta information; leaves the file where the data set begins."""
    start = file.tell()
    if file.read(2) != b"\x02\x00":
        file.seek(start)
        return Dataset()
    file.seek(start)
    head = BytesIO(file.read(META_BYTES_MAX))
    try:
        meta = read_dataset(head, False, True, stop_when=_is_past_meta)
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise BadDataSet(f"its file meta information cannot be read ({type(error).__name__})") from None
    file.seek(start + head.tell())
    return meta


def _is_past_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag.group != 2)


def _guessed_syntax(file: BinaryIO, *, has_preamble: bool) -> str:
    """The uncompressed syntax that the first element is written in; leaves the file where it was."""
    start = file.tell()
    head = file.read(8)
    file.seek(start)
    if len(head) < 8:
        raise BadDataSet("it is cut short" if has_preamble else "it is no DICOM")
    little = int.from_bytes(head[:2], "little") <= int.from_bytes(head[:2], "big")
    explicit = head[4:6] in _VALUE_REPRESENTATIONS
    if not has_preamble and int.from_bytes(head[:2], "little" if little else "big") not in (2, 8, 16, 32, 64):
        raise BadDataSet("it is no DICOM")
    if explicit:
        return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian)
