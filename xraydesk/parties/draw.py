"""Pictures that look like radiographs from afar: drawn by our own code, of nobody.

Only arithmetic on rows of samples, so that drawing needs no library. Pictures of one
part, view and side are drawn once and then given fresh grain.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from random import Random

ROWS, COLUMNS = 320, 256
BITS_STORED = 12
_GRAIN = 0x3F

_LETTERS = {
    "L": ("1....", "1....", "1....", "1....", "1....", "1....", "11111"),
    "R": ("1111.", "1...1", "1...1", "1111.", "1.1..", "1..1.", "1...1"),
}
"""Side markers, five by seven."""

_MARKER_SCALE = 4


def _ellipse(x: float, y: float, *oval: float) -> float:
    """1 well inside an ellipse, 0 outside, soft at the edge; the oval is its centre and its half axes."""
    cx, cy, rx, ry = oval
    distance = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
    return 1.0 if distance < 0.9 else max(0.0, 1 - (distance - 0.9) / 0.2)


def _chest(x: float, y: float) -> float:
    body = _ellipse(x, y, 0.5, 0.55, 0.48, 0.6)
    lungs = max(_ellipse(x, y, 0.3, 0.48, 0.15, 0.32), _ellipse(x, y, 0.7, 0.48, 0.15, 0.32))
    ribs = 0.12 * max(0.0, math.sin(40 * (y + 0.35 * (x - 0.5) ** 2))) * lungs
    heart = _ellipse(x, y, 0.57, 0.6, 0.14, 0.16)
    spine = _ellipse(x, y, 0.5, 0.5, 0.035, 0.5)
    return min(1.0, 0.08 + 0.55 * body - 0.42 * lungs + ribs + 0.3 * heart + 0.25 * spine)


def _trunk(x: float, y: float) -> float:
    body = _ellipse(x, y, 0.5, 0.5, 0.46, 0.62)
    discs = 0.5 + 0.5 * math.sin(46 * y)
    spine = _ellipse(x, y, 0.5, 0.4, 0.07, 0.5) * (0.25 + 0.15 * discs)
    pelvis = max(_ellipse(x, y, 0.26, 0.82, 0.18, 0.13), _ellipse(x, y, 0.74, 0.82, 0.18, 0.13))
    return min(1.0, 0.06 + 0.45 * body + spine + 0.3 * pelvis)


def _limb(x: float, y: float) -> float:
    flesh = _ellipse(x, y, 0.5, 0.5, 0.3, 0.75)
    upper = _ellipse(x, y, 0.5, 0.12, 0.1, 0.36)
    lower = max(_ellipse(x, y, 0.43, 0.88, 0.07, 0.37), _ellipse(x, y, 0.59, 0.88, 0.045, 0.36))
    joint = _ellipse(x, y, 0.5, 0.48, 0.16, 0.06)
    return min(1.0, 0.05 + 0.3 * flesh + 0.5 * max(upper, lower) + 0.3 * joint)


def _shape(body_part: str) -> int:
    part = body_part.upper()
    if "CHEST" in part or "RIB" in part or "THORAX" in part:
        return 0
    if any(word in part for word in ("SPINE", "PELVIS", "ABDOMEN", "HIP", "SKULL", "SACRUM")):
        return 1
    return 2


@lru_cache(maxsize=64)
def _picture(shape: int, lateral: bool, marker: str) -> bytes:
    """The picture without grain: little-endian 16-bit samples of 12 bits."""
    draw = (_chest, _trunk, _limb)[shape]
    samples = array("H")
    for row in range(ROWS):
        y = row / ROWS
        for column in range(COLUMNS):
            x = column / COLUMNS
            if lateral:
                x = 0.5 + (x - 0.5) * 1.5 + 0.04 * math.sin(5 * y)
            samples.append(200 + int(3400 * draw(x, y)))
    for row, line in enumerate(_LETTERS.get(marker, ())):
        for column, dot in enumerate(line):
            if dot == "1":
                for dy in range(_MARKER_SCALE):
                    start = (16 + row * _MARKER_SCALE + dy) * COLUMNS + 20 + column * _MARKER_SCALE
                    samples[start : start + _MARKER_SCALE] = array("H", [4000] * _MARKER_SCALE)
    if array("H", [1]).tobytes() != b"\x01\x00":
        samples.byteswap()
    return samples.tobytes()


def draw(body_part: str, view: str, marker: str, random: Random) -> bytes:
    """ROWS × COLUMNS samples of BITS_STORED bits, little-endian in 16, with fresh grain.

    `marker` is the side marker, `L`, `R` or empty.
    """
    plain = _picture(_shape(body_part), view.upper() in ("LL", "LAT", "RL"), marker)
    mask = int.from_bytes(bytes([_GRAIN, 0]) * (len(plain) // 2), "little")
    grain = int.from_bytes(random.randbytes(len(plain)), "little") & mask
    # No sample exceeds 4000 + 63, so the sum never carries into its neighbour.
    return (int.from_bytes(plain, "little") + grain).to_bytes(len(plain), "little")
