"""A small picture of an image, to see what it is: enough to tell a hand from a chest, and never to read it.

The first frame is made small, then shown by the table that the image brings (VOI LUT, PS3.3 C.11.2), else windowed as
its header says, or between its darkest and brightest hundredth, and written as a PNG with NOT FOR DIAGNOSIS across its
foot. What is packed (JPEG and its kin) is unpacked by a process of its own (`unpacking`).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import RLELossless

from xraydesk.links.dicom.header_codec import decoded_bytes, number, text
from xraydesk.links.dicom.reading import items_of, value_of
from xraydesk.links.dicom.sop_classes import PLAIN_SYNTAXES
from xraydesk.links.dicom.unpacking import NotUnpacked, first_frame

FRAME_BYTES_MAX = 100_663_296
"""A first frame that unpacks to more is not shown; the largest detectors make some 40 MB."""

SIDE_PIXELS_MAX = 1024
"""No picture is longer or wider, whatever is asked for."""

HEADER_ELEMENT_BYTES_MAX = 65_536
"""Elements of the header that are larger are left on the disk; pixels are read apart."""

UNPACKED_HERE = (*PLAIN_SYNTAXES, str(RLELossless))
"""Without a decoder in C; the others are unpacked apart."""

COLOURS = frozenset(
    {
        "MONOCHROME1",
        "MONOCHROME2",
        "RGB",
        "PALETTE COLOR",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_ICT",
        "YBR_RCT",
    }
)
TABLE_ENTRIES_MAX = 65_536


class NoPicture(Exception):
    """There is nothing to show; the message says why, in words for the page."""


@dataclass(frozen=True)
class Window:
    """What is black and what is white: values from `centre - width / 2` to `centre + width / 2` (PS3.3 C.11.2.1.2)."""

    centre: float
    width: float


@dataclass(frozen=True)
class Picture:
    """A picture for the page: the bytes of a PNG, its size in pixels, and the window that it was made with."""

    png: bytes
    width: int
    height: int
    window: Window | None


def picture_of(
    path: Path, *, side_pixels_max: int = 640, window: Window | None = None, words: str = ""
) -> Picture:
    """Draw a kept image (Part 10 file) small. A `window` asked for goes before the image's own.

    `words` are written into its upper left corner: what the header says of side and view. Letters that
    are not drawn here are left out.

    Of several frames the first is drawn, with its place among them (1 OF 24).

    Raises NoPicture where it has no pixels, would unpack to more than FRAME_BYTES_MAX,
    or cannot be read.
    """
    try:
        dataset = dcmread(path, defer_size=HEADER_ELEMENT_BYTES_MAX, stop_before_pixels=True)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise NoPicture(f"Its file cannot be read ({type(error).__name__}).") from None
    frame = _first_frame(path, dataset, syntax)
    small = shrunk(frame, min(side_pixels_max, SIDE_PIXELS_MAX))
    if small.ndim == 3:
        shown, used = np.clip(small, 0, 255).astype(np.uint8), None
    else:
        shown, used = _shades(_rescaled(small, dataset), dataset, window)
    _stamp(shown)
    frames = int(number(dataset, "NumberOfFrames", minimum=1) or 1)
    _write(shown, f"{words} 1 OF {frames}" if frames > 1 else words)
    return Picture(png(shown), shown.shape[1], shown.shape[0], used)


def shades_of(path: Path, *, side_pixels_max: int = 128) -> NDArray[np.uint8]:
    """The same small picture as grey shades (rows, columns), without any mark in it. Raises NoPicture."""
    try:
        dataset = dcmread(path, defer_size=HEADER_ELEMENT_BYTES_MAX, stop_before_pixels=True)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise NoPicture(f"Its file cannot be read ({type(error).__name__}).") from None
    small = shrunk(_first_frame(path, dataset, syntax), side_pixels_max)
    values = small if small.ndim == 2 else small.mean(axis=2)
    return windowed(values, window_of_values(values), inverted=is_inverted(dataset))


def _shades(
    values: NDArray[Any], dataset: Dataset, window: Window | None
) -> tuple[NDArray[np.uint8], Window | None]:
    """Values as shades, and the window that made them; none where the image's own table did."""
    inverted = is_inverted(dataset)
    table = None if window else _table(dataset, "VOILUTSequence")
    if table is not None:
        shades = np.rint(_looked_up(values, table) * (255.0 / table.white)).astype(np.uint8)
        return 255 - shades if inverted else shades, None
    used = window or window_of(dataset) or window_of_values(values)
    return windowed(values, used, inverted=inverted), used


def _rescaled(values: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Stored values as what they stand for (PS3.3 C.11.1): by the table that the image brings, else slope and intercept."""
    table = _table(dataset, "ModalityLUTSequence")
    if table is not None:
        return _looked_up(values, table)
    return values * _factor(dataset, "RescaleSlope", 1.0) + _factor(dataset, "RescaleIntercept", 0.0)


@dataclass(frozen=True)
class _Table:
    """A lookup table (PS3.3 C.11.1.1): what the values from `first` on stand for, and the greatest that they may."""

    first: int
    white: float
    values: NDArray[Any]


def _table(dataset: Dataset, keyword: str) -> _Table | None:
    """The first table of a sequence; None where there is none that can be used."""
    items = items_of(dataset, keyword)
    descriptor = value_of(items[0], "LUTDescriptor") if items else None
    data = value_of(items[0], "LUTData") if items else None
    try:
        entries, first, bits = (int(part) for part in descriptor or ())
        if isinstance(data, bytes):
            data = np.frombuffer(data, "<u2" if len(data) >= 2 * (entries or TABLE_ENTRIES_MAX) else "u1")
        values = np.array(data, dtype=np.float32)[: entries or TABLE_ENTRIES_MAX]
    except (TypeError, ValueError, OverflowError):
        return None
    if values.ndim != 1 or not values.size or not 8 <= bits <= 16:
        return None
    return _Table(first, float(2**bits - 1), np.clip(values, 0, 2**bits - 1))


def _looked_up(values: NDArray[Any], table: _Table) -> NDArray[Any]:
    places = np.clip(np.rint(values) - table.first, 0, table.values.size - 1).astype(np.int64)
    found: NDArray[Any] = table.values[places]
    return found


def _first_frame(path: Path, dataset: Dataset, syntax: str) -> NDArray[Any]:
    frames = max(1.0, number(dataset, "NumberOfFrames", minimum=0) or 1.0)
    size = decoded_bytes(dataset) / frames
    if not size:
        raise NoPicture("It has no picture.")
    if size > FRAME_BYTES_MAX:
        raise NoPicture("Its picture is too large to be shown here.")
    colours = text(dataset, "PhotometricInterpretation")
    if colours not in COLOURS:
        raise NoPicture("Its colours cannot be shown here.")
    if syntax not in UNPACKED_HERE:
        try:
            frame = first_frame(path, bytes_max=FRAME_BYTES_MAX)
        except NotUnpacked as why:
            raise NoPicture(str(why)) from None
    else:
        frame = _read_here(path)
    if frame.ndim == 2:
        frame = _stored_bits(frame, dataset)
    return _painted(frame, dataset) if colours == "PALETTE COLOR" else frame


def _read_here(path: Path) -> NDArray[Any]:
    try:
        frame: NDArray[Any] = pixel_array(path, index=0)
    except AttributeError:
        raise NoPicture("It has no picture.") from None
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise NoPicture(f"Its picture cannot be read ({type(error).__name__}).") from None
    return frame


def _painted(frame: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Numbers of colours as these colours, 0 to 255 (PS3.3 C.7.6.3.1.5)."""
    try:
        painted: NDArray[Any] = apply_color_lut(frame, dataset)
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise NoPicture(f"Its colours cannot be read ({type(error).__name__}).") from None
    return painted >> 8 if painted.dtype == np.uint16 else painted


def _stored_bits(frame: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """The values without what old machines keep in the bits that none of them use (overlays, PS3.5 8.1.1)."""
    stored = int(number(dataset, "BitsStored", minimum=1) or 0)
    if frame.dtype.kind != "u" or not stored or stored >= frame.dtype.itemsize * 8:
        return frame
    kept: NDArray[Any] = frame & frame.dtype.type((1 << stored) - 1)
    return kept


def shrunk(frame: NDArray[Any], side_max: int) -> NDArray[np.float32]:
    """The frame as the mean of squares of pixels, so that its longer side is at most `side_max`; edges are cut."""
    step = -(-max(frame.shape[:2]) // side_max)
    rows, columns = (frame.shape[0] // step) * step, (frame.shape[1] // step) * step
    if not rows or not columns:  # a strip thinner than one square
        return frame[::step, ::step].astype(np.float32)
    total: NDArray[np.float32] = np.zeros((rows // step, columns // step, *frame.shape[2:]), dtype=np.float32)
    for row in range(step):
        for column in range(step):
            total += frame[row:rows:step, column:columns:step]
    return total / np.float32(step * step)


def window_of(dataset: Dataset) -> Window | None:
    """The window that the image names first; None where it names none that can be used."""
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    return Window(centre, width) if centre is not None and width is not None and width > 0 else None


def window_of_values(values: NDArray[Any]) -> Window:
    """A window from the darkest to the brightest hundredth of the values."""
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    return Window((low + high) / 2, max(high - low, 1.0))


def windowed(values: NDArray[Any], window: Window, *, inverted: bool) -> NDArray[np.uint8]:
    """Values as shades, 0 black to 255 white; the other way round where `inverted`."""
    shades = np.clip((values - (window.centre - window.width / 2)) * (255.0 / window.width), 0, 255)
    shown: NDArray[np.uint8] = np.rint(255 - shades if inverted else shades).astype(np.uint8)
    return shown


def is_inverted(dataset: Dataset) -> bool:
    """True where small values are white: MONOCHROME1 (PS3.3 C.7.6.3.1.2), unless a shape says otherwise (C.11.6)."""
    shape = text(dataset, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE"):
        return shape == "INVERSE"
    return text(dataset, "PhotometricInterpretation") == "MONOCHROME1"


def _factor(dataset: Dataset, keyword: str, default: float) -> float:
    value = number(dataset, keyword)
    return default if value is None or (keyword == "RescaleSlope" and value == 0) else value


def png(shades: NDArray[np.uint8]) -> bytes:
    """A PNG of 8-bit shades (rows, columns) or colours (rows, columns, 3), without any text in it."""
    rows, columns = shades.shape[:2]
    colour = 2 if shades.ndim == 3 else 0
    lines = np.zeros((rows, 1 + columns * (3 if colour else 1)), dtype=np.uint8)
    lines[:, 1:] = shades.reshape(rows, -1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    )


_GLYPHS = {
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "D": "1e11111111111e",
    "F": "1f10101e101010",
    "G": "0e11101713110f",
    "I": "0e04040404040e",
    "L": "1010101010101f",
    "N": "11191513111111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    " ": "00000000000000",
}
"""Letters of 5 by 7 dots: seven rows of five bits each."""

MARK = "NOT FOR DIAGNOSIS"
_BAND_ROWS = 11


def _mark(words: str = MARK) -> NDArray[np.bool_]:
    """Words as dots, 7 rows high, a column between letters."""
    letters = [
        [[bool(row & (16 >> bit)) for bit in range(5)] + [False] for row in bytes.fromhex(_GLYPHS[letter])]
        for letter in words
    ]
    return np.concatenate([np.array(letter) for letter in letters], axis=1)


def _stamp(shown: NDArray[np.uint8]) -> None:
    """Write the mark across the foot of the picture, in white on black; a picture too small for it stays bare."""
    mark = _mark()
    times = max(1, shown.shape[1] // (mark.shape[1] * 3))
    mark = mark.repeat(times, axis=0).repeat(times, axis=1)
    band = _BAND_ROWS * times
    if shown.shape[0] < band or shown.shape[1] < mark.shape[1]:
        return
    shown[-band:] = 0
    top, left = shown.shape[0] - band + 2 * times, (shown.shape[1] - mark.shape[1]) // 2
    shown[top : top + mark.shape[0], left : left + mark.shape[1]][mark] = 255


_WORDS_ROWS_SHARE = 20
"""Words are so small a part of the picture's height, and seven dots high at least."""


def _write(shown: NDArray[np.uint8], words: str) -> None:
    """Write what the header says of side and view into the upper left corner, in white on black, where there is room."""
    drawn = "".join(letter for letter in words.upper() if letter in _GLYPHS).strip()
    if not drawn:
        return
    dots = np.pad(_mark(drawn), 2)
    times = max(1, shown.shape[0] // (_WORDS_ROWS_SHARE * dots.shape[0]))
    dots = dots.repeat(times, axis=0).repeat(times, axis=1)
    rows, columns = dots.shape
    if shown.shape[0] < rows or shown.shape[1] < columns:
        return
    corner = shown[:rows, :columns]
    corner[:] = 0
    corner[dots] = 255
